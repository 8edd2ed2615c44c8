"""New messages of a batch: inserted once, completed when a readable one follows one that could not be decrypted."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from whatsam_connector.messages.batch import MediaSource, NewEvent, NewMessage
from whatsam_connector.storage.incoming_owner import Owner

if TYPE_CHECKING:
    from whatsam_connector.storage.incoming_owner import Connection

_GIVEN = (
    "with given as materialized (select * from unnest($4::uuid[], $5::timestamptz[], $6::text[], $7::text[], "
    "$8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::jsonb[], $15::jsonb[], "
    "$16::bytea[], $17::text[], $18::boolean[], $19::text[]) with ordinality as given(id, at, direction, chat, "
    "key_chat, contact, sender, sender_phone, wa_id, type, body, media, secret, status, history, quoted_wa_id, place))"
)

_INSERT = (
    f"{_GIVEN}, keys as (insert into message_keys (session, direction, wa_id, chat, id, at) "
    "select distinct on (direction, wa_id, key_chat) $1, direction, wa_id, key_chat, id, at from given "
    "where wa_id is not null order by direction, wa_id, key_chat, place on conflict do nothing returning id) "
    "insert into messages (id, at, session, tenant, session_uid, direction, chat, contact, sender, sender_phone, "
    'wa_id, type, body, media, secret, status, history, quoted_wa_id, "timestamp") '
    "select id, at, $1, $2, $3, direction, chat, contact, sender, sender_phone, wa_id, type, body, media, secret, "
    "status, history, quoted_wa_id, at from given where wa_id is null or id in (select id from keys) order by place "
    "on conflict do nothing returning id"
)

_COMPLETE = (
    f"{_GIVEN} update messages set type = given.type, body = given.body, media = given.media, secret = given.secret, "
    "status = given.status, sender = given.sender, sender_phone = coalesce(given.sender_phone, messages.sender_phone), "
    "quoted_wa_id = given.quoted_wa_id, session_uid = $3, updated_at = now() from given join message_keys as keys "
    "on keys.session = $1 and keys.wa_id = given.wa_id and keys.direction = given.direction "
    "and keys.chat = given.key_chat where messages.id = keys.id and messages.at = keys.at "
    "and messages.session = $1 and messages.tenant = $2 and messages.status = 'undecryptable' "
    "returning given.id as given_id, messages.id, messages.at"
)

_QUEUE = (
    "insert into media (session, tenant, session_uid, message_id, message_at, kind, source, size) "
    "select $1, $2, $3, given.* from unnest($4::uuid[], $5::timestamptz[], $6::text[], $7::jsonb[], $8::bigint[]) "
    "as given on conflict do nothing"
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What the messages of a batch have changed."""

    rows: Mapping[UUID, tuple[UUID, datetime]]
    """Ids of the messages that were new or completed, and the rows that hold them."""
    new: frozenset[UUID]
    """Ids of those that were new."""
    events: Sequence[NewEvent]

    @property
    def inserted(self) -> int:
        """How many were new or completed."""
        return len(self.rows)


async def write(connection: "Connection", owner: Owner, messages: Sequence[NewMessage]) -> Effect:
    """Insert what is new, complete what could not be decrypted before, and queue the media of both."""
    if not messages:
        return Effect({}, frozenset(), ())
    once = list({message.id: message for message in reversed(messages)}.values())[::-1]
    found = await connection.fetch(_INSERT, owner.session, owner.tenant, owner.session_uid, *_columns(once))
    new = frozenset(row["id"] for row in found)
    rows = {message.id: (message.id, message.at) for message in once if message.id in new}
    known = [m for m in once if m.id not in new and m.wa_id is not None and m.status != "undecryptable"]
    if known:
        found = await connection.fetch(_COMPLETE, owner.session, owner.tenant, owner.session_uid, *_columns(known))
        rows |= {row["given_id"]: (row["id"], row["at"]) for row in found}
    queued = [(rows[m.id], m.source) for m in once if m.source is not None and m.id in rows]
    if queued:
        await connection.execute(_QUEUE, owner.session, owner.tenant, owner.session_uid, *_work(queued))
    events = [replace(m.event, message_id=rows[m.id][0]) for m in once if m.event is not None and m.id in rows]
    return Effect(rows, new, events)


def _columns(messages: Sequence[NewMessage]) -> list[list[object]]:
    table = [
        (
            m.id, m.at, m.direction, m.chat, "" if m.direction == "out" else m.chat, m.contact, m.sender,
            m.sender_phone, m.wa_id, m.type, json.dumps(m.body), None if m.media is None else json.dumps(m.media),
            m.secret, m.status, m.history, m.quoted_wa_id,
        )
        for m in messages
    ]  # fmt: skip
    return [list(column) for column in zip(*table, strict=True)]


def _work(queued: Sequence[tuple[tuple[UUID, datetime], MediaSource]]) -> list[list[object]]:
    table = [(row, at, source.kind, json.dumps(_open(source)), source.size) for (row, at), source in queued]
    return [list(column) for column in zip(*table, strict=True)]


def _open(source: MediaSource) -> dict[str, str | None]:
    return {
        "directPath": source.direct_path,
        "mediaKey": base64.b64encode(source.media_key).decode(),
        "encSha256": base64.b64encode(source.enc_sha256).decode(),
        "sha256": base64.b64encode(source.sha256).decode(),
        "mimetype": source.mimetype,
        "fileName": source.file_name,
    }
