"""Open outgoing messages: claimed before an engine sees them, settled after it has answered. For the outbox.

A settled row never goes back, whoever writes: each statement names the status it starts from. Sessions are always
named, so no statement can reach another tenant's rows. The table `open_messages` lists what is open, in the order of
each session's line; triggers keep it, and it tells in which month a row lies.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from whatsam_connector.messages.desk import Claim, SentRow, Wish
from whatsam_connector.messages.rows import MessageView
from whatsam_connector.messages.rules import OutRow, OutStatus
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.outgoing_effects import apply_effect
from whatsam_core.message_ids import at_of

CHANNEL = "whatsam_messages"
"""Notified with '<namespace>/<name>' when a row was added and its holder could not be called; only a wake-up."""

_OPEN = "('pending', 'sending', 'uncertain')"

_COLUMNS = "m.id, m.chat, m.type, m.body, m.status, m.attempts, m.updated_at, m.trace, m.wa_id"

_OWN_ID = "'3EB0' || upper(left(encode(sha256(uuid_send(m.id)), 'hex'), 18))"
"""A row's id at WhatsApp, for engines that take one: made of the row's own, so that each attempt has the same.

The form is that of WhatsApp's web client (whatsmeow, `GenerateMessageID`).
"""

_EPHEMERAL = "(select c.ephemeral_seconds from chats c where c.session = m.session and c.chat = m.chat) as ephemeral"

_HEAD = f"""
select {_COLUMNS}, {_EPHEMERAL} from open_messages o join messages m on m.id = o.id and m.at = o.at
where o.session = $1 and m.status in {_OPEN} order by o.seq limit 1
"""

_CLAIM_RUNS = f"""
with line as materialized (
    select w.number, w.epoch, w.own_ids, row_number() over (partition by w.number order by o.seq) as place,
           m.at, m.session, {_COLUMNS}, {_EPHEMERAL}
    from unnest($1::text[], $2::bigint[], $3::text[], $4::int[], $6::boolean[])
        with ordinality as w(session, epoch, boot, most, own_ids, number)
    cross join lateral (
        select seq, id, at from open_messages where session = w.session and id <> all ($5::uuid[])
        order by seq limit w.most
    ) as o
    join messages m on m.id = o.id and m.at = o.at and m.status in {_OPEN}
), free as (
    select * from line where status = 'pending' and place < coalesce(
        (select min(other.place) from line other where other.number = line.number and other.status <> 'pending'), 1000)
), claimed as (
    update messages as m set status = 'sending', epoch = free.epoch, boot = ($3::text[])[free.number],
        attempts = m.attempts + 1, error = null, updated_at = now(),
        wa_id = case when free.own_ids then {_OWN_ID} end
    from free where m.id = free.id and m.at = free.at and m.status = 'pending'
    returning m.id, m.wa_id
)
select line.*, claimed.id is not null as claimed, claimed.wa_id as fixed_id
from line left join claimed on claimed.id = line.id
order by line.number, line.place
"""

_SETTLE = """
with s as materialized (
    select o.id, o.at, s.wa_id, s.status, s.sent
    from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
        as s(session, id, wa_id, status, sent)
    join open_messages o on o.id = s.id and o.session = s.session
)
update messages as m set status = s.status, wa_id = s.wa_id, "timestamp" = coalesce(s.sent, now()), error = null,
    updated_at = now()
from s where m.id = s.id and m.at = s.at and m.status in ('sending', 'uncertain')
    and m.at >= $6::timestamptz and m.at <= $7::timestamptz
"""
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""Bounds that leave no month out."""


class OutgoingMessages:
    """Outgoing rows of `messages`. Each call is a transaction of its own and raises `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with the session of each new row, for ever."""
        await self._database.listen(CHANNEL, heard)

    async def sessions_with_work(self, sessions: Sequence[str]) -> set[str]:
        """Which of the sessions have an open outgoing message."""
        if not sessions:
            return set()
        query = "select distinct session from open_messages where session = any($1)"
        async with self._database.statement() as connection:
            return {str(row["session"]) for row in await connection.fetch(query, list(sessions))}

    async def head(self, session: str) -> OutRow | None:
        """The oldest open outgoing message."""
        async with self._database.statement() as connection:
            row = await connection.fetchrow(_HEAD, session)
        return None if row is None else _open_row(row, wa_id=row["wa_id"])

    async def claim_runs(self, wishes: Sequence[Wish]) -> list[Claim]:
        """For each wish the first rows of its session's line, as far as they are pending, taken in hand."""
        in_hand = [one for wish in wishes for one in wish.in_hand]
        async with self._database.statement() as connection:
            rows = await connection.fetch(
                _CLAIM_RUNS,
                [wish.session for wish in wishes],
                [wish.epoch for wish in wishes],
                [wish.boot for wish in wishes],
                [wish.most for wish in wishes],
                in_hand,
                [wish.own_ids for wish in wishes],
            )
        lines: list[list[asyncpg.Record]] = [[] for _ in wishes]
        for row in rows:
            lines[row["number"] - 1].append(row)
        claims: list[Claim] = []
        for wish, line in zip(wishes, lines, strict=True):
            claim, strays = _claim_of(line, wish.most)
            if strays:  # a stale holder claimed in the same moment: what lies behind its row is not ours to send yet
                await self.put_back(wish.session, strays, counted=False)
            claims.append(claim)
        return claims

    async def claim(self, session: str, message: UUID, *, epoch: int, boot: str) -> bool:
        """Take a pending message in hand, before the engine sees it. False: it is not pending any more."""
        query = (
            "update messages m set status = 'sending', epoch = $3, boot = $4, attempts = attempts + 1, "
            "error = null, updated_at = now() from open_messages o "
            "where o.session = $1 and o.id = $2 and m.id = o.id and m.at = o.at and m.status = 'pending'"
        )
        return await self._changed(query, session, message, epoch, boot) > 0

    async def put_back(self, session: str, messages: Sequence[UUID], *, counted: bool) -> int:
        """They certainly were not sent (or may be sent again): pending once more, in their old places. How many.

        `counted` False takes the attempt off: it never began.
        """
        query = (
            "update messages m set status = 'pending', attempts = greatest(attempts - $3, 0), updated_at = now() "
            "from open_messages o where o.session = $1 and o.id = any($2::uuid[]) and m.id = o.id and m.at = o.at "
            "and m.status in ('sending', 'uncertain')"
        )
        return await self._changed(query, session, list(messages), 0 if counted else 1)

    async def put_back_lost(self, session: str, *, epoch: int, boot: str, besides: Sequence[UUID]) -> int:
        """What was claimed under this epoch by this boot and never left its hands, `besides` what did. How many."""
        query = (
            "update messages m set status = 'pending', attempts = greatest(attempts - 1, 0), updated_at = now() "
            "from open_messages o where o.session = $1 and m.id = o.id and m.at = o.at and m.status = 'sending' "
            "and m.epoch = $2 and m.boot = $3 and m.id <> all($4::uuid[])"
        )
        return await self._changed(query, session, epoch, boot, list(besides))

    async def mark_uncertain(self, session: str, message: UUID | None = None) -> int:
        """It may have been sent (None: all that somebody has in hand). How many rows.

        `updated_at` stays the time of the claim: receipts are compared with it.
        """
        query = (
            "update messages m set status = 'uncertain' from open_messages o where o.session = $1 "
            "and ($2::uuid is null or o.id = $2) and m.id = o.id and m.at = o.at and m.status = 'sending'"
        )
        return await self._changed(query, session, message)

    async def settle(self, sent: Sequence[SentRow]) -> None:
        """Messages of any sessions were sent; what is settled already stays as it is. Not for `CHANGES_ANOTHER`."""
        async with self._database.statement() as connection:
            await connection.execute(
                _SETTLE,
                [one.session for one in sent],
                [one.id for one in sent],
                [one.wa_id for one in sent],
                [one.status for one in sent],
                [one.at for one in sent],
                *_months(one.id for one in sent),
            )

    async def sent(self, session: str, message: UUID, *, wa_id: str, status: str, at: datetime | None) -> bool:
        """It was sent under this id; `status` is sent, or what a receipt says already."""
        async with self._database.transaction() as connection:
            done = (
                _count(
                    await connection.execute(
                        _SETTLE, [session], [message], [wa_id], [status], [at], *_months([message])
                    )
                )
                > 0
            )
            if done:
                await apply_effect(connection, session, message)
            return done

    async def failed(self, session: str, message: UUID, *, error: str) -> bool:
        """It will not be sent."""
        query = (
            "update messages m set status = 'failed', error = $3, updated_at = now() from open_messages o "
            f"where o.session = $1 and o.id = $2 and m.id = o.id and m.at = o.at and m.status in {_OPEN}"
        )
        return await self._changed(query, session, message, error[:1000]) > 0

    async def view(self, session: str, message: UUID) -> MessageView | None:
        """What became of a message."""
        query = 'select id, status, wa_id, "timestamp", error from messages where session = $1 and id = $2'
        at = at_of(message)
        # An id of the first schema tells no time: then every month is looked into.
        narrowed = ("", ()) if at is None else (" and at = $3", (at,))
        async with self._database.statement() as connection:
            row = await connection.fetchrow(f"{query}{narrowed[0]}", session, message, *narrowed[1])
        if row is None:
            return None
        return MessageView(row["id"], row["status"], row["wa_id"], row["timestamp"], row["error"])

    async def _changed(self, query: str, *values: Any) -> int:
        async with self._database.statement() as connection:
            return _count(await connection.execute(query, *values))


def _months(messages: Iterable[UUID]) -> tuple[datetime, datetime]:
    """From when to when these rows lie: PostgreSQL then prepares the update of their months only, not of every one."""
    moments = [at_of(message) for message in messages]
    known = [moment for moment in moments if moment is not None]
    # An id of the first schema tells no time.
    return (min(known), max(known)) if len(known) == len(moments) and known else (_FIRST, _LAST)


def _count(done: str) -> int:
    """Rows that a statement has changed, from PostgreSQL's word for it (`UPDATE 3`)."""
    return int(done.rpartition(" ")[2])


def _claim_of(line: Sequence[asyncpg.Record], most: int) -> tuple[Claim, list[UUID]]:
    """What was claimed without a gap, and what was claimed behind one."""
    count = next((number for number, row in enumerate(line) if not row["claimed"]), len(line))
    strays = [row["id"] for row in line[count:] if row["claimed"]]
    more = count < len(line) or len(line) == most
    if count:
        rows = tuple(_open_row(row, wa_id=row["fixed_id"]) for row in line[:count])
        return Claim(rows=rows, more=more), strays
    return Claim(head=_open_row(line[0], wa_id=line[0]["wa_id"]) if line else None, more=more), strays


def _open_row(row: asyncpg.Record, *, wa_id: str | None) -> OutRow:
    body = row["body"]
    parsed = json.loads(body) if isinstance(body, str) else body
    return OutRow(
        id=row["id"],
        chat=row["chat"],
        type=row["type"],
        body=parsed if isinstance(parsed, dict) else {},
        status=OutStatus(row["status"]),
        attempts=row["attempts"],
        claimed_at=row["updated_at"],
        wa_id=wa_id,
        ephemeral_seconds=row["ephemeral"] or 0,
        trace=row["trace"],
    )
