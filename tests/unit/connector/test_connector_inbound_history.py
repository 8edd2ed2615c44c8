"""What a phone's history says, built by the engine's own classes: chats, names, messages and the answers to them."""

import hashlib
from typing import Any

import pytest
from connector_inbound_kit import ADA, ADA_LID, BOB, BOB_LID, GROUP, OWN, OWNER, START, Table, take_over, text
from hypothesis import given
from hypothesis import strategies as st
from neonize.proto.waHistorySync.WAWebProtobufsHistorySync_pb2 import HistorySync

from whatsam_connector.content.schema import parse
from whatsam_connector.journal import InboundHistory
from whatsam_connector.messages.batch import Batch
from whatsam_connector.messages.inbound import Finding, Wants, history, translate
from whatsam_connector.messages.inbound.naming import named, opened, unnamed
from whatsam_connector.messages.inbound.pieces import pieces

CONTACT = f"{ADA}@s.whatsapp.net"
WANTS = Wants(history=True)
AT = int(START.timestamp()) - 86_400


def info(wa_id: str, chat: str = CONTACT, **fields: Any) -> dict[str, Any]:
    own = fields.pop("own", False)
    key = {"remoteJID": chat, "ID": wa_id, "fromMe": own, **fields.pop("key", {})}
    return {"message": {"key": key, "messageTimestamp": AT, **fields}}


def sync(*conversations: dict[str, Any], **fields: Any) -> InboundHistory:
    data = HistorySync(syncType=HistorySync.RECENT, conversations=list(conversations), **fields).SerializeToString()
    return InboundHistory("event-1", 1, 1, data)


def said(record: InboundHistory, wants: Wants = WANTS) -> Finding:
    return translate(record, OWNER, wants)


def test_messages_of_both_sides_with_their_state() -> None:
    finding = said(
        sync(
            {
                "ID": CONTACT,
                "messages": [
                    info("IN", message={"conversation": "long ago"}, pushName="Ada"),
                    info("OUT", own=True, message={"conversation": "answer"}, status=4),
                    info("EMPTY"),
                    info("", message={"conversation": "without an id"}),
                ],
            }
        )
    )
    rows = {row.wa_id: row for row in finding.messages}
    assert set(rows) == {"IN", "OUT"}
    assert (rows["IN"].direction, rows["IN"].sender, rows["IN"].status) == ("in", CONTACT, "received")
    assert rows["IN"].body == {"text": "long ago", "pushName": "Ada"}
    assert (rows["OUT"].direction, rows["OUT"].status) == ("out", "read")
    assert all(row.history and row.event is None and not row.unread for row in rows.values())
    assert int(rows["IN"].at.timestamp()) == AT


def test_messages_are_left_when_history_is_not_wanted_but_names_are_not() -> None:
    record = sync(
        {"ID": GROUP, "name": "friends", "unreadCount": 3, "messages": [info("G1", GROUP)]},
        pushnames=[{"ID": CONTACT, "pushname": "Ada"}],
    )
    finding = said(record, Wants())
    assert not finding.messages
    assert [(chat.chat, chat.name, chat.unread) for chat in finding.chats] == [(GROUP, "friends", 3)]
    assert [(contact.jid, contact.push_name) for contact in finding.contacts] == [(CONTACT, "Ada")]


def test_a_number_that_was_learnt_before_names_the_chat() -> None:
    other = {"ID": BOB_LID, "pnJID": f"{BOB}@s.whatsapp.net"}
    record = sync(
        {"ID": ADA_LID, "messages": [info("A", ADA_LID, message={"conversation": "x"})]}, other, {"ID": GROUP}
    )
    assert unnamed(record) == (ADA_LID,)
    known = named(record, {ADA_LID: ADA, BOB_LID: "1"})
    assert isinstance(known, InboundHistory)
    (row,) = said(known).messages
    assert (row.chat, row.contact) == (ADA_LID, CONTACT)
    assert [chat.contact for chat in said(known).chats] == [CONTACT, f"{BOB}@s.whatsapp.net", GROUP]
    assert named(record, {}) == record
    assert unnamed(InboundHistory("event-1", 1, 1, b"\xff")) == ()


def test_a_part_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def counted(data: bytes, kind: Any) -> Any:
        parsed.append(data)
        return parse(data, kind)

    monkeypatch.setattr(history, "parse", counted)
    record = sync({"ID": ADA_LID, "messages": [info("A", ADA_LID, message={"conversation": "x"})]})
    part = opened(record)
    (lid,) = unnamed(part)
    finding = translate(named(part, {lid: ADA}), OWNER, WANTS)
    assert [row.contact for row in finding.messages] == [CONTACT]
    assert parsed == [record.data]
    assert finding == translate(named(record, {lid: ADA}), OWNER, WANTS)


def test_events_only_when_asked() -> None:
    record = sync({"ID": CONTACT, "messages": [info("IN", message={"conversation": "x"})]})
    (row,) = said(record, Wants(history=True, history_events=True)).messages
    assert row.event is not None
    assert (row.event.kind, row.event.body) == ("message.received", {"history": True})


def test_a_chat_has_one_name_however_the_phone_calls_it() -> None:
    by_lid = sync({"ID": ADA_LID, "pnJID": CONTACT, "messages": [info("A", ADA_LID, message={"conversation": "x"})]})
    by_number = sync({"ID": CONTACT, "lidJID": ADA_LID, "messages": [info("A", message={"conversation": "x"})]})
    mapped = sync(
        {"ID": ADA_LID, "messages": [info("A", ADA_LID, message={"conversation": "x"})]},
        phoneNumberToLidMappings=[{"pnJID": CONTACT, "lidJID": ADA_LID}],
    )
    rows = [said(record).messages[0] for record in (by_lid, by_number, mapped)]
    assert {(row.chat, row.contact) for row in rows} == {(ADA_LID, CONTACT)}
    assert len({row.id for row in rows}) == 1


def test_settings_of_a_chat() -> None:
    (chat,) = said(
        sync(
            {
                "ID": CONTACT, "archived": True, "pinned": AT, "muteEndTime": (AT + 10) * 1000,
                "markedAsUnread": True, "ephemeralExpiration": 86400,
            }
        )
    ).chats  # fmt: skip
    assert (chat.archived, chat.marked_unread, chat.ephemeral_seconds) == (True, True, 86400)
    assert chat.pinned_at is not None
    assert chat.muted_until is not None
    assert (int(chat.pinned_at.timestamp()), int(chat.muted_until.timestamp())) == (AT, AT + 10)
    (chat,) = said(sync({"ID": CONTACT, "muteEndTime": 2**63})).chats
    assert chat.muted_until is not None
    assert chat.muted_until.year == 9999


def test_members_of_groups_reactions_and_votes() -> None:
    poll = {"name": "?", "options": [{"optionName": "yes"}, {"optionName": "no"}]}
    finding = said(
        sync(
            {
                "ID": GROUP,
                "messages": [
                    info(
                        "POLL", GROUP, participant=BOB_LID, message={"pollCreationMessage": poll},
                        reactions=[
                            {"key": {"participant": BOB_LID}, "text": "👍"},
                            {"key": {"fromMe": True}, "text": "x"},
                        ],
                        pollUpdates=[
                            {
                                "pollUpdateMessageKey": {"participant": BOB_LID},
                                "vote": {"selectedOptions": [hashlib.sha256(b"no").digest()]},
                            }
                        ],
                    )
                ],
            },
            phoneNumberToLidMappings=[{"pnJID": f"{BOB}@s.whatsapp.net", "lidJID": BOB_LID}],
        )
    )  # fmt: skip
    (row,) = finding.messages
    assert (row.sender, row.sender_phone, row.contact) == (BOB_LID, BOB, GROUP)
    bob = f"{BOB}@s.whatsapp.net"
    assert [(one.sender, one.emoji) for one in finding.reactions] == [(bob, "👍"), (OWN[0], "x")]
    assert [(one.voter, one.options) for one in finding.votes] == [(bob, ("no",))]


def test_system_messages_are_named() -> None:
    finding = said(
        sync({"ID": GROUP, "messages": [info("S", GROUP, messageStubType=21, messageStubParameters=["new name"])]})
    )
    assert [row.body for row in finding.messages] == [{"system": {"kind": "group_subject", "parameters": ["new name"]}}]


def test_what_came_live_stays() -> None:
    table = Table()
    take_over(table, [text(1, "WA1", "live")])
    take_over(table, [sync({"ID": ADA_LID, "pnJID": CONTACT, "messages": [
        info("WA1", ADA_LID, message={"conversation": "from history"})]})], wants=WANTS)  # fmt: skip
    assert table.row("WA1").body["text"] == "live"
    assert not table.row("WA1").history


@given(st.binary(max_size=300))
def test_no_bytes_break_it(data: bytes) -> None:
    assert said(InboundHistory("event-1", 1, 1, data)) is not None


@given(st.integers(0, 2500), st.integers(0, 1200))
def test_a_large_batch_in_pieces_is_the_same_batch(messages: int, contacts: int) -> None:
    row = said(sync({"ID": CONTACT, "messages": [info("A", message={"conversation": "x"})]})).messages[0]
    known = said(sync(pushnames=[{"ID": CONTACT, "pushname": "Ada"}])).contacts[0]
    whole = Batch(messages=(row,) * messages, contacts=(known,) * contacts, settled=(row.id,))
    parts = list(pieces(whole))
    assert sum((part.messages for part in parts), ()) == whole.messages
    assert sum((part.contacts for part in parts), ()) == whole.contacts
    assert sum((part.settled for part in parts), ()) == whole.settled
    assert all(len(part.messages) <= 500 and len(part.contacts) <= 500 for part in parts)
    assert all(not part.settled for part in parts[:-1])
