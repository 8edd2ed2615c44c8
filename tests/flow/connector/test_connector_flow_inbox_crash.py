"""Whatever kills the inbox, whenever: every record of the journal has its effect, and has it once."""

import asyncio
import json
import random
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg

from whatsam_connector.content.building import plain_text
from whatsam_connector.content.schema import HistorySync, Message
from whatsam_connector.journal import InboundHistory, InboundMessage, Writer
from whatsam_connector.messages.inbound import Wants
from whatsam_connector.messages.inbox import Inbox
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable
from whatsam_local.postgres import PostgresServer

SESSION = "whatsam/s1"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
COUNT = 3000
OWNER = InboxOwner(session=SESSION, tenant="t-1", uid=str(uuid4()), wants=Wants(history=True))

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from whatsam_connector.messages.inbox import Inbox
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable

async def main(url, journal, owner):
    inbox = Inbox(InboxOwner.read(json.loads(owner)), Path(journal), MessageTable(Database(url)), UnknownReceipts())
    print("ready", flush=True)
    await inbox.drain(60)

asyncio.run(main(*sys.argv[1:]))
"""
"""A connector's inbox and nothing else, in a process that can be killed."""


def came(number: int, raw: bytes | None = None, wa_id: str | None = None) -> InboundMessage:
    return InboundMessage(
        event_id=f"event-{number}",
        wa_id=wa_id or f"WA{number}",
        chat=f"{number % 7}@lid",
        chat_phone=f"4915220000{number % 7}",
        sender=f"{number % 7}@lid",
        sender_phone=f"4915220000{number % 7}",
        from_me=False,
        text=None,
        type="text",
        timestamp=NOW + timedelta(seconds=number),
        push_name="Bob",
        group=False,
        raw=raw or plain_text(f"text {number}"),
    )


def write(folder: Path) -> None:
    """Messages; every tenth is edited, every twentieth deleted by its author."""
    with closing(Writer(folder, segment_bytes=64 * 1024)) as writer:
        for number in range(COUNT):
            writer.append(came(number))
            if number % 10 == 0:
                edit = Message()
                edit.protocolMessage.type = 14
                edit.protocolMessage.key.ID = f"WA{number}"
                edit.protocolMessage.editedMessage.conversation = "edited"
                later = came(number, edit.SerializeToString(), f"EDIT{number}")
                writer.append(InboundMessage(**{**_fields(later), "event_id": f"edit-{number}"}))
            if number % 20 == 0:
                revoke = Message()
                revoke.protocolMessage.type = 0
                revoke.protocolMessage.key.ID = f"WA{number}"
                later = came(number, revoke.SerializeToString(), f"REVOKE{number}")
                writer.append(InboundMessage(**{**_fields(later), "event_id": f"revoke-{number}"}))
        writer.sync()


def _fields(message: InboundMessage) -> dict[str, object]:
    return {name: getattr(message, name) for name in InboundMessage.__slots__}


async def check(sql: asyncpg.Connection) -> None:
    assert await sql.fetchval("select count(*) from messages") == COUNT
    assert await sql.fetchval("select count(*) from messages where deleted_at is not null") == COUNT // 20
    edited = await sql.fetchval("select count(*) from messages where body ->> 'text' = 'edited'")
    assert edited == COUNT // 10 - COUNT // 20
    kinds = await sql.fetch("select kind, count(*) as number from events group by kind")
    assert {row["kind"]: row["number"] for row in kinds} == {
        "message.received": COUNT,
        "message.edited": COUNT // 10,
        "message.deleted": COUNT // 20,
    }
    assert await sql.fetchval("select sum(unread) from chats") == COUNT


async def test_an_inbox_that_is_killed_five_times_loses_and_doubles_nothing(
    sql: asyncpg.Connection, postgres: PostgresServer, tmp_path: Path
) -> None:
    await asyncio.to_thread(write, tmp_path / "journal")
    chance = random.Random(4)  # noqa: S311 - for variety
    arguments = [sys.executable, "-c", PROGRAM, postgres.url, str(tmp_path / "journal"), json.dumps(OWNER.described())]
    for life in range(6):
        process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        if life < 5:
            before = await sql.fetchval("select count(*) from messages")
            wanted = min(before + chance.randrange(1, 700), COUNT - 1)
            async with asyncio.timeout(60):
                while await sql.fetchval("select count(*) from messages") < wanted:  # noqa: ASYNC110 - a database
                    await asyncio.sleep(0)  # it dies in the middle of its work, wherever that is
            process.kill()
        await process.wait()
    await check(sql)


async def test_an_inbox_that_is_cancelled_anywhere_goes_on_where_it_was(
    sql: asyncpg.Connection, postgres: PostgresServer, tmp_path: Path
) -> None:
    """One object, as the runner keeps it: its cursor goes back to what is acknowledged."""
    await asyncio.to_thread(write, tmp_path / "journal")
    database = Database(postgres.url)
    inbox = Inbox(OWNER, tmp_path / "journal", MessageTable(database), UnknownReceipts())
    chance = random.Random(5)  # noqa: S311 - for variety
    for _ in range(25):
        draining = asyncio.create_task(inbox.drain(60))
        await asyncio.wait([draining], timeout=chance.random() * 0.05)
        draining.cancel()
        await asyncio.wait([draining])
    assert await inbox.drain(60)
    await check(sql)
    await database.close()


async def test_history_of_thousands_goes_in_pieces_and_comes_again_without_harm(
    sql: asyncpg.Connection, postgres: PostgresServer, tmp_path: Path
) -> None:
    sync = HistorySync()
    for chat in range(3):
        conversation = sync.conversations.add(ID=f"4915220000{chat}@s.whatsapp.net", unreadCount=chat)
        for number in range(700):
            info = conversation.messages.add().message
            info.key.ID = f"OLD{number}"
            info.key.remoteJID = conversation.ID
            info.messageTimestamp = int(NOW.timestamp()) - number * 86_400
            info.message.conversation = f"number {number}"
    with closing(Writer(tmp_path / "journal")) as writer:
        for number in range(2):
            writer.append(InboundHistory(f"event-{number}", 1, 1, sync.SerializeToString()))
        writer.sync()
    database = Database(postgres.url)
    assert await Inbox(OWNER, tmp_path / "journal", MessageTable(database), UnknownReceipts()).drain(60)
    assert await sql.fetchval("select count(*) from messages where history") == 2100
    chats = await sql.fetch("select unread from chats order by chat")
    assert [chat["unread"] for chat in chats] == [0, 1, 2]
    await database.close()
