"""What came from WhatsApp, written by the stretch: once, whole, in any order, and never backwards."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from connector_postgres import empty
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whatsam_connector.errors import UnstorableRecord
from whatsam_connector.messages.batch import (
    Batch,
    ChatChange,
    ContactChange,
    Deferred,
    Edit,
    MediaSource,
    NewEvent,
    NewMessage,
    ReactionChange,
    ReceiptFor,
    Revoke,
    TargetKey,
    TargetRow,
    Vote,
)
from whatsam_connector.storage import incoming_receipts
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable
from whatsam_core.message_ids import derived_message_id, message_at, new_message_id
from whatsam_local.postgres import PostgresServer

SESSION, TENANT, UID = "whatsam/s1", "t-1", uuid4()
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANN, BOB = "491522000001@s.whatsapp.net", "491522000002@s.whatsapp.net"
GROUP = "120363012345678901@g.us"


def event(name: str, kind: str = "message.received") -> NewEvent:
    return NewEvent(derived_message_id(NOW, "event", name), kind, {"of": name})


def message(name: str, seconds: int = 0, **more: Any) -> NewMessage:
    at = message_at(NOW + timedelta(seconds=seconds))
    made = NewMessage(
        id=derived_message_id(at, str(UID), name),
        direction="in",
        chat=ANN,
        contact=ANN,
        sender=ANN,
        sender_phone="491522000001",
        wa_id=f"WA-{name}",
        type="text",
        body={"text": f"hello {name}"},
        status="received",
        at=at,
        unread=True,
        event=event(name),
    )
    return replace(made, **more)


async def target(table: MessageTable, wa_id: str, *chats: str) -> TargetRow:
    found = (await table.context(SESSION, [TargetKey(wa_id, chats or (ANN,))], [])).targets
    assert len(found) == 1
    return found[0]


async def record(table: MessageTable, **parts: Any) -> int:
    return (await table.record(SESSION, TENANT, UID, Batch(**parts))).inserted


async def sent_one(sql: asyncpg.Connection, wa_id: str, chat: str = ANN, session: str = SESSION) -> UUID:
    """An outgoing message that WhatsApp has taken, as API and outbox leave it."""
    made = new_message_id(NOW)
    await sql.execute(
        "insert into messages (id, at, session, tenant, direction, chat, contact, body, status) "
        "values ($1, $2, $3, $4, 'out', $5, $5, '{\"text\": \"ours\"}', 'pending')",
        made, message_at(NOW), session, TENANT, chat,
    )  # fmt: skip
    await sql.execute("update messages set status = 'sent', wa_id = $2 where id = $1", made, wa_id)
    return made


async def test_a_stretch_is_written_with_everything_around_it(sql: asyncpg.Connection, table: MessageTable) -> None:
    source = MediaSource("image", "/v/t62", b"k" * 32, b"s" * 32, b"e" * 32, 7, "image/jpeg", None)
    picture = message("2", 1, type="image", media={"state": "pending", "kind": "image"}, source=source)
    assert (
        await record(
            table, messages=(message("1"), picture), contacts=(ContactChange(ANN, "491522000001", None, "Ann"),)
        )
        == 2
    )
    row = await sql.fetchrow("select * from messages where wa_id = 'WA-1'")
    assert row is not None
    assert (row["session"], row["tenant"], row["session_uid"], row["at"]) == (SESSION, TENANT, UID, NOW)
    work = await sql.fetchrow("select * from media")
    assert work is not None
    assert (work["message_id"], work["state"], json.loads(work["source"])["directPath"]) == (
        picture.id,
        "pending",
        "/v/t62",
    )
    chat = await sql.fetchrow("select * from chats")
    assert chat is not None
    assert (chat["chat"], chat["unread"], chat["last_message_id"]) == (ANN, 2, picture.id)
    told = await sql.fetch("select kind, message_id from events order by id")
    assert [(one["kind"], one["message_id"]) for one in told] == [
        ("message.received", message("1").id),
        ("message.received", picture.id),
    ]


async def test_written_twice_is_written_once(sql: asyncpg.Connection, table: MessageTable) -> None:
    batch = Batch(
        messages=tuple(message(str(number), number) for number in range(5)),
        reactions=(ReactionChange(ANN, "WA-1", ANN, "👍", NOW, event("r", "message.reaction")),),
        events=(event("g", "group.updated"),),
    )
    first = await table.record(SESSION, TENANT, UID, batch)
    again = await table.record(SESSION, TENANT, UID, batch)
    assert (first.inserted, again.inserted) == (5, 0)
    assert await sql.fetchval("select unread from chats") == 5
    counts = [await sql.fetchval(f"select count(*) from {name}") for name in ("messages", "events", "reactions")]  # noqa: S608 - constants
    assert counts == [5, 7, 1]


async def test_the_same_message_in_two_records_is_one_row(sql: asyncpg.Connection, table: MessageTable) -> None:
    twin = replace(message("1"), id=derived_message_id(NOW, "another event"), event=event("another"))
    assert await record(table, messages=(message("1"), twin)) == 1
    assert await record(table, messages=(twin,)) == 0
    assert await sql.fetchval("select count(*) from events") == 1
    other_chat = replace(twin, chat=BOB, contact=BOB, sender=BOB)
    assert await record(table, messages=(other_chat,)) == 1  # ids are unique within a chat only: a sender chooses them


async def test_what_our_own_phone_sent_is_the_row_that_we_sent(sql: asyncpg.Connection, table: MessageTable) -> None:
    await sent_one(sql, "WA-9")
    echo = message("9", direction="out", status="sent", chat="55@lid", unread=False)
    assert await record(table, messages=(echo,)) == 0


async def test_one_that_could_not_be_decrypted_is_completed_in_its_place(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    lost = message("1", type="unknown", body={}, status="undecryptable", event=None)
    assert await record(table, messages=(lost,)) == 1
    source = MediaSource("image", "/v", b"k", b"s", b"e", 1, "image/png", None)
    readable = message(
        "1", 2, id=derived_message_id(NOW, "retry"), type="image", source=source, media={"state": "pending"},
        body={"caption": "so it was"},
    )  # fmt: skip
    assert await record(table, messages=(readable,)) == 1
    row = await sql.fetchrow("select id, status, type, body, attention from messages")
    assert row is not None
    assert (row["id"], row["status"], row["type"], row["attention"]) == (lost.id, "received", "image", None)
    assert await sql.fetchval("select message_id from events") == lost.id
    assert await sql.fetchval("select message_id from media") == lost.id
    assert await sql.fetchval("select unread from chats") == 1
    assert await record(table, messages=(lost,)) == 0  # late and of no use: what is readable stays
    assert await sql.fetchval("select status from messages") == "received"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(["delivered", "read", "played", "delivered"]), cuts=st.sets(st.integers(1, 3)))
def test_receipts_in_any_order_and_any_stretches_end_at_the_furthest(
    postgres: PostgresServer, order: list[str], cuts: set[int]
) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(postgres.url)
        await empty(connection)
        database = Database(postgres.url)
        table = MessageTable(database)
        await sent_one(connection, "WA-1")
        edges = [0, *sorted(cuts), len(order)]
        for first, last in pairwise(edges):
            parts = tuple(
                ReceiptFor("WA-1", status, BOB, at=NOW, event=event(f"{place}", "message.status"))
                for place, status in list(enumerate(order))[first:last]
            )
            assert await table.record(SESSION, TENANT, UID, Batch(receipts=parts))
        assert await connection.fetchval("select status from messages") == "played"
        told = [json.loads(row["body"])["of"] for row in await connection.fetch("select body from events order by id")]
        ranks = ["delivered", "read", "played"]
        rising = [ranks.index(order[int(place)]) for place in told]
        assert rising == sorted(set(rising)), "each step forward is told, once, and nothing else"
        assert rising[-1] == 2
        await connection.close()
        await database.close()

    asyncio.run(run())


async def test_receipts_of_many_sessions_at_once_reach_their_own_rows(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    """They share statements; the same id in two sessions is two messages, and another tenant's row is nobody's."""
    sessions = [f"whatsam/s{number}" for number in range(1, 6)]
    ours = {session: await sent_one(sql, "WA-1", session=session) for session in sessions}

    async def told(session: str, status: str, tenant: str = TENANT) -> frozenset[str]:
        news = event(f"{session} {status}", "message.status")
        parts = (ReceiptFor("WA-1", status, BOB, at=NOW, event=news), ReceiptFor("WA-9", status, BOB, at=NOW))
        return (await table.record(session, tenant, UID, Batch(receipts=parts))).known

    asked = [told(session, "delivered") for session in sessions]
    asked += [told(session, "read") for session in sessions[1:]]
    asked += [told("whatsam/s1", "played", tenant="t-2")]
    assert await asyncio.gather(*asked) == [{"WA-1"}] * 9 + [frozenset()]
    rows = {row["session"]: row["status"] for row in await sql.fetch("select session, status from messages")}
    assert rows == dict.fromkeys(sessions, "read") | {"whatsam/s1": "delivered"}
    events = await sql.fetch("select session, message_id, body from events")
    assert {(one["session"], one["message_id"]) for one in events} == set(ours.items())
    assert len(events) == 9


async def test_a_row_that_others_move_at_the_same_time_ends_at_the_furthest(
    postgres: PostgresServer, sql: asyncpg.Connection
) -> None:
    databases = [Database(postgres.url) for _ in range(3)]
    tables = [MessageTable(database) for database in databases]
    names = [f"WA-{number}" for number in range(10)]
    for name in names:
        await sent_one(sql, name)

    async def told(table: MessageTable, status: str) -> None:
        parts = tuple(
            ReceiptFor(name, status, BOB, at=NOW, event=event(f"{name} {status}", "message.status")) for name in names
        )
        assert (await table.record(SESSION, TENANT, UID, Batch(receipts=parts))).known == set(names)

    try:
        await asyncio.gather(*(told(*one) for one in zip(tables, ("delivered", "read", "played"), strict=True)))
    finally:
        for database in databases:
            await database.close()
    assert {row["status"] for row in await sql.fetch("select status from messages")} == {"played"}
    events = [json.loads(row["body"])["of"].split() for row in await sql.fetch("select body from events order by id")]
    ranks = ["delivered", "read", "played"]
    for name in names:
        rising = [ranks.index(status) for of, status in events if of == name]
        assert rising == sorted(set(rising)), "each step forward is told, once"
        assert rising[-1] == 2


async def test_a_row_that_was_moved_after_it_was_looked_up_is_moved_from_where_it_is(
    sql: asyncpg.Connection, table: MessageTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WA-1", "WA-2"):
        await sent_one(sql, name)
    looked_up = incoming_receipts._found

    async def then_moved(database: Database, told: Any) -> Any:
        found = await looked_up(database, told)
        await sql.execute("update messages set status = 'delivered' where wa_id = 'WA-1' and status = 'sent'")
        return found

    monkeypatch.setattr(incoming_receipts, "_found", then_moved)
    for status in ("delivered", "read"):
        parts = tuple(
            ReceiptFor(name, status, BOB, at=NOW, event=event(f"{name} {status}", "message.status"))
            for name in ("WA-1", "WA-2")
        )
        assert (await table.record(SESSION, TENANT, UID, Batch(receipts=parts))).known == {"WA-1", "WA-2"}
    rows = {row["wa_id"]: row["status"] for row in await sql.fetch("select wa_id, status from messages")}
    assert rows == {"WA-1": "read", "WA-2": "read"}
    told = [json.loads(row["body"])["of"] for row in await sql.fetch("select body from events order by id")]
    assert sorted(told) == ["WA-1 read", "WA-2 delivered", "WA-2 read"], "who moved WA-1 to delivered has told of it"


async def test_receipts_of_a_group_are_kept_for_each_member(sql: asyncpg.Connection, table: MessageTable) -> None:
    ours = await sent_one(sql, "WA-1", GROUP)
    got = (
        ReceiptFor("WA-1", "read", ANN, group=True, at=NOW),
        ReceiptFor("WA-1", "delivered", BOB, group=True, at=NOW),
        ReceiptFor("WA-1", "delivered", ANN, group=True, at=NOW),
        ReceiptFor("WA-8", "delivered", ANN, group=True, at=NOW),
    )
    result = await table.record(SESSION, TENANT, UID, Batch(receipts=got))
    assert result.known == {"WA-1"}
    rows = await sql.fetch("select recipient, status, message_id from message_receipts order by recipient")
    assert [(row["recipient"], row["status"], row["message_id"]) for row in rows] == [
        (ANN, "read", ours),
        (BOB, "delivered", ours),
    ]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(4)), cut=st.integers(0, 4))
def test_reactions_in_any_order_end_with_the_youngest(postgres: PostgresServer, order: list[int], cut: int) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(postgres.url)
        await empty(connection)
        database = Database(postgres.url)
        emojis = ["👍", "", "❤", "😮"]
        changes = [ReactionChange(ANN, "WA-1", BOB, emojis[age], NOW + timedelta(seconds=age), None) for age in order]
        for part in (changes[:cut], changes[cut:]):
            await MessageTable(database).record(SESSION, TENANT, UID, Batch(reactions=tuple(part)))
        assert await connection.fetchval("select emoji from reactions") == "😮"
        await connection.close()
        await database.close()

    asyncio.run(run())


async def test_edits_in_any_order_end_with_the_youngest_text(sql: asyncpg.Connection, table: MessageTable) -> None:
    await record(table, messages=(message("1"),))
    row = await target(table, "WA-1")

    def edit(age: int) -> Edit:
        return Edit(row, {"text": f"text {age}"}, NOW + timedelta(minutes=age), event(f"e{age}", "message.edited"))

    await record(table, edits=(edit(1), edit(3)))
    await record(table, edits=(edit(2),))
    await record(table, edits=(edit(1), edit(3)))
    assert json.loads(await sql.fetchval("select body from messages")) == {"text": "text 3"}
    old = [
        json.loads(row["body"])["text"]
        for row in await sql.fetch("select body from message_edits order by replaced_at")
    ]
    assert old == ["hello 1", "text 1"]
    told = await sql.fetch("select message_id, body from events where kind = 'message.edited' order by id")
    assert [json.loads(one["body"])["of"] for one in told] == ["e1", "e3"]
    assert {one["message_id"] for one in told} == {row.id}
    assert await sql.fetchval("select search @@ to_tsquery('simple', '3') from messages")


async def test_what_was_deleted_for_everyone_is_gone_and_stays_gone(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    source = MediaSource("image", "/v", b"k", b"s", b"e", 1, "image/png", None)
    media = {"state": "stored", "sha256": "ab" * 32}
    await record(
        table,
        messages=(message("1", body={"caption": "secret"}, media=media, source=source),),
        reactions=(ReactionChange(ANN, "WA-1", BOB, "👍", NOW, None),),
    )
    row = await target(table, "WA-1")
    revoke = Revoke(row, NOW + timedelta(minutes=1), event("gone", "message.deleted"))
    await record(table, revokes=(revoke,), edits=(Edit(row, {"text": "late"}, NOW + timedelta(minutes=2), None),))
    await record(table, edits=(Edit(row, {"text": "later"}, NOW + timedelta(minutes=3), None),), revokes=(revoke,))
    kept = await sql.fetchrow("select body, media, deleted_at from messages")
    assert kept is not None
    assert (json.loads(kept["body"]), kept["media"], kept["deleted_at"]) == ({}, None, revoke.at)
    for gone in ("media", "reactions", "message_edits"):
        assert await sql.fetchval(f"select count(*) from {gone}") == 0, gone  # noqa: S608 - constants
    assert await sql.fetchval("select sha256 from media_unreferenced") == "ab" * 32
    assert await sql.fetchval("select count(*) from events where kind = 'message.deleted'") == 1


async def test_votes_count_once_for_each_voter(sql: asyncpg.Connection, table: MessageTable) -> None:
    poll = {"question": "When?", "options": ["now", "later"], "secret": "c2VjcmV0"}
    await record(table, messages=(message("1", type="poll", body={"poll": poll}),))
    row = await target(table, "WA-1")
    assert (row.options, row.secret) == (("now", "later"), b"secret")
    for options, age in ((("now",), 1), (("later", "now"), 3), ((), 2)):
        vote = Vote(row, BOB, options, NOW + timedelta(seconds=age), event(f"v{age}", "message.vote"))
        await record(table, votes=(vote,))
    kept = await sql.fetch("select voter, options, chat from poll_votes")
    assert [(one["voter"], one["options"], one["chat"]) for one in kept] == [(BOB, ["later", "now"], ANN)]
    assert await sql.fetchval("select count(*) from events where kind = 'message.vote'") == 2


async def test_a_chat_is_read_elsewhere_and_its_settings_change(sql: asyncpg.Connection, table: MessageTable) -> None:
    await record(table, messages=(message("1"), message("2", 1)))
    read = ChatChange(ANN, ANN, "person", read=True, archived=True, ephemeral_seconds=86400)
    await record(table, messages=(message("3", 2),), chats=(read,))
    chat = await sql.fetchrow("select * from chats")
    assert chat is not None
    assert (chat["unread"], chat["archived"], chat["ephemeral_seconds"], chat["marked_unread"]) == (
        1,
        True,
        86400,
        False,
    )
    await record(table, messages=(message("0", -500, history=True, unread=False),))
    assert await sql.fetchval("select last_message_id from chats") == message("3", 2).id, (
        "the past is not the last word"
    )
    old = ChatChange("77@lid", "77@lid", "person", name="Group of old", unread=4, pinned_at=NOW)
    await record(table, chats=(old,))
    await record(table, chats=(old,))
    assert await sql.fetchval("select unread from chats where chat = '77@lid'") == 4


async def test_a_persons_two_names_become_one(sql: asyncpg.Connection, table: MessageTable) -> None:
    lid = "55@lid"
    await record(
        table, messages=(message("1", chat=lid, contact=lid),), contacts=(ContactChange(lid, None, lid, "Ann"),)
    )
    await record(table, messages=(message("2", 5),), contacts=(ContactChange(ANN, "491522000001", lid),))
    contacts = await sql.fetch("select jid, phone, lid, push_name from contacts")
    assert [tuple(row) for row in contacts] == [(ANN, "491522000001", lid, "Ann")]
    chats = await sql.fetch("select chat, unread, last_message_id from chats")
    assert [tuple(row) for row in chats] == [(ANN, 2, message("2", 5).id)]
    found = await table.context(SESSION, [TargetKey("WA-1", (ANN, lid))], [])
    assert [row.wa_id for row in found.targets] == ["WA-1"], "under the old name, as it was stored"


async def test_a_target_must_lie_in_the_chat_that_speaks_of_it(sql: asyncpg.Connection, table: MessageTable) -> None:
    await record(table, messages=(message("1"),))
    assert (await table.context(SESSION, [TargetKey("WA-1", (BOB,))], [])).targets == ()
    assert (await table.context("whatsam/other", [TargetKey("WA-1", (ANN,))], [])).targets == ()


async def test_history_of_any_month_finds_its_place(sql: asyncpg.Connection, table: MessageTable) -> None:
    ages = [0, 40, 400, 3000, 6000]
    made = [message(f"old{days}", -days * 86400, history=True) for days in ages]
    assert await record(table, messages=tuple(made)) == len(ages)
    rows = await sql.fetch("select tableoid::regclass::text as part from messages order by at")
    assert [row["part"] for row in rows] == [
        "messages_2010", "messages_2018", "messages_2025_10", "messages_2026_10", "messages_2026_11",
    ]  # fmt: skip
    far = message("far", 400 * 86400)
    assert await record(table, messages=(far,)) == 1


async def test_records_wait_until_they_are_settled(sql: asyncpg.Connection, table: MessageTable) -> None:
    waiting = Deferred(uuid4(), "WA-7", "target", b"payload", NOW)
    await record(table, deferred=(waiting, waiting))
    await record(table, deferred=(waiting,))
    assert await table.has_deferred(SESSION)
    assert (await table.context(SESSION, [], ["WA-7"])).waiting == (waiting,)
    assert await table.due(SESSION, 10) == []
    await sql.execute("update deferred set next_at = now()")
    assert await table.due(SESSION, 10) == [waiting]
    assert await table.due(SESSION, 10) == [], "it comes again later"
    await record(table, settled=(waiting.id,))
    assert not await table.has_deferred(SESSION)


async def test_all_or_nothing(sql: asyncpg.Connection, table: MessageTable) -> None:
    wrong = replace(message("2"), body={"text": "nul \x00"})
    with pytest.raises(UnstorableRecord):
        await record(table, messages=(message("1"), wrong), events=(event("x"),))
    misfiled = replace(message("3"), at=NOW + timedelta(days=1))
    with pytest.raises(UnstorableRecord):
        await record(table, messages=(misfiled,))
    assert await sql.fetchval("select count(*) from messages") == 0
    assert await sql.fetchval("select count(*) from events") == 0


async def test_another_tenants_row_of_a_session_of_that_name_stays_untouched(
    sql: asyncpg.Connection, table: MessageTable
) -> None:
    await record(table, messages=(message("1", status="undecryptable", event=None),))
    row = await target(table, "WA-1")
    other = Batch(
        messages=(message("1", id=derived_message_id(NOW, "x")),),
        edits=(Edit(row, {"text": "theirs"}, NOW, None),),
        revokes=(Revoke(row, NOW, None),),
    )
    await table.record(SESSION, "t-2", UID, other)
    kept = await sql.fetchrow("select status, body, deleted_at, tenant from messages")
    assert kept is not None
    assert (kept["status"], kept["deleted_at"], kept["tenant"]) == ("undecryptable", None, TENANT)
