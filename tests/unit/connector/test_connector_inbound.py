"""From journal records to rows: who may change what, what comes twice, what comes too early."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from connector_inbound_kit import (
    ADA,
    ADA_LID,
    BOB,
    BOB_LID,
    GROUP,
    OWN,
    OWNER,
    START,
    Table,
    came,
    edit,
    lost,
    react,
    retry,
    revoke,
    take_over,
    text,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from test_connector_polls import SECRET, cast

from whatsam_connector.journal import (
    CallStep,
    GroupMember,
    GroupRole,
    InboundCall,
    InboundGroup,
    InboundGroupChange,
    InboundReceipt,
    InboundUnreadable,
    JournalRecord,
    ReceiptKind,
    UnknownRecord,
)
from whatsam_connector.messages.inbound import Wants, translate
from whatsam_core.message_ids import at_of

CONTACT = f"{ADA}@s.whatsapp.net"
FILE: dict[str, Any] = {"directPath": "/v/1?x", "mediaKey": SECRET, "fileLength": 100, "mimetype": "image/png"}


def receipt(number: int, kind: ReceiptKind, *wa_ids: str, group: bool = False, sender: str = ADA_LID) -> InboundReceipt:
    at = START + timedelta(seconds=number)
    chat, phone = (GROUP, None) if group else (ADA_LID, ADA)
    return InboundReceipt(f"event-{number}", wa_ids, chat, phone, sender, kind, at, sender_phone=None, group=group)


def test_a_message_becomes_a_row_a_chat_a_contact_and_an_event() -> None:
    table = Table()
    batch = take_over(table, [text(1, "WA1")]).batch
    (row,) = batch.messages
    assert (row.direction, row.chat, row.contact, row.sender, row.status) == (
        "in",
        ADA_LID,
        CONTACT,
        ADA_LID,
        "received",
    )
    assert row.body == {"text": "hello", "pushName": "Somebody"}
    assert row.unread
    assert at_of(row.id) == row.at
    assert row.event is not None
    assert row.event.kind == "message.received"
    (chat,) = batch.chats
    assert (chat.chat, chat.contact, chat.kind) == (ADA_LID, CONTACT, "person")
    (contact,) = batch.contacts
    assert (contact.jid, contact.phone, contact.lid, contact.push_name) == (CONTACT, ADA, ADA_LID, "Somebody")


def test_what_the_own_phone_sends_is_an_outgoing_row() -> None:
    batch = take_over(Table(), [text(1, "WA1", own=True)]).batch
    (row,) = batch.messages
    assert (row.direction, row.status, row.unread) == ("out", "sent", False)
    assert row.contact == CONTACT
    assert row.event is not None
    assert row.event.kind == "message.sent"
    assert not batch.contacts


def test_without_a_number_the_lid_is_the_name() -> None:
    record = text(1, "WA1", chat="33@lid", sender="33@lid", phone=None)
    (row,) = take_over(Table(), [replace(record, chat_phone=None)]).batch.messages
    assert (row.contact, row.sender_phone) == ("33@lid", None)


def test_media_are_queued_skipped_or_too_large() -> None:
    record = came(1, "WA1", imageMessage=FILE)
    (row,) = take_over(Table(), [record]).batch.messages
    assert row.media == {"state": "pending", "kind": "image", "mimetype": "image/png", "size": 100}
    assert row.source is not None
    (off,) = translate(record, OWNER, Wants(download=False)).messages
    assert off.media is not None
    assert (off.media["state"], off.media["reason"], off.source) == ("skipped", "off", None)
    (large,) = translate(record, OWNER, Wants(max_bytes=99)).messages
    assert large.media is not None
    assert (large.media["state"], large.media["reason"], large.source) == ("skipped", "size", None)


def test_an_undecryptable_message_is_shown_and_completed_under_its_id() -> None:
    table = Table()
    take_over(table, [lost(1, "WA1")])
    assert (table.row("WA1").status, table.row("WA1").body) == ("undecryptable", {"undecryptable": "awaited"})
    assert not table.events
    first = table.row("WA1").id
    take_over(table, [text(2, "WA1", "here I am")])
    assert (table.row("WA1").id, table.row("WA1").status) == (first, "received")
    assert table.row("WA1").body["text"] == "here I am"
    assert list(table.events.values()) == ["message.received"]
    assert table.unread == {CONTACT: 1}


def test_both_in_one_stretch_make_one_row() -> None:
    table = Table()
    take_over(table, [lost(1, "WA1"), text(2, "WA1", "here I am"), lost(3, "WA1")])
    assert table.row("WA1").body["text"] == "here I am"
    assert table.unread == {CONTACT: 1}


def test_content_that_never_comes_is_told_at_once() -> None:
    table = Table()
    take_over(table, [lost(1, "WA1", unavailable=True)])
    assert list(table.events.values()) == ["message.received"]


@pytest.mark.parametrize("together", [True, False])
def test_the_author_edits_and_deletes(together: bool) -> None:
    table = Table()
    records: list[JournalRecord] = [text(1, "WA1"), text(2, "WA2"), edit(3, "WA1", "better"), revoke(4, "WA2")]
    for stretch in [records] if together else [[record] for record in records]:
        take_over(table, stretch)
    assert table.row("WA1").body["text"] == "better"
    assert table.row("WA2").body == {}
    assert sorted(table.events.values()) == sorted(["message.received"] * 2 + ["message.edited", "message.deleted"])


def test_nobody_edits_or_deletes_what_somebody_else_wrote() -> None:
    table = Table()
    take_over(table, [text(1, "ADAS", group=True), text(2, "MINE", own=True), text(3, "MINE2", own=True, group=True)])
    bob: dict[str, Any] = {"sender": BOB_LID, "phone": BOB, "group": True}
    made = take_over(table, [edit(4, "ADAS", "forged", **bob), edit(5, "MINE2", "forged", **bob)])
    assert made.counts["forged"] == 2
    # In a chat of two: the other side may not touch what is ours.
    made = take_over(table, [edit(6, "MINE", "forged"), revoke(7, "MINE")])
    assert made.counts["forged"] == 2
    # And what is in another chat is not reached at all.
    made = take_over(table, [edit(8, "ADAS", "forged"), revoke(9, "ADAS")])
    assert made.counts["deferred"] == 2
    assert [table.row(wa_id).body["text"] for wa_id in ("ADAS", "MINE", "MINE2")] == ["hello"] * 3
    assert not table.deleted


def test_an_admin_deletes_what_members_wrote() -> None:
    table = Table()
    bob: dict[str, Any] = {"sender": BOB_LID, "phone": BOB, "group": True}
    take_over(table, [text(1, "WA1", group=True)])
    made = take_over(table, [revoke(2, "WA1", **bob)])
    assert made.asks == {GROUP: {"WA1"}}
    assert not table.deleted
    retry(table, list(table.deferred.values()), {GROUP: frozenset({ADA_LID})})
    assert not table.deleted  # it is known now who is one, and Bob is none
    assert not table.deferred
    take_over(table, [revoke(3, "WA1", **bob)], {GROUP: frozenset({f"{BOB}@s.whatsapp.net"})})
    assert table.row("WA1").body == {}


def test_admins_do_not_edit() -> None:
    table = Table()
    take_over(table, [text(1, "WA1", group=True)])
    bob: dict[str, Any] = {"sender": BOB_LID, "phone": BOB, "group": True}
    made = take_over(table, [edit(2, "WA1", "forged", **bob)], {GROUP: frozenset({BOB_LID})})
    assert made.counts["forged"] == 1


def test_what_comes_before_its_target_waits_for_it() -> None:
    table = Table()
    made = take_over(table, [edit(2, "WA1", "better"), revoke(3, "WA2")])
    assert made.counts["deferred"] == 2
    assert len(table.deferred) == 2
    take_over(table, [text(0, "WA1"), text(1, "WA2")])
    assert table.row("WA1").body["text"] == "better"
    assert table.row("WA2").body == {}
    assert not table.deferred


def test_an_older_edit_does_not_undo_a_younger_one() -> None:
    table = Table()
    take_over(table, [text(1, "WA1"), edit(5, "WA1", "second")])
    take_over(table, [edit(3, "WA1", "first")])
    assert table.row("WA1").body["text"] == "second"


def test_a_caption_is_edited_as_a_caption() -> None:
    table = Table()
    take_over(table, [came(1, "WA1", imageMessage={**FILE, "caption": "old"}), edit(2, "WA1", "new")])
    assert table.row("WA1").body["caption"] == "new"
    assert "text" not in table.row("WA1").body


def test_reactions_are_kept_by_person_and_taken_back() -> None:
    table = Table()
    take_over(table, [text(1, "WA1"), react(2, "WA1", "👍"), react(3, "WA1", "❤️"), react(4, "WA9", "👍", own=True)])
    assert {key: value[1] for key, value in table.reactions.items()} == {
        (CONTACT, "WA1", CONTACT): "❤️",
        (CONTACT, "WA9", CONTACT.replace(ADA, OWN[0].partition("@")[0])): "👍",
    }
    take_over(table, [react(5, "WA1", "")])
    assert table.reactions[CONTACT, "WA1", CONTACT][1] == ""


def poll(number: int, **options: Any) -> JournalRecord:
    creation = {"name": "?", "options": [{"optionName": "yes"}, {"optionName": "no"}]}
    return came(number, "POLL", pollCreationMessage=creation, messageContextInfo={"messageSecret": SECRET}, **options)


def vote(number: int, author: str, voter: str, *chosen: str, **options: Any) -> JournalRecord:
    payload, iv = cast(author, voter, *chosen)
    update = {
        "pollCreationMessageKey": {"ID": "POLL", "remoteJID": author},
        "vote": {"encPayload": payload, "encIV": iv},
    }
    return came(number, f"VOTE{number}", pollUpdateMessage=update, **options)


@pytest.mark.parametrize("author", OWN)
@pytest.mark.parametrize("voter", [ADA_LID, CONTACT])
def test_votes_in_our_poll_are_opened(author: str, voter: str) -> None:
    table = Table()
    take_over(table, [poll(1, own=True)])
    take_over(table, [vote(2, author, voter, "no")])
    assert {key: value[1] for key, value in table.votes.items()} == {(CONTACT, "POLL", CONTACT): ("no",)}
    take_over(table, [vote(3, author, voter)])
    assert table.votes[CONTACT, "POLL", CONTACT][1] == ()


def test_our_own_vote_in_somebody_elses_poll() -> None:
    table = Table()
    take_over(table, [poll(1, group=True), vote(2, ADA_LID, OWN[1], "yes", own=True, group=True)])
    assert table.votes[GROUP, "POLL", OWN[0]][1] == ("yes",)


def test_a_vote_that_comes_before_its_poll_is_kept_and_opened_later() -> None:
    table = Table()
    take_over(table, [vote(2, ADA_LID, BOB_LID, "yes", sender=BOB_LID, phone=BOB, group=True)])
    (kept,) = table.deferred.values()
    assert kept.reason == "target"
    take_over(table, [poll(1, group=True)])
    assert table.votes[GROUP, "POLL", f"{BOB}@s.whatsapp.net"][1] == ("yes",)
    assert not table.deferred


def test_a_vote_cast_for_somebody_else_is_never_opened() -> None:
    table = Table()
    take_over(table, [poll(1, group=True)])
    take_over(table, [vote(2, ADA_LID, "33@lid", "yes", sender=BOB_LID, phone=BOB, group=True)])
    assert not table.votes
    (kept,) = table.deferred.values()
    assert kept.reason == "secret"


def test_receipts_up_to_played_and_who_of_a_group() -> None:
    kinds = [ReceiptKind.DELIVERED, ReceiptKind.READ, ReceiptKind.PLAYED]
    batch = take_over(Table(), [receipt(n, kind, "WA1", "WA2") for n, kind in enumerate(kinds)]).batch
    assert [(one.wa_id, one.status) for one in batch.receipts] == [
        (wa_id, status) for status in ("delivered", "read", "played") for wa_id in ("WA1", "WA2")
    ]
    assert len({one.event.event_id for one in batch.receipts if one.event}) == 6
    (one,) = take_over(Table(), [receipt(1, ReceiptKind.READ, "WA1", group=True, sender=BOB_LID)]).batch.receipts
    assert (one.group, one.recipient) == (True, BOB_LID)
    assert not take_over(Table(), [receipt(1, ReceiptKind.RETRY, "WA1")]).batch.receipts


def test_reading_on_another_device_makes_a_chat_read() -> None:
    table = Table()
    take_over(table, [text(1, "WA1"), text(2, "WA2")])
    assert table.unread == {CONTACT: 2}
    take_over(table, [text(3, "WA3"), receipt(4, ReceiptKind.READ_SELF, "WA3"), text(5, "WA5")])
    assert table.unread == {CONTACT: 1}


def test_calls_are_told_once_and_only_when_they_come_in() -> None:
    def step(number: int, what: CallStep) -> InboundCall:
        at = START + timedelta(seconds=number)
        return InboundCall(f"event-{number}", "CALL", what, ADA_LID, ADA, None, True, None, at)

    table = Table()
    take_over(table, [step(1, CallStep.OFFERED), step(2, CallStep.OFFERED), step(3, CallStep.ENDED)])
    (row,) = table.rows.values()
    assert (row.type, row.contact, row.unread) == ("call", CONTACT, False)
    assert row.body == {"call": {"callId": "CALL", "video": True, "rejecting": False}}
    assert list(table.events.values()) == ["call.received"]


def test_groups_tell_what_changed() -> None:
    change = InboundGroupChange(
        event_id="event-1", group=GROUP, by=ADA_LID, timestamp=START, joined=(BOB_LID,), left=(), promoted=(),
        demoted=(), join_reason="", subject="new name", description=None, announce=True, locked=None,
        ephemeral_seconds=86400, deleted=False, invite_link="https://chat.example/secret", other=(),
    )  # fmt: skip
    table = Table()
    take_over(table, [change])
    kinds = {row.body["system"]["kind"]: row.body["system"] for row in table.rows.values()}
    assert set(kinds) == {
        "group_members_joined", "group_subject", "group_announce", "group_ephemeral", "group_invite_link",
    }  # fmt: skip
    assert kinds["group_members_joined"]["members"] == [BOB_LID]
    assert "chat.example" not in str(table)
    assert (table.chats[GROUP].name, table.chats[GROUP].ephemeral_seconds) == ("new name", 86400)
    assert list(table.events.values()) == ["group.updated"]


def test_a_group_that_we_come_into() -> None:
    members = (GroupMember(ADA_LID, ADA, GroupRole.OWNER), GroupMember("33@lid", None, GroupRole.MEMBER))
    record = InboundGroup("event-1", GROUP, "", "friends", "", ADA_LID, False, False, 0, members, START)
    table = Table()
    take_over(table, [record])
    assert table.chats[GROUP].name == "friends"
    assert list(table.contacts) == [CONTACT]


def test_timers_are_kept_with_the_chat() -> None:
    table = Table()
    take_over(table, [came(1, "WA1", protocolMessage={"type": 3, "ephemeralExpiration": 604800})])
    assert table.chats[CONTACT].ephemeral_seconds == 604800
    context = {"expiration": 86400}
    take_over(table, [came(2, "WA2", extendedTextMessage={"text": "x", "contextInfo": context})])
    assert table.chats[CONTACT].ephemeral_seconds == 86400


def test_what_cannot_be_understood_is_kept_aside() -> None:
    unreadable = InboundUnreadable("event-1", "Thing", "ValueError", b"x")
    for record in (unreadable, UnknownRecord(b"{}")):
        finding = translate(record, OWNER, Wants())
        assert finding.aside
        assert not finding.messages
    assert translate(replace(text(1, "WA1"), raw=b"\xff"), OWNER, Wants()).aside == "malformed"


def test_status_posts_are_neither_unread_nor_told() -> None:
    (row,) = take_over(Table(), [text(1, "WA1", chat="status@broadcast")]).batch.messages
    assert (row.contact, row.unread, row.event) == ("status@broadcast", False, None)


STORY: list[JournalRecord] = [
    text(1, "WA1"),
    text(2, "WA2", "in a group", group=True),
    lost(3, "WA3"),
    poll(4, group=True),
    edit(5, "WA1", "one"),
    react(6, "WA2", "👍", group=True, sender=BOB_LID, phone=BOB),
    vote(7, ADA_LID, BOB_LID, "yes", sender=BOB_LID, phone=BOB, group=True),
    text(8, "WA3", "late"),
    edit(9, "WA1", "two"),
    text(10, "WA10", own=True),
    react(11, "WA2", "", group=True, sender=BOB_LID, phone=BOB),
    revoke(12, "WA2", group=True),
    edit(13, "WA3", "late, edited"),
    vote(14, ADA_LID, BOB_LID, "no", sender=BOB_LID, phone=BOB, group=True),
    edit(15, "WA10", "forged"),
]


@settings(deadline=None)
@given(st.lists(st.integers(1, len(STORY)), max_size=8), st.lists(st.booleans(), min_size=16, max_size=16))
def test_any_split_and_any_crash_gives_the_same_rows(cuts: list[int], crashes: list[bool]) -> None:
    """A crash after the commit and before the acknowledgement makes a stretch come twice."""
    whole = Table()
    take_over(whole, STORY)
    table, places = Table(), sorted({0, *cuts, len(STORY)})
    for number, (start, end) in enumerate(pairwise(places)):
        for _ in range(2 if crashes[number] else 1):
            take_over(table, STORY[start:end])
    assert table.seen() == whole.seen()
