"""What later records of the journal change about messages: receipts, edits, revocations.

The rows are locked first and what becomes of them is decided by `incoming_folding`, so that several changes of one row
in one batch have the effect they would have had one after the other.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg

from whatsam_connector.messages.batch import Edit, NewEvent, ReceiptFor, Revoke
from whatsam_connector.storage.incoming_folding import Editable, fold_edits, fold_receipts, furthest_of_recipients
from whatsam_connector.storage.incoming_owner import Owner

if TYPE_CHECKING:
    from whatsam_connector.storage.incoming_owner import Connection

_OURS = (
    "select keys.wa_id, messages.id, messages.at, messages.status from message_keys as keys "
    "join messages on messages.id = keys.id and messages.at = keys.at and messages.session = $1 "
    "and ($3::text is null or messages.tenant = $3) where keys.session = $1 and keys.direction = 'out' "
    "and keys.chat = '' and keys.wa_id = any($2::text[]) "
    # One that is under way has its id already, where the engine takes ids; its receipt settles it or waits for its end.
    "and messages.status not in ('pending', 'sending', 'uncertain') order by messages.id for update of messages"
)
_ADVANCE = (
    "update messages set status = given.status, updated_at = now() "
    "from unnest($1::uuid[], $2::timestamptz[], $3::text[]) as given(id, at, status) "
    "where messages.id = given.id and messages.at = given.at "
    "and messages.at >= $4::timestamptz and messages.at <= $5::timestamptz"
)
_RANK = "array_position(array['delivered', 'read', 'played'], {})"
_PER_RECIPIENT = (
    "insert into message_receipts as kept (session, tenant, message_id, recipient, status, at) "
    "select $1, $2, given.* from unnest($3::uuid[], $4::text[], $5::text[], $6::timestamptz[]) as given "
    "on conflict (message_id, recipient) do update set status = excluded.status, at = excluded.at "
    f"where {_RANK.format('excluded.status')} > {_RANK.format('kept.status')}"
)

_LOCK = (
    "select messages.id, body, edited_at, deleted_at from messages "
    "join unnest($3::uuid[], $4::timestamptz[]) as given(id, at) on messages.id = given.id and messages.at = given.at "
    "where session = $1 and tenant = $2 order by messages.id for update of messages"
)
_EDIT = (
    "update messages set body = given.body, edited_at = given.edited_at, updated_at = now() "
    "from unnest($1::uuid[], $2::timestamptz[], $3::jsonb[], $4::timestamptz[]) as given(id, at, body, edited_at) "
    "where messages.id = given.id and messages.at = given.at"
)
_KEEP_OLD = (
    "insert into message_edits (session, tenant, message_id, body, replaced_at) "
    "select $1, $2, given.* from unnest($3::uuid[], $4::jsonb[], $5::timestamptz[]) as given on conflict do nothing"
)

_REVOKE = (
    "with before as (select messages.id, messages.at, media ->> 'sha256' as sha256, given.deleted_at from messages "
    "join unnest($3::uuid[], $4::timestamptz[], $5::timestamptz[]) as given(id, at, deleted_at) "
    "on messages.id = given.id and messages.at = given.at where session = $1 and tenant = $2 "
    "and messages.deleted_at is null order by messages.id for update of messages), "
    "loose as (insert into media_unreferenced (tenant, sha256) select distinct $2, sha256 from before "
    "where sha256 is not null on conflict (tenant, sha256) do update set since = now()) "
    "update messages set deleted_at = before.deleted_at, body = '{}', media = null, secret = null, updated_at = now() "
    "from before where messages.id = before.id and messages.at = before.at returning messages.id"
)


async def advance(connection: "Connection", session: str, given: Sequence[ReceiptFor]) -> frozenset[str]:
    """Move messages that this session has just sent on. Which ids have a row."""
    known, _ = await _move_on(connection, session, None, given)
    return frozenset(known)


async def receipts(
    connection: "Connection", owner: Owner, given: Sequence[ReceiptFor]
) -> tuple[frozenset[str], list[NewEvent]]:
    """Move messages of ours on. Which ids have a row, and the events of those that moved."""
    rows, events = await _move_on(connection, owner.session, owner.tenant, given)
    group = furthest_of_recipients(given, frozenset(rows))
    if group:
        await connection.execute(
            _PER_RECIPIENT, owner.session, owner.tenant, [rows[one.wa_id]["id"] for one in group],
            [one.recipient for one in group], [one.status for one in group], [one.at for one in group],
        )  # fmt: skip
    return frozenset(rows), [replace(event, message_id=rows[wa_id]["id"]) for wa_id, event in events]


async def edits(connection: "Connection", owner: Owner, given: Sequence[Edit]) -> list[NewEvent]:
    """Put new texts in; the old ones are kept beside. The events of those that had an effect."""
    if not given:
        return []
    targets = {edit.target.id: edit.target for edit in given}
    found = await connection.fetch(
        _LOCK, owner.session, owner.tenant, list(targets), [target.at for target in targets.values()]
    )
    rows = {row["id"]: Editable(json.loads(row["body"]), row["edited_at"], row["deleted_at"]) for row in found}
    changed, replaced, events = fold_edits(given, rows)
    if changed:
        await connection.execute(
            _KEEP_OLD, owner.session, owner.tenant, [old.message for old in replaced],
            [json.dumps(old.body) for old in replaced], [old.replaced_at for old in replaced],
        )  # fmt: skip
        await connection.execute(
            _EDIT, list(changed), [targets[message].at for message in changed],
            [json.dumps(row.body) for row in changed.values()], [row.edited_at for row in changed.values()],
        )  # fmt: skip
    return events


async def revokes(connection: "Connection", owner: Owner, given: Sequence[Revoke]) -> list[NewEvent]:
    """Take the content out of what was deleted for everyone. The events of those that had an effect."""
    if not given:
        return []
    first = {revoke.target.id: revoke for revoke in reversed(given)}
    gone = await connection.fetch(
        _REVOKE, owner.session, owner.tenant, list(first), [revoke.target.at for revoke in first.values()],
        [revoke.at for revoke in first.values()],
    )  # fmt: skip
    ids = [row["id"] for row in gone]
    if not ids:
        return []
    await connection.execute("delete from media where message_id = any($1::uuid[])", ids)
    await connection.execute(
        "delete from message_edits where session = $1 and message_id = any($2::uuid[])", owner.session, ids
    )
    targets = [first[message].target for message in ids]
    for table in ("reactions", "poll_votes"):
        await connection.execute(
            f"delete from {table} using unnest($2::text[], $3::text[], $4::text[]) as given(wa_id, chat, contact) "
            f"where {table}.session = $1 and {table}.wa_id = given.wa_id "
            f"and {table}.chat in (given.chat, given.contact)",
            owner.session,
            [target.wa_id for target in targets],
            [target.chat for target in targets],
            [target.contact for target in targets],
        )
    return [replace(event, message_id=message) for message in ids if (event := first[message].event) is not None]


async def _move_on(
    connection: "Connection", session: str, tenant: str | None, given: Sequence[ReceiptFor]
) -> tuple[dict[str, asyncpg.Record], list[tuple[str, NewEvent]]]:
    if not given:
        return {}, []
    found = await connection.fetch(_OURS, session, list({receipt.wa_id for receipt in given}), tenant)
    rows = {str(row["wa_id"]): row for row in found}
    advanced, events = fold_receipts(given, {wa_id: row["status"] for wa_id, row in rows.items()})
    if advanced:
        ats = [rows[wa_id]["at"] for wa_id in advanced]
        ids = [rows[wa_id]["id"] for wa_id in advanced]
        await connection.execute(_ADVANCE, ids, ats, list(advanced.values()), min(ats), max(ats))
    return rows, events
