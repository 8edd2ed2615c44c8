"""What WhatsApp delivers again, because an engine died between keeping and acknowledging, is one row all the same."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from connector_engine_losses import NEVER

from bench.engines import LIMIT, Account, Disk, Engines
from whatsam_connector.messages.inbox import Inbox
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable


async def copies(account: Account, wa_id: str, count: int) -> list[str]:
    """The event ids of a message's records, once there are so many."""
    async with asyncio.timeout(LIMIT):
        while True:
            found = [message.event_id for message in account.messages() if message.wa_id == wa_id]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("group", [False, True], ids=["person", "group"])
@pytest.mark.parametrize("stored_before", [False, True], ids=["both-at-once", "one-after-the-other"])
async def test_a_message_that_comes_again_after_a_kill_is_one_row(
    engines: Engines,
    sql: asyncpg.Connection,
    database: Database,
    program: list[str],
    new_number: Callable[[], str],
    tmp_path: Path,
    *,
    group: bool,
    stored_before: bool,
) -> None:
    account, contact, simulator = Account(new_number(), tmp_path, str(uuid4())), new_number(), engines.simulator
    simulator.contact(contact)
    await engines.pair([account], program)
    chat = f"{simulator.create_group(contact, [account.number]).id}@g.us" if group else account.number
    session = f"whatsam/{uuid4().hex[:8]}"
    table = MessageTable(database)
    inbox = Inbox(InboxOwner(session, "t-1", account.uid), account.journal, table, UnknownReceipts())

    settled = await engines.connected([account], program)
    first = await asyncio.to_thread(simulator.say, contact, chat, "with the keys of the group, if it is one")
    await copies(account, first, 1)
    await settled.process.stop(30)
    # It is in the journal, and its sync never ends: WhatsApp has no acknowledgement.
    engine = await engines.connected([account], program, Disk(sync_milliseconds=NEVER, slow_from=2))
    wa_id = await asyncio.to_thread(simulator.say, contact, chat, "again")
    await copies(account, wa_id, 1)
    if stored_before:
        assert await inbox.drain(LIMIT)
    await engine.kill()
    await engines.connected([account], program)
    found = await copies(account, wa_id, 1 if stored_before else 2)  # what is acknowledged is not read again
    assert len(set(found)) == 1, "the same message has the same id"
    assert await inbox.drain(LIMIT)
    rows = await sql.fetch("select id, body from messages where session = $1 and wa_id = $2", session, wa_id)
    events = await sql.fetch("select kind from events where session = $1 and message_id = $2", session, rows[0]["id"])
    assert len(rows) == 1
    assert [event["kind"] for event in events] == ["message.received"]
    assert await sql.fetchval("select unread from chats where session = $1", session) == 2
    query = "select count(*) from messages where session = $1 and wa_id = any($2::text[])"
    assert await sql.fetchval(query, session, [first, wa_id]) == 2
