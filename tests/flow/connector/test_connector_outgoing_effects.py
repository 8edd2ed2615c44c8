"""Edits, deletions and reactions of ours change their target when WhatsApp has taken them, in one transaction."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable
from whatsam_connector.storage.targets import Targets
from whatsam_core.message_ids import at_of, new_message_id

SESSION, TENANT, CHAT = "whatsam/s1", "t-1", "491522000001@s.whatsapp.net"
ME = "491511000001@s.whatsapp.net"
NOW = datetime.now(UTC).replace(microsecond=0)


async def add(sql: asyncpg.Connection, kind: str, body: dict[str, Any], **more: Any) -> UUID:
    """A row as the API writes it."""
    message = new_message_id(datetime.now(UTC))
    values = {"status": "pending", "wa_id": None, "session": SESSION, "tenant": TENANT, **more}
    await sql.execute(
        "insert into messages (id, at, session, tenant, direction, chat, contact, type, body, status, wa_id) "
        "values ($1, $2, $3, $4, 'out', $5, $5, $6, $7, $8, $9)",
        message, at_of(message), values["session"], values["tenant"], CHAT, kind, json.dumps(body), values["status"],
        values["wa_id"],
    )  # fmt: skip
    return message


async def take(table: MessageTable, message: UUID, wa_id: str, at: datetime = NOW) -> None:
    """The outbox sends it."""
    assert await table.claim(SESSION, message, epoch=1, boot="b")
    assert await table.sent(SESSION, message, wa_id=wa_id, status="sent", at=at)


async def one(sql: asyncpg.Connection, message: UUID) -> dict[str, Any]:
    row = dict(await sql.fetchrow("select * from messages where id = $1", message) or {})
    return {**row, "body": json.loads(row["body"])}


def target(message: UUID) -> dict[str, Any]:
    return {"target": {"messageId": str(message)}}


async def test_an_edit_puts_the_new_text_in_and_keeps_the_old(sql: asyncpg.Connection, database: Database) -> None:
    table = MessageTable(database)
    text = await add(sql, "text", {"text": "frist"})
    picture = await add(sql, "image", {"caption": "old", "media": {"sha256": "0" * 64}})
    await take(table, text, "A")
    await take(table, picture, "B")
    edit = await add(sql, "edit", {"text": "first", **target(text)})
    assert (await one(sql, text))["body"] == {"text": "frist"}, "not before WhatsApp has taken it"
    await take(table, edit, "C")
    row = await one(sql, text)
    assert (row["body"]["text"], row["edited_at"], row["status"]) == ("first", NOW, "sent")
    assert [json.loads(old["body"])["text"] for old in await sql.fetch("select * from message_edits")] == ["frist"]
    await take(table, await add(sql, "edit", {"text": "new", **target(picture)}), "D")
    assert (await one(sql, picture))["body"]["caption"] == "new"
    assert (await one(sql, edit))["status"] == "sent"


async def test_a_deletion_takes_the_content_out(sql: asyncpg.Connection, database: Database) -> None:
    table = MessageTable(database)
    text = await add(sql, "text", {"text": "regret"})
    await take(table, text, "A")
    await take(table, await add(sql, "revoke", target(text)), "B")
    row = await one(sql, text)
    assert (row["body"], row["deleted_at"]) == ({}, NOW)


async def test_the_last_reaction_counts(sql: asyncpg.Connection, database: Database) -> None:
    table = MessageTable(database)
    text = await add(sql, "text", {"text": "hi"})
    await take(table, text, "A")
    for number, emoji in enumerate(("👍", "❤️", "")):
        body = {"reaction": {"emoji": emoji}, "actor": ME, **target(text)}
        await take(table, await add(sql, "reaction", body), f"R{number}", NOW + timedelta(seconds=number))
        rows = [dict(row) for row in await sql.fetch("select chat, wa_id, sender, emoji from reactions")]
        assert rows == [{"chat": CHAT, "wa_id": "A", "sender": ME, "emoji": emoji}]


async def test_another_session_is_never_changed(sql: asyncpg.Connection, database: Database) -> None:
    table = MessageTable(database)
    theirs = await add(sql, "text", {"text": "theirs"}, session="whatsam/s2", status="sent", wa_id="X")
    other = await add(sql, "text", {"text": "theirs"}, tenant="t-2", status="sent", wa_id="Y")
    for message in (theirs, other):
        await take(table, await add(sql, "edit", {"text": "mine", **target(message)}), f"E{message}")
        await take(table, await add(sql, "revoke", target(message)), f"R{message}")
        row = await one(sql, message)
        assert (row["body"], row["deleted_at"]) == ({"text": "theirs"}, None)


async def test_targets_are_looked_up_in_their_session(sql: asyncpg.Connection, database: Database) -> None:
    targets = Targets(database)
    message = await add(sql, "text", {"text": "hi"}, status="sent", wa_id="A")
    found = await targets.target(SESSION, message)
    assert found is not None
    assert (found.wa_id, found.status) == ("A", "sent")
    assert await targets.target("whatsam/s2", message) is None
