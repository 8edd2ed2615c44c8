"""Inbound messages → journal. A handler appends and returns: WhatsApp has its acknowledgement already."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonize.events import MessageEv, UndecryptableMessageEv
from neonize.proto.Neonize_pb2 import MessageInfo, MessageSource
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message, ProtocolMessage

from whatsam_connector.engine.neonize_adapter.jids import person_text, phone_of
from whatsam_connector.engine.neonize_adapter.subscription import on
from whatsam_connector.journal import InboundMessage, InboundUndecryptable

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_KINDS = {
    "conversation": "text",
    "extendedTextMessage": "text",
    "imageMessage": "image",
    "videoMessage": "video",
    "ptvMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
    "lottieStickerMessage": "sticker",
    "locationMessage": "location",
    "liveLocationMessage": "location",
    "contactMessage": "contact",
    "contactsArrayMessage": "contact",
    "pollCreationMessage": "poll",
    "pollCreationMessageV2": "poll",
    "pollCreationMessageV3": "poll",
    "reactionMessage": "reaction",
}

_NOT_ENCRYPTED = "newsletter"
"""Server of the chats whose messages change no keys."""

_ONLY_KEYS = frozenset({"senderKeyDistributionMessage", "messageContextInfo"})
"""The first message of a sender to a group comes twice with one id: keys only, then the text. The first is dropped."""


def subscribe(session: "NeonizeSession") -> None:
    """Subscribe one session to messages, readable or not."""

    def message(event: MessageEv) -> None:
        encrypted = event.Info.MessageSource.Chat.Server != _NOT_ENCRYPTED
        session.keep(message_record(event), is_message=encrypted)

    on(session, MessageEv, message)
    on(session, UndecryptableMessageEv, lambda event: session.keep(undecryptable_record(event), is_message=False))


def message_record(event: MessageEv) -> InboundMessage | None:
    """The record of a message; None for what is not a message to anybody (keys, history notices, app state)."""
    fields = {field.name for field, _value in event.Message.ListFields()}
    if fields <= _ONLY_KEYS:
        return None
    content, kind = event.Message, next((kind for field, kind in _KINDS.items() if field in fields), "other")
    if "protocolMessage" in fields:
        # Key shares of the own phone are among these: their content must not get into any table.
        match event.Message.protocolMessage.type:
            case ProtocolMessage.REVOKE:
                kind = "revoked"
            case ProtocolMessage.MESSAGE_EDIT:
                content, kind = event.Message.protocolMessage.editedMessage, "edited"
            case _:
                return None
    info, source = event.Info, event.Info.MessageSource
    return InboundMessage(
        event_id=uuid.uuid4().hex,
        wa_id=info.ID,
        chat=person_text(source.Chat),
        chat_phone=chat_phone(source),
        sender=person_text(source.Sender),
        sender_phone=phone_of(source.Sender, source.SenderAlt),
        from_me=source.IsFromMe,
        text=text_of(content),
        type=kind,
        timestamp=message_time(info),
        push_name=info.Pushname,
        group=source.IsGroup,
        raw=event.Message.SerializeToString(),
    )


def undecryptable_record(event: UndecryptableMessageEv) -> InboundUndecryptable:
    """The record of a message that could not be decrypted."""
    info, source = event.Info, event.Info.MessageSource
    return InboundUndecryptable(
        event_id=uuid.uuid4().hex,
        wa_id=info.ID,
        chat=person_text(source.Chat),
        chat_phone=chat_phone(source),
        sender=person_text(source.Sender),
        sender_phone=phone_of(source.Sender, source.SenderAlt),
        from_me=source.IsFromMe,
        timestamp=message_time(info),
        group=source.IsGroup,
        unavailable=event.IsUnavailable,
    )


def chat_phone(source: MessageSource) -> str | None:
    """Digits of the other side of a chat between two people; None for groups and where WhatsApp did not tell."""
    if source.IsGroup:
        return None
    other = source.RecipientAlt if source.IsFromMe else source.SenderAlt
    return phone_of(source.Chat, other)


def text_of(message: Message) -> str | None:
    """Text or caption of a message, or the emoji of a reaction."""
    candidates = (
        message.conversation,
        message.extendedTextMessage.text,
        message.imageMessage.caption,
        message.videoMessage.caption,
        message.documentMessage.caption,
        message.reactionMessage.text,
    )
    return next((text for text in candidates if text), None)


def message_time(info: MessageInfo) -> datetime:
    """WhatsApp's time of a message (neonize passes milliseconds)."""
    return datetime.fromtimestamp(info.Timestamp / 1000, UTC)
