"""Receipts for messages to single persons, of many sessions at once: nothing else arrives as often. For `incoming`.

Two statements, each a transaction by itself: one looks up how far the rows have come, the other moves them on and tells
of it. The second changes a row only if it is still as the first has found it; a row that somebody else has moved
meanwhile is left to the way of all other batches, which locks rows first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from whatsam_connector.messages.batch import Batch, NewEvent, ReceiptFor
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.incoming_folding import fold_receipts
from whatsam_connector.storage.incoming_owner import Owner

_FOUND = (
    "select given.number, keys.wa_id, messages.id, messages.at, messages.status "
    "from unnest($1::integer[], $2::text[], $3::text[], $4::text[]) as given(number, session, tenant, wa_id) "
    "join message_keys as keys on keys.session = given.session and keys.direction = 'out' and keys.chat = '' "
    "and keys.wa_id = given.wa_id "
    "join messages on messages.id = keys.id and messages.at = keys.at and messages.session = given.session "
    "and messages.tenant = given.tenant "
    # One that is under way has its id already, where the engine takes ids; its receipt settles it or waits for its end.
    "where messages.status not in ('pending', 'sending', 'uncertain')"
)
_MOVE_ON = (
    "with moved as (update messages set status = given.status, updated_at = now() "
    "from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) as given(id, at, was, status) "
    "where messages.id = given.id and messages.at = given.at and messages.status = given.was "
    # Bounds of `at`, so that PostgreSQL looks at these months only.
    "and messages.at >= $5::timestamptz and messages.at <= $6::timestamptz returning messages.id), "
    "told as (insert into events (session, tenant, event_id, kind, message_id, body) "
    "select session, tenant, event_id, kind, message_id, body "
    "from unnest($7::text[], $8::text[], $9::uuid[], $10::text[], $11::uuid[], $12::jsonb[]) "
    "with ordinality as given(session, tenant, event_id, kind, message_id, body, place) "
    "where message_id in (select id from moved) order by place on conflict do nothing) "
    "select id from moved"
)


@dataclass(frozen=True, slots=True)
class Told:
    """Receipts that a session has heard of."""

    owner: Owner
    receipts: tuple[ReceiptFor, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of them."""

    known: frozenset[str]
    """wa_ids that have a row."""
    left: tuple[ReceiptFor, ...] = ()
    """Those whose rows somebody else has changed meanwhile: nothing is written of them."""


@dataclass(slots=True)
class _Row:
    """A message that receipts are about."""

    id: UUID
    at: datetime
    was: str
    status: str


def receipts_only(batch: Batch) -> bool:
    """Whether a batch is nothing but receipts of single persons."""
    return bool(batch.receipts) and batch == Batch(receipts=batch.receipts) and not any(r.group for r in batch.receipts)


async def move_on(database: Database, told: Sequence[Told]) -> list[Moved]:
    """Move messages of ours on; an answer for each of `told`. Raises `DatabaseUnavailable`."""
    rows, found = await _found(database, told)
    events: list[tuple[Owner, NewEvent, UUID]] = []
    for one, known in zip(told, found, strict=True):
        advanced, moves = fold_receipts(one.receipts, {wa_id: rows[id_].status for wa_id, id_ in known.items()})
        for wa_id, status in advanced.items():
            rows[known[wa_id]].status = status
        events += [(one.owner, event, known[wa_id]) for wa_id, event in moves]
    changed = sorted((row for row in rows.values() if row.status != row.was), key=lambda row: row.id)
    lost: set[UUID] = set()
    if changed:
        lost = {row.id for row in changed} - await _moved(database, changed, events)
    return [
        Moved(frozenset(known), tuple(r for r in one.receipts if known.get(r.wa_id) in lost))
        for one, known in zip(told, found, strict=True)
    ]


async def _found(database: Database, told: Sequence[Told]) -> tuple[dict[UUID, _Row], list[dict[str, UUID]]]:
    """The rows by id, and for each of `told` the ids of its rows by WhatsApp's."""
    asked = [
        (number, one.owner.session, one.owner.tenant, wa_id)
        for number, one in enumerate(told)
        for wa_id in {receipt.wa_id for receipt in one.receipts}
    ]
    rows: dict[UUID, _Row] = {}
    found: list[dict[str, UUID]] = [{} for _ in told]
    async with database.statement() as connection:
        records = await connection.fetch(_FOUND, *_columns(asked))
    for record in records:
        rows.setdefault(record["id"], _Row(record["id"], record["at"], record["status"], record["status"]))
        found[record["number"]][record["wa_id"]] = record["id"]
    return rows, found


async def _moved(
    database: Database, changed: Sequence[_Row], events: Sequence[tuple[Owner, NewEvent, UUID]]
) -> set[UUID]:
    ats = [row.at for row in changed]
    told = [
        (owner.session, owner.tenant, event.event_id, event.kind, message, json.dumps(event.body))
        for owner, event, message in events
    ]
    async with database.statement() as connection:
        records: list[asyncpg.Record] = await connection.fetch(
            _MOVE_ON, [row.id for row in changed], ats, [row.was for row in changed], [row.status for row in changed],
            min(ats), max(ats), *(_columns(told) or [[]] * 6),
        )  # fmt: skip
    return {record["id"] for record in records}


def _columns(table: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*table, strict=True)]
