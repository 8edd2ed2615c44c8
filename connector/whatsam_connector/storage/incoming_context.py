"""What a batch must know of the past before it is made, and the records that wait for what is not there yet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from whatsam_connector.messages.batch import Context, Deferred, TargetKey
from whatsam_connector.storage.incoming_owner import Owner
from whatsam_connector.storage.target_rows import TARGET_COLUMNS, target_row

if TYPE_CHECKING:
    from whatsam_connector.storage.incoming_owner import Connection

_MOST_WAITING = 500
_TARGETS = (
    f"select distinct {TARGET_COLUMNS} "
    "from unnest($2::text[], $3::text[]) as given(wa_id, chat) "
    "join message_keys as keys on keys.session = $1 and keys.wa_id = given.wa_id "
    "join messages on messages.id = keys.id and messages.at = keys.at "
    "where messages.session = $1 and given.chat in (messages.chat, messages.contact)"
)
_WAITING = (
    "select id, wa_id, reason, payload, created_at from deferred where session = $1 and wa_id = any($2::text[]) "
    f"order by created_at limit {_MOST_WAITING}"
)
_DUE = (
    "with due as (select id from deferred where session = $1 and next_at <= now() order by next_at limit $2) "
    "update deferred set tries = tries + 1, "
    "next_at = now() + least(interval '1 minute' * power(2, least(tries, 10)), interval '6 hours') "
    "from due where deferred.id = due.id "
    "returning deferred.id, deferred.wa_id, deferred.reason, deferred.payload, deferred.created_at"
)
_DEFER = (
    "insert into deferred (session, tenant, session_uid, id, wa_id, reason, payload, created_at, next_at) "
    "select $1, $2, $3, given.*, now() + interval '1 minute' "
    "from unnest($4::uuid[], $5::text[], $6::text[], $7::bytea[], $8::timestamptz[]) as given on conflict do nothing"
)


async def context(
    connection: "Connection", session: str, targets: Sequence[TargetKey], wa_ids: Sequence[str]
) -> Context:
    """Rows that the keys mean, and records that wait for the ids."""
    pairs = sorted({(target.wa_id, chat) for target in targets for chat in target.chats})
    rows: Sequence[asyncpg.Record] = []
    if pairs:
        rows = await connection.fetch(_TARGETS, session, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    waiting: Sequence[asyncpg.Record] = []
    if wa_ids:
        waiting = await connection.fetch(_WAITING, session, list(dict.fromkeys(wa_ids)))
    return Context(targets=tuple(target_row(row) for row in rows), waiting=tuple(_deferred(row) for row in waiting))


async def due(connection: "Connection", session: str, limit: int) -> list[Deferred]:
    """Records whose time has come, oldest first."""
    found = [_deferred(row) for row in await connection.fetch(_DUE, session, limit)]
    return sorted(found, key=lambda one: one.created_at)


async def defer(connection: "Connection", owner: Owner, kept: Sequence[Deferred], settled: Sequence[UUID]) -> None:
    """Keep these records for later; forget those."""
    if kept:
        table = [(one.id, one.wa_id, one.reason, one.payload, one.created_at) for one in kept]
        columns = [list(column) for column in zip(*table, strict=True)]
        await connection.execute(_DEFER, owner.session, owner.tenant, owner.session_uid, *columns)
    if settled:
        await connection.execute(
            "delete from deferred where session = $1 and id = any($2::uuid[])", owner.session, list(settled)
        )


def _deferred(row: asyncpg.Record) -> Deferred:
    return Deferred(row["id"], row["wa_id"], row["reason"], row["payload"], row["created_at"])
