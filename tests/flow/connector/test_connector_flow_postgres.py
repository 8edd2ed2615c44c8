"""The table of messages with a real PostgreSQL: claims, receipts, the inbox exactly once, outages."""

import asyncio
import json
import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from whatsam_connector.content.building import plain_text
from whatsam_connector.errors import DatabaseUnavailable, UnstorableRecord
from whatsam_connector.journal import InboundMessage, InboundReceipt, InboundUndecryptable, ReceiptKind, Writer
from whatsam_connector.journal.payload import from_payload
from whatsam_connector.messages.batch import Batch, NewMessage, ReceiptFor, Recorded
from whatsam_connector.messages.desk import Wish
from whatsam_connector.messages.inbox import Inbox
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.messages.leftovers import take_over_for_ever
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.rules import OutStatus
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable
from whatsam_core.message_ids import derived_message_id
from whatsam_local.postgres import PostgresServer

SESSION = "whatsam/s1"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OWNER = InboxOwner(session=SESSION, tenant="t-1", uid=str(uuid4()))


async def add(sql: asyncpg.Connection, text: str, session: str = SESSION, status: str = "pending") -> UUID:
    message = uuid4()
    await sql.execute(
        "insert into messages (id, session, tenant, direction, chat, body, status) "
        "values ($1, $2, 't-1', 'out', '+491522000001', $3, $4)",
        message,
        session,
        json.dumps({"text": text}),
        status,
    )
    return message


async def status(sql: asyncpg.Connection, message: UUID) -> str:
    return str(await sql.fetchval("select status from messages where id = $1", message))


def came(number: int, text: str = "hello", *, from_me: bool = False) -> InboundMessage:
    return InboundMessage(
        event_id=f"event-{number}",
        wa_id=f"WA{number}",
        chat="55@lid",
        chat_phone="491522000001",
        sender="55@lid",
        sender_phone="491522000001",
        from_me=from_me,
        text=text,
        type="text",
        timestamp=NOW,
        push_name="Bob",
        group=False,
        raw=plain_text(text),
    )


def receipt(*wa_ids: str, kind: ReceiptKind = ReceiptKind.DELIVERED) -> InboundReceipt:
    return InboundReceipt("event-r" + "-".join(wa_ids), wa_ids, "55@lid", None, "55@lid", kind, NOW)


def write(folder: Path, *records: InboundMessage | InboundReceipt | InboundUndecryptable) -> None:
    with closing(Writer(folder)) as writer:
        for record in records:
            writer.append(record)
        writer.sync()


async def test_the_head_is_the_oldest_open_message_of_that_session(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    await add(sql, "another session's", session="whatsam/s2")
    await add(sql, "done", status="sent")
    first, second = await add(sql, "first"), await add(sql, "second")
    head = await table.head(SESSION)
    assert head is not None
    assert (head.id, head.body, head.status) == (first, {"text": "first"}, OutStatus.PENDING)
    assert await table.claim(SESSION, first, epoch=3, boot="b")
    head = await table.head(SESSION)
    assert head is not None
    assert (head.id, head.status, head.attempts) == (first, OutStatus.SENDING, 1)
    assert await table.sent(SESSION, first, wa_id="WA1", status="sent", at=NOW)
    head = await table.head(SESSION)
    assert head is not None
    assert head.id == second
    assert await table.sessions_with_work([SESSION, "whatsam/s2", "whatsam/s3"]) == {SESSION, "whatsam/s2"}


async def test_a_message_is_claimed_once(sql: asyncpg.Connection, table: MessageTable) -> None:
    message = await add(sql, "wanted")
    claims = await asyncio.gather(*(table.claim(SESSION, message, epoch=epoch, boot="b") for epoch in range(8)))
    assert claims.count(True) == 1


async def test_a_message_has_one_id_of_its_own_for_all_attempts(sql: asyncpg.Connection, table: MessageTable) -> None:
    first, second = await add(sql, "first"), await add(sql, "second")
    wish = Wish(SESSION, 1, "b", most=8, own_ids=True)
    (claim,) = await table.claim_runs([wish])
    ids = [row.wa_id for row in claim.rows]
    assert [row.id for row in claim.rows] == [first, second]
    assert all(re.fullmatch("3EB0[0-9A-F]{18}", wa_id or "") for wa_id in ids)
    assert len(set(ids)) == 2
    # While it is under way, a receipt for it is left to the outbox.
    assert await table.advance(SESSION, [ReceiptFor(str(ids[0]), "delivered")]) == frozenset()
    await table.mark_uncertain(SESSION)
    head = await table.head(SESSION)
    assert head is not None
    assert head.wa_id == ids[0]
    await table.put_back(SESSION, [first, second], counted=True)
    (again,) = await table.claim_runs([wish])
    assert [row.wa_id for row in again.rows] == ids
    assert await table.sent(SESSION, first, wa_id=str(ids[0]), status="sent", at=NOW)
    assert await table.advance(SESSION, [ReceiptFor(str(ids[0]), "delivered")]) == {ids[0]}


async def test_an_engine_that_chooses_ids_itself_gets_none(sql: asyncpg.Connection, table: MessageTable) -> None:
    await add(sql, "first")
    (claim,) = await table.claim_runs([Wish(SESSION, 1, "b", most=8)])
    assert [row.wa_id for row in claim.rows] == [None]


async def test_a_settled_message_never_goes_back(sql: asyncpg.Connection, table: MessageTable) -> None:
    message = await add(sql, "settled", status="sent")
    assert not await table.claim(SESSION, message, epoch=1, boot="b")
    assert not await table.put_back(SESSION, [message], counted=True)
    assert not await table.mark_uncertain(SESSION, message)
    assert not await table.failed(SESSION, message, error="late")
    assert await status(sql, message) == "sent"


async def test_marking_uncertain_keeps_the_time_of_the_claim(sql: asyncpg.Connection, table: MessageTable) -> None:
    message = await add(sql, "in flight")
    await table.claim(SESSION, message, epoch=1, boot="b")
    claimed = await table.head(SESSION)
    await table.mark_uncertain(SESSION, message)
    uncertain = await table.head(SESSION)
    assert claimed is not None
    assert uncertain is not None
    assert uncertain.claimed_at == claimed.claimed_at


async def test_another_sessions_row_cannot_be_touched(sql: asyncpg.Connection, table: MessageTable) -> None:
    message = await add(sql, "theirs", session="whatsam/s2")
    assert not await table.claim(SESSION, message, epoch=1, boot="b")
    assert await table.view(SESSION, message) is None


async def test_receipts_advance_and_never_go_back(sql: asyncpg.Connection, table: MessageTable) -> None:
    message = await add(sql, "read soon")
    await table.claim(SESSION, message, epoch=1, boot="b")
    await table.sent(SESSION, message, wa_id="WA1", status="sent", at=NOW)
    assert await table.advance(SESSION, [ReceiptFor("WA1", "read"), ReceiptFor("WA9", "read")]) == {"WA1"}
    assert await table.advance(SESSION, [ReceiptFor("WA1", "delivered")]) == {"WA1"}
    assert await status(sql, message) == "read"


async def test_a_journal_read_twice_has_its_effect_once(
    sql: asyncpg.Connection, table: MessageTable, tmp_path: Path
) -> None:
    write(tmp_path / "journal", came(1), came(2, from_me=True), came(3))
    for _ in range(2):  # the second boot finds no acknowledgement: it died before it could write one
        assert await Inbox(OWNER, tmp_path / "journal", table, UnknownReceipts()).drain(10)
        for known in (tmp_path / "journal").glob("ack*"):
            known.unlink()
    rows = await sql.fetch("select direction, status, wa_id, body from messages order by wa_id")
    assert [(row["direction"], row["status"], row["wa_id"]) for row in rows] == [
        ("in", "received", "WA1"),
        ("out", "sent", "WA2"),
        ("in", "received", "WA3"),
    ]
    assert json.loads(rows[0]["body"])["text"] == "hello"


async def test_an_undecryptable_message_leaves_room_for_itself(
    sql: asyncpg.Connection, table: MessageTable, tmp_path: Path
) -> None:
    lost = InboundUndecryptable("event-0", "WA1", "55@lid", None, "55@lid", None, False, NOW, False, False)
    write(tmp_path / "journal", lost, came(1))
    assert await Inbox(OWNER, tmp_path / "journal", table, UnknownReceipts()).drain(10)
    assert await sql.fetchval("select count(*) from messages") == 1


async def test_texts_that_postgresql_cannot_hold_do_not_stop_the_inbox(
    sql: asyncpg.Connection, table: MessageTable, tmp_path: Path
) -> None:
    write(tmp_path / "journal", came(1, "nul \x00 here"), came(2, "after it"))
    assert await Inbox(OWNER, tmp_path / "journal", table, UnknownReceipts()).drain(10)
    texts = [json.loads(row["body"])["text"] for row in await sql.fetch("select body from messages order by wa_id")]
    assert texts == ["nul \ufffd here", "after it"]


async def test_one_record_that_cannot_be_stored_is_kept_aside_and_counted(
    sql: asyncpg.Connection, table: MessageTable, tmp_path: Path
) -> None:
    counted: list[str] = []

    class Choosy(MessageTable):
        async def record(self, session: str, tenant: str, session_uid: UUID | None, batch: Batch) -> Recorded:
            if any(message.wa_id == "WA2" for message in batch.messages):
                raise UnstorableRecord("DataError")
            return await super().record(session, tenant, session_uid, batch)

    choosy = Choosy(table._database)
    write(tmp_path / "journal", came(1), came(2), came(3))
    inbox = Inbox(OWNER, tmp_path / "journal", choosy, UnknownReceipts(), count=lambda kind, _n: counted.append(kind))
    assert await inbox.drain(10)
    assert {row["wa_id"] for row in await sql.fetch("select wa_id from messages")} == {"WA1", "WA3"}
    assert counted.count("set_aside") == 1
    kept = await sql.fetchrow("select event_id, reason, payload from dead_letters where session = $1", SESSION)
    assert kept is not None
    assert (kept["event_id"], kept["reason"]) == ("event-2", "unstorable")
    assert from_payload(kept["payload"]) == came(2)


async def test_unknown_receipts_are_remembered_and_known_ones_are_not(
    sql: asyncpg.Connection, table: MessageTable, tmp_path: Path
) -> None:
    message = await add(sql, "sent")
    await table.claim(SESSION, message, epoch=1, boot="b")
    await table.sent(SESSION, message, wa_id="WA1", status="sent", at=NOW)
    receipts = UnknownReceipts()
    woken: list[bool] = []
    write(tmp_path / "journal", receipt("WA1"), receipt("WA7"), receipt("WA8", kind=ReceiptKind.RETRY))
    inbox = Inbox(OWNER, tmp_path / "journal", table, receipts, on_receipts=lambda: woken.append(True))
    assert await inbox.drain(10)
    assert await status(sql, message) == "delivered"
    assert receipts.take("WA7") is not None
    assert receipts.take("WA1") is None
    assert receipts.take("WA8") is None
    assert woken


async def test_a_database_that_dies_and_returns_loses_nothing(
    sql: asyncpg.Connection, table: MessageTable, postgres: PostgresServer, tmp_path: Path
) -> None:
    write(tmp_path / "journal", *(came(number) for number in range(250)))
    inbox = Inbox(OWNER, tmp_path / "journal", table, UnknownReceipts())
    await table.head(SESSION)
    postgres.kill()
    with pytest.raises(DatabaseUnavailable):
        await table.head(SESSION)
    assert not await inbox.drain(0.5)
    assert inbox.behind
    postgres.start()
    assert await inbox.drain(20)
    assert not inbox.behind
    fresh = await asyncpg.connect(postgres.url)
    assert await fresh.fetchval("select count(*) from messages") == 250
    await fresh.close()


async def test_a_missing_table_is_waited_for(
    postgres: PostgresServer, sql: asyncpg.Connection, database: Database
) -> None:
    for table in ("messages", "open_messages"):
        await sql.execute(f"alter table {table} rename to not_yet_{table}")
    with pytest.raises(DatabaseUnavailable):
        await MessageTable(database).head(SESSION)
    for table in ("messages", "open_messages"):
        await sql.execute(f"alter table not_yet_{table} rename to {table}")
    assert await MessageTable(database).head(SESSION) is None


async def test_an_announced_row_is_heard(sql: asyncpg.Connection, table: MessageTable) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    listening = asyncio.create_task(table.listen(heard.put_nowait))
    try:
        async with asyncio.timeout(20):
            while heard.empty():
                await sql.execute("select pg_notify('whatsam_messages', $1)", SESSION)
                await asyncio.wait([asyncio.create_task(asyncio.sleep(0.1))])
            assert await heard.get() == SESSION
    finally:
        listening.cancel()


async def test_leftovers_of_a_dead_boot_are_taken_over(
    sql: asyncpg.Connection, table: MessageTable, tmp_path: Path
) -> None:
    for name, number in (("gone", 1), ("running", 2)):
        folder = tmp_path / name
        write(folder / "journal", came(number))
        (folder / "owner.json").write_text(json.dumps({"session": SESSION, "tenant": "t-1", "uid": name}))
    (tmp_path / "nameless" / "journal").mkdir(parents=True)
    working = asyncio.create_task(take_over_for_ever(tmp_path, table, lambda: {"running"}))
    try:
        async with asyncio.timeout(20):
            while await sql.fetchval("select count(*) from messages") == 0:
                await asyncio.wait([working], timeout=0.05)
        assert [row["wa_id"] for row in await sql.fetch("select wa_id from messages")] == ["WA1"]
    finally:
        working.cancel()


async def test_a_value_that_postgresql_refuses_is_named(table: MessageTable) -> None:
    row = NewMessage(
        id=derived_message_id(NOW, "row"),
        direction="in",
        chat="chat",
        contact="chat",
        sender="sender",
        sender_phone=None,
        wa_id="wa\x00",
        type="text",
        body={},
        status="received",
        at=NOW,
    )
    with pytest.raises(UnstorableRecord):
        await table.record(SESSION, "t-1", None, Batch(messages=(row,)))
