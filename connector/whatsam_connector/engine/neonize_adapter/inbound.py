"""Inbound messages → journal. A handler appends and returns: WhatsApp has its acknowledgement already."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonize.events import MessageEv, UndecryptableMessageEv
from neonize.proto.Neonize_pb2 import JID, MessageInfo, MessageSource
from neonize.proto.Neonize_pb2 import UndecryptableMessage as NeonizeUndecryptable
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
    "pollUpdateMessage": "poll_vote",
    "reactionMessage": "reaction",
    "encReactionMessage": "reaction",
}

_PROTOCOL_KINDS = {
    ProtocolMessage.REVOKE: "revoked",
    ProtocolMessage.MESSAGE_EDIT: "edited",
    ProtocolMessage.EPHEMERAL_SETTING: "system",
}
"""What people see of the protocol's own messages. The others carry keys and notices between the own devices: their
content must not get into any table."""

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
        protocol = event.Message.protocolMessage
        if protocol.type not in _PROTOCOL_KINDS:
            return None
        kind = _PROTOCOL_KINDS[protocol.type]
        if kind == "edited":
            content = protocol.editedMessage
    info, source = event.Info, event.Info.MessageSource
    return InboundMessage(
        event_id=uuid.uuid4().hex,
        wa_id=readable(info.ID) or "",
        chat=person_text(source.Chat),
        chat_phone=chat_phone(source),
        sender=person_text(source.Sender),
        sender_phone=phone_of(source.Sender, source.SenderAlt),
        from_me=source.IsFromMe,
        text=text_of(content),
        type=kind,
        timestamp=message_time(info),
        push_name=readable(info.Pushname) or "",
        group=source.IsGroup,
        raw=event.Message.SerializeToString(),
        is_ephemeral=event.IsEphemeral,
        is_view_once=event.IsViewOnce or event.IsViewOnceV2 or event.IsViewOnceV2Extension,
        is_edit=event.IsEdit or kind == "edited",
        edit=info.Edit,
        server_id=info.ServerID or None,
        media_type=readable(info.MediaType) or None,
        broadcast_owner=optional_person(source.BroadcastListOwner),
        verified_name=readable(info.VerifiedName.Details.verifiedName) or None,
        retries=max(event.RetryCount, 0),
        resent_by_phone=bool(event.UnavailableRequestID),
    )


def undecryptable_record(event: NeonizeUndecryptable) -> InboundUndecryptable:
    """The record of a message that could not be decrypted."""
    info, source = event.Info, event.Info.MessageSource
    return InboundUndecryptable(
        event_id=uuid.uuid4().hex,
        wa_id=readable(info.ID) or "",
        chat=person_text(source.Chat),
        chat_phone=chat_phone(source),
        sender=person_text(source.Sender),
        sender_phone=phone_of(source.Sender, source.SenderAlt),
        from_me=source.IsFromMe,
        timestamp=message_time(info),
        group=source.IsGroup,
        unavailable=event.IsUnavailable,
        hidden=event.DecryptFailMode == NeonizeUndecryptable.DECRYPT_FAIL_HIDE,
    )


def chat_phone(source: MessageSource) -> str | None:
    """Digits of the other side of a chat between two people; None for groups and where WhatsApp did not tell."""
    if source.IsGroup:
        return None
    other = source.RecipientAlt if source.IsFromMe else source.SenderAlt
    return phone_of(source.Chat, other)


def optional_person(jid: JID) -> str | None:
    """Who; None for nobody."""
    return person_text(jid) or None


def text_of(message: Message) -> str | None:
    """Text or caption of a message, or the emoji of a reaction."""
    candidates = (
        message.conversation,
        message.extendedTextMessage.text,
        message.imageMessage.caption,
        message.videoMessage.caption,
        message.ptvMessage.caption,
        message.documentMessage.caption,
        message.reactionMessage.text,
    )
    return readable(next((text for text in candidates if text), None))


def readable(text: str | bytes | None) -> str | None:
    """Text for people. Nobody checks what other clients send: protobuf hands a text that is no UTF-8 over as bytes."""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def message_time(info: MessageInfo) -> datetime:
    """WhatsApp's time of a message (neonize passes milliseconds)."""
    return datetime.fromtimestamp(info.Timestamp / 1000, UTC)
