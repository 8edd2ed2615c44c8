"""Groups, calls, people and history: what neonize hands over becomes a record, and nothing of it ends a session."""

import ctypes
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pylibmagic  # noqa: F401  # pyright: ignore[reportUnusedImport] - brings the library that neonize's import asks for
import pytest
from neonize.events import EVENT_TO_INT, Event, GroupInfoEv, HistorySyncEv, JoinedGroupEv, MessageEv, PresenceEv
from neonize.proto.Neonize_pb2 import (
    BasicCallMeta,
    CallOfferNotice,
    CallTerminate,
    ChatPresence,
    Device,
    GroupAnnounce,
    GroupDelete,
    GroupEphemeral,
    GroupInfo,
    GroupLocked,
    GroupName,
    GroupParticipant,
    GroupTopic,
    IdentityChange,
    Node,
    NodeAttrs,
    Picture,
)
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import ContextInfo, ExtendedTextMessage, Message
from neonize.proto.waHistorySync.WAWebProtobufsHistorySync_pb2 import Conversation, HistorySync

from whatsam_connector.engine.events import ChatState, ChatStateChanged, PresenceChanged
from whatsam_connector.engine.neonize_adapter.contacts import chat_state, identity_record, picture_record, presence
from whatsam_connector.engine.neonize_adapter.groups import change_record, group_record
from whatsam_connector.engine.neonize_adapter.history import history_records
from whatsam_connector.engine.neonize_adapter.inbound import message_record
from whatsam_connector.engine.neonize_adapter.jids import parse_jid
from whatsam_connector.engine.neonize_adapter.phone_calls import call_record, notice_record, terminate_record
from whatsam_connector.engine.neonize_adapter.session import NeonizeSession
from whatsam_connector.engine.neonize_adapter.subscription import Delivery, on, on_bytes
from whatsam_connector.journal import (
    CallStep,
    GroupMember,
    GroupRole,
    InboundUnreadable,
    JournalRecord,
    JournalWriteError,
)

SECONDS = 1_770_000_000
INSTANT = datetime.fromtimestamp(SECONDS, UTC)
LID, OTHER, PHONE, GROUP = (
    parse_jid("1001:3@lid"),
    parse_jid("1002@lid"),
    parse_jid("49151@s.whatsapp.net"),
    parse_jid("12@g.us"),
)


def test_a_group_that_we_came_into() -> None:
    event = JoinedGroupEv(
        Reason="invite",
        GroupInfo=GroupInfo(
            JID=GROUP,
            OwnerJID=LID,
            GroupName=GroupName(Name="Friends"),
            GroupTopic=GroupTopic(Topic="about"),
            GroupLocked=GroupLocked(isLocked=True),
            GroupAnnounce=GroupAnnounce(IsAnnounce=False),
            GroupEphemeral=GroupEphemeral(IsEphemeral=True, DisappearingTimer=86400),
            Participants=[
                GroupParticipant(JID=LID, PhoneNumber=PHONE, IsAdmin=True, IsSuperAdmin=True),
                GroupParticipant(JID=OTHER, IsAdmin=True),
                GroupParticipant(JID=parse_jid("1003@lid")),
            ],
        ),
    )
    record = group_record(event, INSTANT)
    assert (record.group, record.reason, record.subject, record.description) == (
        "12@g.us",
        "invite",
        "Friends",
        "about",
    )
    assert (record.owner, record.announce, record.locked, record.ephemeral_seconds) == ("1001@lid", False, True, 86400)
    assert record.members == (
        GroupMember("1001@lid", "49151", GroupRole.OWNER),
        GroupMember("1002@lid", None, GroupRole.ADMIN),
        GroupMember("1003@lid", None, GroupRole.MEMBER),
    )


def test_a_change_of_members_says_nothing_about_settings() -> None:
    record = change_record(GroupInfoEv(JID=GROUP, Sender=LID, Timestamp=SECONDS, Leave=[OTHER], JoinReason=""))
    assert (record.by, record.left, record.joined, record.timestamp) == ("1001@lid", ("1002@lid",), (), INSTANT)
    settings = (record.subject, record.description, record.announce, record.locked, record.ephemeral_seconds)
    assert settings == (None,) * 5
    assert not record.deleted


def test_changes_of_settings() -> None:
    record = change_record(
        GroupInfoEv(
            JID=GROUP,
            Timestamp=SECONDS,
            Name=GroupName(Name="New"),
            Topic=GroupTopic(Topic="gone", TopicDeleted=True),
            Locked=GroupLocked(isLocked=False),
            Announce=GroupAnnounce(IsAnnounce=True),
            Ephemeral=GroupEphemeral(IsEphemeral=False, DisappearingTimer=0),
            Delete=GroupDelete(Deleted=True),
            NewInviteLink="https://chat.whatsapp.com/x",
            Promote=[LID],
            Demote=[OTHER],
            UnknownChanges=[Node(Tag="member_label")],
        )
    )
    assert (record.by, record.subject, record.description) == (None, "New", "")
    assert (record.announce, record.locked, record.ephemeral_seconds, record.deleted) == (True, False, 0, True)
    assert (record.promoted, record.demoted, record.other) == (("1001@lid",), ("1002@lid",), ("member_label",))
    assert record.invite_link == "https://chat.whatsapp.com/x"


def meta() -> BasicCallMeta:
    return BasicCallMeta(**{"from": OTHER}, timestamp=SECONDS, callCreator=LID, callCreatorAlt=PHONE, callID="C1")


def test_a_call_between_two_people() -> None:
    offer = Node(Tag="offer", Nodes=[Node(Tag="audio"), Node(Tag="video")])
    record = call_record(meta(), CallStep.OFFERED, offer)
    assert (record.call_id, record.step, record.video, record.group) == ("C1", CallStep.OFFERED, True, None)
    assert (record.caller, record.caller_phone, record.timestamp) == ("1001@lid", "49151", INSTANT)
    assert not call_record(meta(), CallStep.OFFERED, Node(Tag="offer", Nodes=[Node(Tag="audio")])).video
    ended = terminate_record(CallTerminate(basicCallMeta=meta(), reason="timeout", data=Node(Tag="terminate")))
    assert (ended.step, ended.reason) == (CallStep.ENDED, "timeout")


@pytest.mark.parametrize("value", [NodeAttrs(name="group-jid", jid=GROUP), NodeAttrs(name="group-jid", text="12@g.us")])
def test_a_call_to_a_group(value: NodeAttrs) -> None:
    notice = CallOfferNotice(
        basicCallMeta=meta(), media="video", type="group", data=Node(Tag="offer_notice", Attrs=[value])
    )
    record = notice_record(notice)
    assert (record.group, record.video) == ("12@g.us", True)


def test_people() -> None:
    picture = picture_record(Picture(JID=GROUP, Author=LID, Timestamp=SECONDS, Remove=True))
    assert (picture.jid, picture.by, picture.removed) == ("12@g.us", "1001@lid", True)
    identity = identity_record(IdentityChange(JID=LID, Timestamp=SECONDS, Implicit=False))
    assert (identity.jid, identity.timestamp) == ("1001@lid", INSTANT)
    away = PresenceEv(From=LID, Unavailable=True, LastSeen=SECONDS)
    assert presence("u", away) == PresenceChanged("u", "1001@lid", False, INSTANT)
    here = PresenceEv(From=LID, Unavailable=False, LastSeen=-62135596800)
    assert presence("u", here) == PresenceChanged("u", "1001@lid", True, None)


@pytest.mark.parametrize(
    ("state", "media", "expected"),
    [
        (ChatPresence.COMPOSING, ChatPresence.TEXT, ChatState.COMPOSING),
        (ChatPresence.COMPOSING, ChatPresence.AUDIO, ChatState.RECORDING),
        (ChatPresence.PAUSED, ChatPresence.TEXT, ChatState.PAUSED),
    ],
)
def test_what_somebody_does_in_a_chat(state: Any, media: Any, expected: ChatState) -> None:
    event = ChatPresence(State=state, Media=media)
    event.MessageSource.Chat.CopyFrom(GROUP)
    event.MessageSource.Sender.CopyFrom(LID)
    assert chat_state("u", event) == ChatStateChanged("u", "12@g.us", "1001@lid", expected)


def test_history_is_kept_as_it_came() -> None:
    history = HistorySync(syncType=HistorySync.RECENT, conversations=[Conversation(ID="1@lid")])
    records = list(history_records(HistorySyncEv(Data=history).SerializeToString()))
    assert [(record.part, record.parts) for record in records] == [(1, 1)]
    assert HistorySync.FromString(records[0].data) == history


# --- what cannot be read ----------------------------------------------------------------------------------------------


@dataclass
class FakeClient:
    """What neonize's dispatcher needs of a client."""

    me: Device | None = None
    connected: bool = False
    event: Event = field(init=False)

    def __post_init__(self) -> None:
        self.event = Event(cast("Any", self))


class FakeSession:
    """A session without neonize's client: what `subscription` uses of it."""

    def __init__(self) -> None:
        self.uid = "u"
        self.client = FakeClient()
        self.bytes_handlers: dict[int, Any] = {}
        self.kept: list[JournalRecord] = []

    def keep(self, record: JournalRecord, *, is_message: bool) -> None:
        del is_message
        self.kept.append(record)


def deliver(session: FakeSession, event: "type[Any]", data: bytes) -> None:
    buffer = ctypes.create_string_buffer(data, len(data))
    Delivery(cast("NeonizeSession", session))(0, ctypes.addressof(buffer), len(data), EVENT_TO_INT[event])


def nested(levels: int) -> bytes:
    """A message that quotes a message that quotes …; built from the inside, because no library writes it."""
    inner = Message(conversation="deep").SerializeToString()
    for _ in range(levels):
        context = ContextInfo()
        context.MergeFromString(b"")
        tag = ContextInfo.DESCRIPTOR.fields_by_name["quotedMessage"].number << 3 | 2
        quoted = _field(tag, inner)
        text_tag = ExtendedTextMessage.DESCRIPTOR.fields_by_name["contextInfo"].number << 3 | 2
        message_tag = Message.DESCRIPTOR.fields_by_name["extendedTextMessage"].number << 3 | 2
        inner = _field(message_tag, _field(text_tag, quoted))
    return inner


def _field(tag: int, content: bytes) -> bytes:
    return _varint(tag) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_a_message_that_is_nested_too_deeply_is_kept_and_ends_nothing() -> None:
    session = FakeSession()
    on(
        cast("NeonizeSession", session),
        MessageEv,
        lambda event: session.kept.append(cast("Any", message_record(event))),
    )
    data = _field(2 << 3 | 2, nested(60))
    deliver(session, MessageEv, data)
    (record,) = session.kept
    assert isinstance(record, InboundUnreadable)
    assert (record.event, record.error, record.data) == ("Message", "DecodeError", data)


def test_a_handler_that_stumbles_loses_nothing() -> None:
    session = FakeSession()

    def stumble(_event: MessageEv) -> None:
        raise KeyError("strange")

    on(cast("NeonizeSession", session), MessageEv, stumble)
    deliver(session, MessageEv, b"")
    (record,) = session.kept
    assert isinstance(record, InboundUnreadable)
    assert record.error == "KeyError"


def test_a_fault_in_an_event_of_the_engine_itself_is_not_passed_over() -> None:
    session = FakeSession()
    with pytest.raises(Exception, match="Error parsing message"):
        deliver(session, Device, b"\xff\xff\xff")
    assert session.kept == []


def test_a_journal_that_cannot_be_written_is_not_passed_over() -> None:
    session = FakeSession()

    def full(_event: bytes) -> None:
        raise JournalWriteError("full")

    on_bytes(cast("NeonizeSession", session), HistorySyncEv, full)
    with pytest.raises(JournalWriteError):
        deliver(session, HistorySyncEv, b"")


def test_a_text_that_is_no_utf8_is_kept_in_its_protobuf() -> None:
    event = MessageEv()
    event.Info.ID = "3EB0"
    tag = Message.DESCRIPTOR.fields_by_name["conversation"].number << 3 | 2
    event.Message.MergeFromString(_field(tag, b"\xff\xfe"))
    record = message_record(event)
    assert record is not None
    assert (record.type, record.text) == ("text", "\ufffd\ufffd")
    assert b"\xff\xfe" in record.raw
