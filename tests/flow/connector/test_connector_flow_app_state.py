"""What is done on the phone, from a record to the tables of a real PostgreSQL: once, and nothing is erased."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from whatsam_connector.content.schema import Message, SyncActionValue
from whatsam_connector.journal import InboundAppState, InboundMessage, JournalRecord
from whatsam_connector.messages.inbound import Owner, Wants, assemble, needs, translate
from whatsam_connector.storage.messages import MessageTable

SESSION, TENANT = "whatsam/s1", "t-1"
UID = UUID("6b1f5a0e-6f2a-4d0c-9a53-2f3f1c1f7d11")
OWNER = Owner(str(UID), ("491519999999@s.whatsapp.net", "99@lid"))
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANN, PHONE = "491522000001@s.whatsapp.net", "491522000001"


def came(wa_id: str, seconds: int) -> InboundMessage:
    at = NOW + timedelta(seconds=seconds)
    raw = Message(conversation=f"text of {wa_id}").SerializeToString()
    return InboundMessage(f"m-{wa_id}", wa_id, ANN, PHONE, ANN, PHONE, False, None, "text", at, "Ann", False, raw)


def done(seconds: int, *index: str, full_sync: bool = False, **value: Any) -> InboundAppState:
    data = SyncActionValue(**value).SerializeToString()
    return InboundAppState(f"s-{seconds}", index, NOW + timedelta(seconds=seconds), full_sync, data)


async def write(table: MessageTable, *records: JournalRecord) -> None:
    """A stretch, twice: a connector that dies before it acknowledges reads it again."""
    for _ in range(2):
        findings = [translate(record, OWNER, Wants()) for record in records]
        need = needs(findings)
        context = await table.context(SESSION, need.targets, need.wa_ids)
        await table.record(SESSION, TENANT, UID, assemble(findings, context, OWNER.own, {}).batch)


async def chat(sql: asyncpg.Connection) -> dict[str, Any]:
    row = await sql.fetchrow("select * from chats where session = $1 and chat = $2", SESSION, ANN)
    assert row is not None
    return dict(row)


async def test_flags_are_set_and_taken_away(sql: asyncpg.Connection, table: MessageTable) -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    mute = {"muted": True, "muteEndTimestamp": int(until.timestamp() * 1000)}
    await write(
        table,
        came("1", 0),
        done(1, "archive", ANN, archiveChatAction={"archived": True}),
        done(2, "pin_v1", ANN, pinAction={"pinned": True}),
        done(3, "mute", ANN, muteAction=mute),
        done(4, "markChatAsRead", ANN, markChatAsReadAction={"read": False}),
    )
    row = await chat(sql)
    assert (row["archived"], row["pinned_at"], row["muted_until"]) == (True, NOW + timedelta(seconds=2), until)
    assert (row["marked_unread"], row["unread"]) == (True, 1)
    await write(
        table,
        done(5, "archive", ANN, archiveChatAction={"archived": False}),
        done(6, "pin_v1", ANN, pinAction={"pinned": False}),
        done(7, "mute", ANN, muteAction={"muted": False}),
        done(8, "markChatAsRead", ANN, markChatAsReadAction={"read": True}),
    )
    row = await chat(sql)
    assert (row["archived"], row["pinned_at"], row["muted_until"]) == (False, None, None)
    assert (row["marked_unread"], row["unread"]) == (False, 0)
    assert await sql.fetchval("select array_agg(kind) from events") == ["message.received"]


async def test_the_last_of_two_changes_in_a_stretch_counts(sql: asyncpg.Connection, table: MessageTable) -> None:
    await write(
        table,
        done(1, "pin_v1", ANN, pinAction={"pinned": True}),
        done(2, "pin_v1", ANN, pinAction={"pinned": False}),
        done(3, "mute", ANN, muteAction={"muted": False}),
        done(4, "mute", ANN, muteAction={"muted": True, "muteEndTimestamp": -1}),
    )
    row = await chat(sql)
    assert (row["pinned_at"], row["muted_until"]) == (None, datetime(9999, 1, 1, tzinfo=UTC))


async def test_a_deleted_chat_leaves_the_list_and_comes_back_with_news(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    gone = done(10, "deleteChat", ANN, "0")
    await write(table, came("1", 0), gone)
    assert await sql.fetchval("select count(*) from chats") == 0
    assert await sql.fetchval("select count(*) from messages") == 1
    await write(table, came("2", 20))
    await write(table, gone)  # read again, long after
    row = await chat(sql)
    assert (row["unread"], row["last_at"]) == (1, NOW + timedelta(seconds=20))


async def test_a_cleared_chat_shows_nothing_and_its_messages_stay(sql: asyncpg.Connection, table: MessageTable) -> None:
    clear = done(10, "clearChat", ANN, "0")
    await write(table, came("1", 0), clear)
    row = await chat(sql)
    assert (row["last_message_id"], row["unread"]) == (None, 0)
    assert await sql.fetchval("select count(*) from messages") == 1
    await write(table, came("2", 20))
    await write(table, clear)
    row = await chat(sql)
    assert (row["unread"], row["last_message_id"] is None) == (1, False)


async def test_a_message_deleted_for_oneself_is_emptied_and_told_once(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    await write(table, came("1", 0), came("2", 1))
    await write(table, done(10, "deleteMessageForMe", ANN, "1", "0", "0"))
    rows = {row["wa_id"]: row for row in await sql.fetch("select wa_id, body, deleted_at from messages")}
    assert (rows["1"]["body"], rows["1"]["deleted_at"]) == ("{}", NOW + timedelta(seconds=10))
    assert rows["2"]["deleted_at"] is None
    assert await sql.fetchval("select count(*) from events where kind = 'message.deleted'") == 1


async def test_a_name_of_the_address_book_is_the_contacts(sql: asyncpg.Connection, table: MessageTable) -> None:
    names = {"fullName": "Ann Lee", "firstName": "Ann", "lidJID": "55@lid"}
    await write(table, came("1", 0), done(1, "contact", ANN, full_sync=True, contactAction=names))
    row = await sql.fetchrow("select jid, phone, lid, full_name, push_name from contacts")
    assert row is not None
    assert tuple(row) == (ANN, PHONE, "55@lid", "Ann Lee", "Ann")
    await write(table, done(2, "contact", ANN, contactAction={"fullName": "Ann Smith"}))
    assert await sql.fetchval("select full_name from contacts") == "Ann Smith"
    assert await sql.fetchval("select count(*) from chats") == 1
