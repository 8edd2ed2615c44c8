"""What the Go engine writes into a journal is what the neonize adapter writes of the same events.

The payloads in engine-go/internal/journal/testdata come from `payload_golden_test.go` beside that folder, which has the
events in Go.
"""

import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pylibmagic  # noqa: F401 - brings the library that neonize's import asks for
import pytest
from neonize.proto.Neonize_pb2 import (
    JID,
    BasicCallMeta,
    CallOfferNotice,
    CallTerminate,
    GroupAnnounce,
    GroupDelete,
    GroupEphemeral,
    GroupInfo,
    GroupLocked,
    GroupName,
    GroupParticipant,
    GroupTopic,
    IdentityChange,
    MessageInfo,
    MessageSource,
    Node,
    NodeAttrs,
    Picture,
    Receipt,
    UndecryptableMessage,
)
from neonize.proto.Neonize_pb2 import GroupInfoEvent as GroupInfoEv
from neonize.proto.Neonize_pb2 import JoinedGroup as JoinedGroupEv
from neonize.proto.Neonize_pb2 import Message as MessageEvent
from neonize.proto.waCommon.WACommon_pb2 import MessageKey
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import (
    GroupInviteMessage,
    ImageMessage,
    Message,
    ProtocolMessage,
    ReactionMessage,
)
from neonize.proto.waHistorySync.WAWebProtobufsHistorySync_pb2 import Conversation, HistorySync

from whatsam_connector.content.schema import SyncActionValue
from whatsam_connector.engine.neonize_adapter.contacts import identity_record, picture_record
from whatsam_connector.engine.neonize_adapter.groups import change_record, group_record
from whatsam_connector.engine.neonize_adapter.inbound import message_record, undecryptable_record
from whatsam_connector.engine.neonize_adapter.jids import parse_jid
from whatsam_connector.engine.neonize_adapter.logs import lost_message
from whatsam_connector.engine.neonize_adapter.phone_calls import call_record, notice_record, terminate_record
from whatsam_connector.engine.neonize_adapter.receipts import receipt_record
from whatsam_connector.journal import (
    CallStep,
    InboundAppState,
    InboundHistory,
    InboundMessage,
    InboundUnreadable,
    JournalRecord,
)
from whatsam_connector.journal.payload import from_payload, to_payload

TESTDATA = Path(__file__).parents[3] / "engine-go" / "internal" / "journal" / "testdata"

INSTANT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECONDS = int(INSTANT.timestamp())
LID, OTHER, PHONE = parse_jid("1001:3@lid"), parse_jid("1002@lid"), parse_jid("49151:3@s.whatsapp.net")
GROUP, CHANNEL, OWN = parse_jid("1203@g.us"), parse_jid("120@newsletter"), parse_jid("49150:9@s.whatsapp.net")
EMPTY = JID(User="", RawAgent=0, Device=0, Integrator=0, Server="", IsEmpty=True)


def source(chat: JID = LID, sender: JID = LID, alternate: JID = PHONE, **fields: Any) -> MessageSource:
    defaults: dict[str, Any] = {"IsGroup": False, "IsFromMe": False, "RecipientAlt": EMPTY, "BroadcastListOwner": EMPTY}
    return MessageSource(Chat=chat, Sender=sender, SenderAlt=alternate, **{**defaults, **fields})


def in_group() -> MessageSource:
    return source(GROUP, IsGroup=True)


def own() -> MessageSource:
    return source(OTHER, OWN, EMPTY, IsFromMe=True, RecipientAlt=parse_jid("49170@s.whatsapp.net"))


def info(of: MessageSource | None = None, **fields: Any) -> MessageInfo:
    return MessageInfo(MessageSource=of or source(), ID="3EB0", Timestamp=SECONDS * 1000, Pushname="Ann", **fields)


def message(content: Message, about: MessageInfo | None = None, **fields: Any) -> JournalRecord:
    record = message_record(MessageEvent(Info=about or info(), Message=content, **fields))
    assert record is not None
    return record


def protocol(kind: "ProtocolMessage.Type", **fields: Any) -> Message:
    return Message(protocolMessage=ProtocolMessage(type=kind, key=MessageKey(ID="3EAF"), **fields))


def unclean() -> Message:
    content = Message()
    content.MergeFromString(b"\x0a\x04a\xff\xfeb")
    return content


def business() -> MessageInfo:
    about = info(source(BroadcastListOwner=parse_jid("1000:9@lid")))
    about.VerifiedName.Details.verifiedName = "Shop"
    return about


def undecryptable(of: MessageSource, **fields: Any) -> JournalRecord:
    return undecryptable_record(UndecryptableMessage(Info=info(of), **fields))


def receipt(kind: "Receipt.ReceiptType", *, group: bool = False) -> JournalRecord:
    event = Receipt(
        MessageSource=source(GROUP, IsGroup=group), MessageIDs=["3EB0", "3EB1"], Timestamp=SECONDS, Type=kind
    )
    record = receipt_record(event)
    assert record is not None
    return record


def meta() -> BasicCallMeta:
    return BasicCallMeta(**{"from": OTHER}, timestamp=SECONDS, callCreator=LID, callCreatorAlt=PHONE, callID="C1")


def group_notice() -> CallOfferNotice:
    data = Node(Tag="offer_notice", Attrs=[NodeAttrs(name="group-jid", jid=GROUP)])
    return CallOfferNotice(basicCallMeta=meta(), media="audio", type="group", data=data)


def group() -> JoinedGroupEv:
    return JoinedGroupEv(
        Reason="invite",
        GroupInfo=GroupInfo(
            JID=GROUP,
            OwnerJID=LID,
            GroupName=GroupName(Name="Friends"),
            GroupTopic=GroupTopic(Topic="about"),
            GroupLocked=GroupLocked(isLocked=True),
            GroupEphemeral=GroupEphemeral(IsEphemeral=True, DisappearingTimer=86400),
            Participants=[
                GroupParticipant(JID=LID, PhoneNumber=PHONE, IsAdmin=True, IsSuperAdmin=True),
                GroupParticipant(JID=OTHER, IsAdmin=True),
                GroupParticipant(JID=PHONE),
            ],
        ),
    )


def members() -> GroupInfoEv:
    return GroupInfoEv(
        JID=GROUP,
        Sender=LID,
        Timestamp=SECONDS,
        Join=[OTHER],
        Leave=[PHONE],
        JoinReason="invite",
        Promote=[LID],
        Demote=[OTHER],
    )


def settings() -> GroupInfoEv:
    return GroupInfoEv(
        JID=GROUP,
        Timestamp=SECONDS,
        Name=GroupName(Name="New"),
        Topic=GroupTopic(TopicDeleted=True),
        Locked=GroupLocked(isLocked=False),
        Announce=GroupAnnounce(IsAnnounce=True),
        Ephemeral=GroupEphemeral(IsEphemeral=False),
        Delete=GroupDelete(Deleted=True),
        NewInviteLink="https://chat.whatsapp.com/x",
        UnknownChanges=[Node(Tag="member_label")],
    )


def history() -> InboundHistory:
    numbers = HistorySync(syncType=HistorySync.RECENT, chunkOrder=1)
    rest = HistorySync(syncType=HistorySync.RECENT, conversations=[Conversation(ID="1001@lid")])
    numberless = rest.SerializeToString().removeprefix(b"\x08\x03")
    return InboundHistory("", 1, 1, numbers.SerializeToString() + numberless)  # numbers come first in every part


def app_state(*index: str, full_sync: bool = False, more: bytes = b"", **value: Any) -> InboundAppState:
    at = INSTANT - timedelta(days=1) if full_sync else INSTANT
    data = SyncActionValue(timestamp=int(at.timestamp()) * 1000, **value).SerializeToString() + more
    return InboundAppState("", index, at, full_sync, data)


EXPECTED: dict[str, Callable[[], JournalRecord | None]] = {
    "message_text": lambda: message(Message(conversation='Grüße 👍 "a\\b"\n\t\x01\x7f</script>&\u2028')),
    "message_unclean": lambda: message(unclean()),
    "message_edit": lambda: message(
        protocol(ProtocolMessage.MESSAGE_EDIT, editedMessage=Message(conversation="better")),
        info(in_group(), Edit="1"),
        RetryCount=2,
    ),
    "message_view_once": lambda: message(
        Message(imageMessage=ImageMessage(caption="look", mimetype="image/jpeg")),
        info(MediaType="image"),
        IsEphemeral=True,
        IsViewOnce=True,
        IsViewOnceV2=True,
    ),
    "message_own": lambda: message(Message(conversation="from my phone"), info(own())),
    "message_newsletter": lambda: message(
        Message(conversation="news"), info(source(CHANNEL, CHANNEL, EMPTY), ServerID=123, Edit="3")
    ),
    "message_business": lambda: message(Message(groupInviteMessage=GroupInviteMessage()), business()),
    "message_reaction": lambda: message(Message(reactionMessage=ReactionMessage(text="👍", key=MessageKey(ID="3EAF")))),
    "message_revoked": lambda: message(protocol(ProtocolMessage.REVOKE), info(Edit="7")),
    "message_resent": lambda: message(Message(conversation="late"), UnavailableRequestID="3EB1"),
    "undecryptable": lambda: undecryptable(source()),
    "undecryptable_hidden": lambda: undecryptable(in_group(), DecryptFailMode=UndecryptableMessage.DECRYPT_FAIL_HIDE),
    "undecryptable_unavailable": lambda: undecryptable(own(), IsUnavailable=True),
    "undecryptable_lost": lambda: lost_message(
        "Ignoring message 3EB0 from 1001:3@lid in 1203@g.us: failed: old counter", INSTANT
    ),
    "receipt_delivered": lambda: receipt(Receipt.DELIVERED),
    "receipt_inactive": lambda: receipt(Receipt.INACTIVE),
    "receipt_sender": lambda: receipt(Receipt.SENDER),
    "receipt_retry": lambda: receipt(Receipt.RETRY),
    "receipt_read": lambda: receipt(Receipt.READ, group=True),
    "receipt_read-self": lambda: receipt(Receipt.READ_SELF),
    "receipt_played": lambda: receipt(Receipt.PLAYED),
    "receipt_played-self": lambda: receipt(Receipt.SERVER_ERROR),  # neonize's word for it, see `receipts`
    "call_offered": lambda: call_record(meta(), CallStep.OFFERED, Node(Tag="offer", Nodes=[Node(Tag="video")])),
    "call_group": lambda: notice_record(group_notice()),
    "call_accepted": lambda: call_record(meta(), CallStep.ACCEPTED, Node(Tag="accept")),
    "call_ended": lambda: terminate_record(
        CallTerminate(basicCallMeta=meta(), reason="timeout", data=Node(Tag="terminate"))
    ),
    "group": lambda: group_record(group(), INSTANT),
    "group_members": lambda: change_record(members()),
    "group_settings": lambda: change_record(settings()),
    "picture": lambda: picture_record(Picture(JID=GROUP, Author=LID, Timestamp=SECONDS, Remove=False)),
    "picture_removed": lambda: picture_record(Picture(JID=LID, Timestamp=SECONDS, Remove=True)),
    "identity_change": lambda: identity_record(IdentityChange(JID=LID, Timestamp=SECONDS, Implicit=False)),
    # neonize tells nothing of app state: these are what the inbox reads.
    "app_state_mute": lambda: app_state("mute", "1001@lid", muteAction={"muted": True, "muteEndTimestamp": -1}),
    "app_state_contact": lambda: app_state(
        "contact",
        "49151@s.whatsapp.net",
        full_sync=True,
        contactAction={"fullName": "Ann Lee", "firstName": "Ann", "lidJID": "1001@lid"},
    ),
    "app_state_delete_for_me": lambda: app_state(
        "deleteMessageForMe", "1203@g.us", "3EB0", "0", "1001@lid", more=b"\x92\x01\x08\x08\x00\x10\xbf\xfb\x9e\xcd\x06"
    ),
    "history": history,
    "unreadable": lambda: InboundUnreadable("", "Picture", "runtime.errorString", b"null"),
}


def test_every_payload_has_its_record_here() -> None:
    assert {path.stem for path in TESTDATA.glob("*.bin")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_both_engines_write_the_same(name: str) -> None:
    payload = (TESTDATA / f"{name}.bin").read_bytes()
    record, expected = from_payload(payload), EXPECTED[name]()
    assert expected is not None
    assert type(record) is type(expected), record
    assert re.fullmatch("[0-9a-f]{32}", getattr(record, "event_id", ""))
    assert dataclasses.replace(record, event_id="") == dataclasses.replace(expected, event_id="")
    assert to_payload(record) == payload  # pyright: ignore[reportArgumentType] - its type is the one of a record


def test_a_message_within_reads_as_it_was_sent() -> None:
    record = from_payload((TESTDATA / "message_view_once.bin").read_bytes())
    assert isinstance(record, InboundMessage)
    assert Message.FromString(record.raw).imageMessage.caption == "look"
