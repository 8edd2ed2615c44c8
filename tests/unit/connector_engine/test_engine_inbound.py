"""What neonize hands over becomes a record that a person would call a message, a receipt, or nothing."""

from datetime import UTC, datetime

import pylibmagic  # noqa: F401 - brings the library that neonize's import asks for
import pytest
from neonize.proto.Neonize_pb2 import JID, MessageInfo, MessageSource, Receipt, UndecryptableMessage
from neonize.proto.Neonize_pb2 import Message as MessageEvent
from neonize.proto.waCommon.WACommon_pb2 import MessageKey
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    AppStateSyncKeyShare,
    ExtendedTextMessage,
    ImageMessage,
    Message,
    MessageContextInfo,
    ProtocolMessage,
    ReactionMessage,
    SenderKeyDistributionMessage,
    StickerMessage,
)

from whatsam_connector.engine.neonize_adapter.inbound import message_record, undecryptable_record
from whatsam_connector.engine.neonize_adapter.jids import jid_text, parse_jid, person_text
from whatsam_connector.engine.neonize_adapter.receipts import receipt_record
from whatsam_connector.journal import ReceiptKind

INSTANT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LID, PHONE, GROUP = parse_jid("1001:3@lid"), parse_jid("49151:3@s.whatsapp.net"), parse_jid("1203@g.us")
EMPTY = JID(User="", RawAgent=0, Device=0, Integrator=0, Server="", IsEmpty=True)


def source(chat: JID = LID, *, from_me: bool = False, recipient: JID = EMPTY) -> MessageSource:
    return MessageSource(
        Chat=chat,
        Sender=LID,
        IsFromMe=from_me,
        IsGroup=chat is GROUP,
        SenderAlt=PHONE,
        RecipientAlt=recipient,
        BroadcastListOwner=EMPTY,
    )


def info(of: MessageSource) -> MessageInfo:
    milliseconds = int(INSTANT.timestamp() * 1000)
    return MessageInfo(MessageSource=of, ID="3EB0", Timestamp=milliseconds, Pushname="Ann")


def event(message: Message, of: MessageSource | None = None) -> MessageEvent:
    return MessageEvent(Info=info(of or source()), Message=message)


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        (Message(conversation="hi"), "text", "hi"),
        (Message(extendedTextMessage=ExtendedTextMessage(text="hi")), "text", "hi"),
        (Message(imageMessage=ImageMessage(caption="look")), "image", "look"),
        (Message(imageMessage=ImageMessage()), "image", None),
        (Message(stickerMessage=StickerMessage()), "sticker", None),
        (Message(reactionMessage=ReactionMessage(text="👍", key=MessageKey(ID="x"))), "reaction", "👍"),
        (
            Message(conversation="hi", senderKeyDistributionMessage=SenderKeyDistributionMessage(groupID="g")),
            "text",
            "hi",
        ),
        (Message(protocolMessage=ProtocolMessage(type=ProtocolMessage.REVOKE)), "revoked", None),
        (
            Message(
                protocolMessage=ProtocolMessage(
                    type=ProtocolMessage.MESSAGE_EDIT, editedMessage=Message(conversation="better")
                )
            ),
            "edited",
            "better",
        ),
    ],
)
def test_messages(message: Message, kind: str, text: str | None) -> None:
    record = message_record(event(message))
    assert record is not None
    assert (record.type, record.text) == (kind, text)
    assert Message.FromString(record.raw) == message
    assert (record.wa_id, record.push_name, record.timestamp) == ("3EB0", "Ann", INSTANT)


@pytest.mark.parametrize(
    "message",
    [
        Message(),
        Message(senderKeyDistributionMessage=SenderKeyDistributionMessage(groupID="g")),
        Message(
            senderKeyDistributionMessage=SenderKeyDistributionMessage(groupID="g"),
            messageContextInfo=MessageContextInfo(),
        ),
        Message(
            protocolMessage=ProtocolMessage(
                type=ProtocolMessage.APP_STATE_SYNC_KEY_SHARE, appStateSyncKeyShare=AppStateSyncKeyShare()
            )
        ),
        Message(protocolMessage=ProtocolMessage(type=ProtocolMessage.HISTORY_SYNC_NOTIFICATION)),
    ],
)
def test_keys_and_notices_are_no_messages(message: Message) -> None:
    assert message_record(event(message)) is None


def test_people_are_named_without_their_devices() -> None:
    record = message_record(event(Message(conversation="hi")))
    assert record is not None
    assert (record.chat, record.sender) == ("1001@lid", "1001@lid")
    assert (record.chat_phone, record.sender_phone) == ("49151", "49151")


def test_an_own_message_belongs_to_the_chat_of_its_recipient() -> None:
    other = parse_jid("49170@s.whatsapp.net")
    record = message_record(event(Message(conversation="hi"), source(from_me=True, recipient=other)))
    assert record is not None
    assert record.from_me
    assert record.chat_phone == "49170"


def test_a_group_has_no_phone() -> None:
    record = message_record(event(Message(conversation="hi"), source(GROUP)))
    assert record is not None
    assert (record.group, record.chat, record.chat_phone, record.sender_phone) == (True, "1203@g.us", None, "49151")


def test_every_record_has_an_id_of_its_own() -> None:
    same = event(Message(conversation="hi"))
    records = [message_record(same), message_record(same)]
    assert len({record.event_id for record in records if record}) == 2


def test_undecryptable() -> None:
    record = undecryptable_record(UndecryptableMessage(Info=info(source(GROUP)), IsUnavailable=True))
    assert (record.wa_id, record.group, record.unavailable) == ("3EB0", True, True)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Receipt.DELIVERED, ReceiptKind.DELIVERED),
        (Receipt.INACTIVE, ReceiptKind.DELIVERED),
        (Receipt.READ, ReceiptKind.READ),
        (Receipt.RETRY, ReceiptKind.RETRY),
        (Receipt.SERVER_ERROR, ReceiptKind.PLAYED_SELF),
        (Receipt.PEER_MSG, None),
        (Receipt.HISTORY_SYNC, None),
    ],
)
def test_receipts(kind: "Receipt.ReceiptType", expected: ReceiptKind | None) -> None:
    receipt = Receipt(MessageSource=source(), MessageIDs=["a", "b"], Timestamp=int(INSTANT.timestamp()), Type=kind)
    record = receipt_record(receipt)
    assert (record.kind if record else None) is expected
    if record:
        assert (record.wa_ids, record.timestamp, record.chat_phone) == (("a", "b"), INSTANT, "49151")


@pytest.mark.parametrize("text", ["49151@s.whatsapp.net", "49151:12@s.whatsapp.net", "1001.2:3@lid", "1-2@g.us"])
def test_jids_keep_their_form(text: str) -> None:
    assert jid_text(parse_jid(text)) == text


@pytest.mark.parametrize("text", ["", "49151", "@lid", "a@b@c", "1:x@lid", "1@lid\n", "1 2@lid"])
def test_what_is_no_jid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a JID"):
        parse_jid(text)


def test_an_empty_jid_is_nobody() -> None:
    assert jid_text(EMPTY) == person_text(EMPTY) == ""
