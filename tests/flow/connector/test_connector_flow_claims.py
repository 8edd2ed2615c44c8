"""Claims and settlements of many sessions in one statement, with a real PostgreSQL."""

import json
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from whatsam_connector.messages.desk import SentRow, Wish
from whatsam_connector.messages.rules import OutStatus
from whatsam_connector.storage.messages import MessageTable
from whatsam_core.message_ids import at_of, new_message_id

ONE, TWO, THREE = "ns/one", "ns/two", "ns/three"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def add(sql: asyncpg.Connection, session: str, status: str = "pending") -> UUID:
    message = new_message_id(datetime.now(UTC))
    await sql.execute(
        "insert into messages (id, at, session, tenant, direction, chat, contact, body, status) "
        "values ($1, $2, $3, 't', 'out', '491522000001', '491522000001', $4, $5)",
        message,
        at_of(message),
        session,
        json.dumps({"text": "x"}),
        status,
    )
    return message


def wish(session: str, most: int = 8, in_hand: tuple[UUID, ...] = ()) -> Wish:
    return Wish(session, 7, "boot", most, in_hand)


async def statuses(sql: asyncpg.Connection) -> dict[UUID, str]:
    return {row["id"]: row["status"] for row in await sql.fetch("select id, status from messages")}


async def test_each_session_gets_the_free_head_of_its_own_line(sql: asyncpg.Connection, table: MessageTable) -> None:
    first, second, third = [await add(sql, ONE) for _ in range(3)]
    free, uncertain, behind = await add(sql, TWO), await add(sql, TWO, "uncertain"), await add(sql, TWO)
    one, two, three = await table.claim_runs([wish(ONE, 2), wish(TWO), wish(THREE)])
    assert [row.id for row in one.rows] == [first, second]
    assert [row.id for row in two.rows] == [free]
    assert (three.rows, three.head) == ((), None)
    found = await statuses(sql)
    assert [found[message] for message in (first, second, third)] == ["sending", "sending", "pending"]
    assert [found[message] for message in (free, uncertain, behind)] == ["sending", "uncertain", "pending"]
    assert (one.rows[0].attempts, one.rows[0].body) == (0, {"text": "x"})


async def test_a_head_that_is_not_free_is_told_and_nothing_is_claimed(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    head, behind = await add(sql, ONE, "sending"), await add(sql, ONE)
    (claim,) = await table.claim_runs([wish(ONE)])
    assert claim.rows == ()
    assert claim.head is not None
    assert (claim.head.id, claim.head.status) == (head, OutStatus.SENDING)
    (claim,) = await table.claim_runs([wish(ONE, in_hand=(head,))])
    assert [row.id for row in claim.rows] == [behind]


async def test_results_of_several_sessions_are_written_once(sql: asyncpg.Connection, table: MessageTable) -> None:
    one, two = await add(sql, ONE), await add(sql, TWO)
    await table.claim_runs([wish(ONE), wish(TWO)])
    await table.settle([SentRow(ONE, one, "WA1", "sent", NOW), SentRow(TWO, two, "WA2", "delivered", None)])
    await table.settle([SentRow(ONE, one, "WA9", "sent", NOW)])
    await table.settle([SentRow(ONE, two, "WA8", "sent", NOW)])
    rows = {row["id"]: row for row in await sql.fetch("select id, status, wa_id from messages")}
    assert (rows[one]["status"], rows[one]["wa_id"]) == ("sent", "WA1")
    assert (rows[two]["status"], rows[two]["wa_id"]) == ("delivered", "WA2")
    assert await sql.fetchval("select count(*) from open_messages") == 0


async def test_a_lost_claim_is_taken_back_but_not_what_was_sent_nor_anothers(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    sent, never = await add(sql, ONE), await add(sql, ONE)
    await table.claim_runs([wish(ONE)])
    theirs = await add(sql, ONE, "sending")
    assert await table.put_back_lost(ONE, epoch=7, boot="boot", besides=[sent]) == 1
    assert await statuses(sql) == {sent: "sending", never: "pending", theirs: "sending"}
    assert await table.mark_uncertain(ONE) == 2
