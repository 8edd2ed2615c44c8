"""What is done on the phone: its chats, names and deletions, as rows show them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from connector_inbound_kit import ADA, ADA_LID, BOB, BOB_LID, GROUP, OWNER, START, Table, take_over, text
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.content.schema import SyncActionValue
from whatsam_connector.journal import InboundAppState, JournalRecord
from whatsam_connector.messages.batch import FOR_EVER, NO_LONGER, ChatChange
from whatsam_connector.messages.inbound import Finding, Wants, translate
from whatsam_connector.messages.inbound.naming import named, unnamed

CHAT = f"{ADA}@s.whatsapp.net"
WORDS = ("archive", "pin_v1", "mute", "markChatAsRead", "deleteChat", "clearChat", "contact", "deleteMessageForMe")


def done(*index: str, full_sync: bool = False, seconds: int = 60, **value: Any) -> InboundAppState:
    at = START + timedelta(seconds=seconds)
    data = SyncActionValue(timestamp=int(at.timestamp() * 1000), **value).SerializeToString()
    return InboundAppState(f"state-{seconds}", index, at, full_sync, data)


def said(record: JournalRecord) -> Finding:
    return translate(record, OWNER, Wants())


def change(record: JournalRecord) -> ChatChange:
    finding = said(record)
    assert (finding.count, finding.events, finding.messages) == ("app_state", [], [])
    (found,) = finding.chats
    return found


def test_a_chat_is_archived_and_taken_out_again() -> None:
    away = change(done("archive", CHAT, archiveChatAction={"archived": True}))
    assert (away.contact, away.kind, away.archived) == (CHAT, "person", True)
    assert change(done("archive", GROUP, archiveChatAction={"archived": False})).archived is False


def test_a_chat_is_pinned_since_then_and_no_longer() -> None:
    assert change(done("pin_v1", CHAT, seconds=7, pinAction={"pinned": True})).pinned_at == START + timedelta(seconds=7)
    assert change(done("pin_v1", CHAT, pinAction={"pinned": False})).pinned_at == NO_LONGER


def test_a_chat_is_muted_until_then_or_for_ever_or_no_longer() -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    end = int(until.timestamp() * 1000)
    assert change(done("mute", CHAT, muteAction={"muted": True, "muteEndTimestamp": end})).muted_until == until
    assert change(done("mute", CHAT, muteAction={"muted": True, "muteEndTimestamp": -1})).muted_until == FOR_EVER
    assert change(done("mute", CHAT, muteAction={"muted": True})).muted_until == FOR_EVER
    assert change(done("mute", CHAT, muteAction={"muted": False, "muteEndTimestamp": end})).muted_until == NO_LONGER


def test_a_chat_is_marked_as_unread_and_read() -> None:
    unread = change(done("markChatAsRead", CHAT, markChatAsReadAction={"read": False}))
    assert (unread.marked_unread, unread.read) == (True, False)
    read = change(done("markChatAsRead", CHAT, markChatAsReadAction={"read": True}))
    assert (read.marked_unread, read.read) == (False, True)


def test_what_is_read_on_the_phone_is_not_unread_here() -> None:
    table = Table()
    read = done("markChatAsRead", CHAT, markChatAsReadAction={"read": True})
    take_over(table, [text(1, "A"), read, text(70, "B")])
    assert table.unread == {CHAT: 1}


def test_deleted_and_cleared_chats_keep_their_messages() -> None:
    table = Table()
    made = take_over(table, [text(1, "A"), done("deleteChat", CHAT, "0"), done("clearChat", GROUP, "0")])
    assert table.row("A").body["text"] == "hello"
    chats = {chat.contact: chat for chat in made.batch.chats}
    assert (chats[CHAT].gone_at, chats[CHAT].emptied_at) == (START + timedelta(seconds=60), None)
    assert (chats[GROUP].gone_at, chats[GROUP].emptied_at) == (None, START + timedelta(seconds=60))


def test_what_was_so_at_pairing_is_state_and_no_news() -> None:
    away = done("archive", CHAT, full_sync=True, archiveChatAction={"archived": True})
    assert change(away).archived is True
    assert change(done("markChatAsRead", CHAT, full_sync=True, markChatAsReadAction={"read": False})).marked_unread
    for old in (
        done("markChatAsRead", CHAT, full_sync=True, markChatAsReadAction={"read": True}),
        done("deleteChat", CHAT, "0", full_sync=True),
        done("clearChat", CHAT, "0", full_sync=True),
        done("deleteMessageForMe", CHAT, "A", "0", "0", full_sync=True),
    ):
        finding = said(old)
        assert (finding.chats, finding.reference, finding.aside) == ([], None, None), old


def test_names_of_the_address_book() -> None:
    (by_number,) = said(done("contact", CHAT, contactAction={"fullName": "Ada Lee", "firstName": "Ada"})).contacts
    assert (by_number.jid, by_number.phone, by_number.full_name) == (CHAT, ADA, "Ada Lee")
    with_lid = done("contact", CHAT, contactAction={"firstName": "Ada", "lidJID": ADA_LID})
    (known,) = said(with_lid).contacts
    assert (known.jid, known.lid, known.full_name, known.push_name) == (CHAT, ADA_LID, "Ada", None)
    by_lid = done("contact", BOB_LID, contactAction={"fullName": "Bob", "pnJID": f"{BOB}@s.whatsapp.net"})
    (known,) = said(by_lid).contacts
    assert (known.jid, known.lid, known.phone) == (f"{BOB}@s.whatsapp.net", BOB_LID, BOB)
    assert said(done("contact", CHAT, contactAction={})).contacts == []


def test_a_message_deleted_for_oneself_goes_whoever_wrote_it() -> None:
    table = Table()
    theirs, mine = text(1, "A", group=True), text(2, "B", group=True, own=True)
    take_over(table, [theirs, mine, done("deleteMessageForMe", GROUP, "A", "0", ADA_LID)])
    assert table.row("A").body == {}
    assert table.row("B").body != {}
    take_over(table, [done("deleteMessageForMe", GROUP, "B", "1", "0", seconds=61)])
    assert table.row("B").body == {}
    assert sorted(table.events.values()).count("message.deleted") == 2


def test_the_event_says_that_only_the_own_copy_is_gone() -> None:
    made = take_over(Table(), [text(1, "A"), done("deleteMessageForMe", CHAT, "A", "0", "0")])
    (revoke,) = made.batch.revokes
    assert revoke.event is not None
    assert revoke.event.body == {"waId": "A", "chat": CHAT, "contact": CHAT, "forMe": True}


def test_a_deletion_that_comes_before_its_message_waits_for_it() -> None:
    table = Table()
    take_over(table, [done("deleteMessageForMe", CHAT, "A", "0", "0")])
    assert table.deferred
    take_over(table, [text(1, "A")])
    assert (table.row("A").body, table.deferred) == ({}, {})


def test_a_number_that_was_learnt_before_names_the_chat() -> None:
    record = done("archive", ADA_LID, archiveChatAction={"archived": True})
    assert unnamed(record) == (ADA_LID,)
    assert change(named(record, {ADA_LID: ADA})).contact == CHAT  # pyright: ignore[reportArgumentType] - never unknown
    assert named(record, {}) == record
    assert unnamed(done("archive", CHAT)) == unnamed(InboundAppState("x", (), START, False, b"")) == ()


@pytest.mark.parametrize(
    "index", [(), ("",), ("archive",), ("star", CHAT, "A", "0", "0"), ("archive", "nobody"), ("label_edit", "3")]
)
def test_what_has_no_place_has_no_effect(index: tuple[str, ...]) -> None:
    finding = said(done(*index, archiveChatAction={"archived": True}))
    assert (finding.count, finding.chats, finding.contacts, finding.reference) == ("app_state", [], [], None)


def test_bytes_that_are_no_setting_are_kept_aside() -> None:
    assert said(InboundAppState("x", ("archive", CHAT), START, False, b"\xff")).aside == "malformed app state"


@given(
    st.lists(st.one_of(st.sampled_from((*WORDS, CHAT, GROUP, "0", "1", "")), st.text(max_size=8)), max_size=6),
    st.booleans(),
    st.binary(max_size=40),
)
def test_nothing_that_a_device_writes_stops_the_inbox(index: list[str], full_sync: bool, data: bytes) -> None:
    said(InboundAppState("x", tuple(index), START, full_sync, data))
