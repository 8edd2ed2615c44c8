"""What lies around messages: reactions, votes, people, chats, events. Written with the batch that brought it."""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from whatsam_connector.messages.batch import NO_LONGER, Batch, ChatChange, ContactChange, NewEvent, ReactionChange, Vote
from whatsam_connector.storage.incoming_messages import Effect
from whatsam_connector.storage.incoming_owner import Owner

if TYPE_CHECKING:
    from whatsam_connector.storage.incoming_owner import Connection

# A reaction that was taken away stays as a row without emoji: an older one may come after it.
_REACT = (
    "insert into reactions as kept (session, tenant, chat, wa_id, sender, emoji, at) "
    "select $1, $2, given.* from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]) as given "
    "on conflict (session, wa_id, chat, sender) do update set emoji = excluded.emoji, at = excluded.at "
    "where kept.at <= excluded.at returning chat, wa_id, sender"
)
_VOTE = (
    "insert into poll_votes as kept (session, tenant, chat, wa_id, voter, options, at) "
    "select $1, $2, chat, wa_id, voter, array(select jsonb_array_elements_text(options)), at "
    "from unnest($3::text[], $4::text[], $5::text[], $6::jsonb[], $7::timestamptz[]) "
    "as given(chat, wa_id, voter, options, at) "
    "on conflict (session, wa_id, chat, voter) do update set options = excluded.options, at = excluded.at "
    "where kept.at <= excluded.at returning chat, wa_id, voter"
)
_CONTACT = (
    "insert into contacts as kept (session, tenant, jid, phone, lid, push_name, full_name, business_name) "
    "select $1, $2, given.* from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) "
    "as given on conflict (session, jid) do update set phone = coalesce(excluded.phone, kept.phone), "
    "lid = coalesce(excluded.lid, kept.lid), push_name = coalesce(excluded.push_name, kept.push_name), "
    "full_name = coalesce(excluded.full_name, kept.full_name), "
    "business_name = coalesce(excluded.business_name, kept.business_name), updated_at = now() "
    # Names come with every message: only what is new is worth a write.
    "where (coalesce(excluded.phone, kept.phone), coalesce(excluded.lid, kept.lid), "
    "coalesce(excluded.push_name, kept.push_name), coalesce(excluded.full_name, kept.full_name), "
    "coalesce(excluded.business_name, kept.business_name)) "
    "is distinct from (kept.phone, kept.lid, kept.push_name, kept.full_name, kept.business_name) "
    "returning jid, lid"
)
_MERGE_CONTACTS = (
    "with gone as (delete from contacts as old using unnest($2::text[], $3::text[]) as given(jid, lid) "
    "where old.session = $1 and old.jid = given.lid and given.jid <> given.lid "
    "returning given.jid, old.push_name, old.full_name, old.business_name) "
    "update contacts set push_name = coalesce(contacts.push_name, gone.push_name), "
    "full_name = coalesce(contacts.full_name, gone.full_name), "
    "business_name = coalesce(contacts.business_name, gone.business_name) "
    "from gone where contacts.session = $1 and contacts.jid = gone.jid"
)
_MERGE_CHATS = (
    "with gone as (delete from chats as old using unnest($2::text[], $3::text[]) as given(jid, lid) "
    "where old.session = $1 and old.chat = given.lid and given.jid <> given.lid returning given.jid, old.*) "
    "insert into chats as kept (session, tenant, chat, contact, name, kind, last_at, last_message_id, unread, "
    "marked_unread, archived, pinned_at, muted_until, ephemeral_seconds) "
    "select session, tenant, jid, jid, name, kind, last_at, last_message_id, unread, marked_unread, archived, "
    "pinned_at, muted_until, ephemeral_seconds from gone "
    "on conflict (session, chat) do update set unread = kept.unread + excluded.unread, "
    "last_message_id = case when excluded.last_at > coalesce(kept.last_at, '-infinity') "
    "then excluded.last_message_id else kept.last_message_id end, "
    "last_at = greatest(kept.last_at, excluded.last_at), name = coalesce(kept.name, excluded.name), "
    "pinned_at = coalesce(kept.pinned_at, excluded.pinned_at), "
    "muted_until = coalesce(kept.muted_until, excluded.muted_until), "
    "ephemeral_seconds = greatest(kept.ephemeral_seconds, excluded.ephemeral_seconds)"
)
_CHAT = (
    "with given as materialized (select * from unnest($3::text[], $4::text[], $5::text[], $6::text[], "
    "$7::timestamptz[], $8::uuid[], $9::boolean[], $10::integer[], $11::integer[], $12::integer[], $13::boolean[], "
    "$14::boolean[], $15::timestamptz[], $16::timestamptz[], $17::integer[]) as given(chat, contact, kind, name, "
    "last_at, last_message_id, read, added, all_unread, first_unread, marked_unread, archived, pinned_at, "
    "muted_until, ephemeral_seconds)), "
    "changed as (update chats set contact = given.contact, name = coalesce(given.name, chats.name), "
    "last_message_id = case when given.last_at >= coalesce(chats.last_at, '-infinity') "
    "then given.last_message_id else chats.last_message_id end, "
    "last_at = greatest(chats.last_at, given.last_at), "
    "unread = case when given.read then given.all_unread else chats.unread + given.added end, "
    "marked_unread = coalesce(given.marked_unread, case when given.read then false end, chats.marked_unread), "
    "archived = coalesce(given.archived, chats.archived), "
    "pinned_at = nullif(coalesce(given.pinned_at, chats.pinned_at), $18), "
    "muted_until = nullif(coalesce(given.muted_until, chats.muted_until), $18), "
    "ephemeral_seconds = coalesce(given.ephemeral_seconds, chats.ephemeral_seconds), updated_at = now() "
    "from given where chats.session = $1 and chats.chat = given.chat returning chats.chat) "
    "insert into chats as kept (session, tenant, chat, contact, kind, name, last_at, last_message_id, unread, "
    "marked_unread, archived, pinned_at, muted_until, ephemeral_seconds) "
    "select $1, $2, chat, contact, kind, name, last_at, last_message_id, "
    "coalesce(first_unread, 0) + case when read then all_unread else added end, coalesce(marked_unread, false), "
    "coalesce(archived, false), nullif(pinned_at, $18), nullif(muted_until, $18), coalesce(ephemeral_seconds, 0) "
    "from given where chat not in (select chat from changed) "
    # Somebody else made it in this very moment: its place in the list is what must not get lost.
    "on conflict (session, chat) do update set last_at = greatest(kept.last_at, excluded.last_at), "
    "last_message_id = coalesce(excluded.last_message_id, kept.last_message_id), "
    "unread = kept.unread + excluded.unread"
)
# What is younger than the deletion came, or was read again, after it.
_GONE = (
    "delete from chats using unnest($2::text[], $3::timestamptz[]) as given(chat, at) "
    "where chats.session = $1 and chats.chat = given.chat and coalesce(chats.last_at, '-infinity') <= given.at"
)
_EMPTIED = (
    "update chats set last_message_id = null, unread = 0, marked_unread = false, updated_at = now() "
    "from unnest($2::text[], $3::timestamptz[]) as given(chat, at) "
    "where chats.session = $1 and chats.chat = given.chat and coalesce(chats.last_at, '-infinity') <= given.at "
    "and (chats.last_message_id is not null or chats.unread <> 0 or chats.marked_unread)"
)
_EVENT = (
    "insert into events (session, tenant, event_id, kind, message_id, body) "
    "select $1, $2, event_id, kind, message_id, body from unnest($3::uuid[], $4::text[], $5::uuid[], $6::jsonb[]) "
    "with ordinality as given(event_id, kind, message_id, body, place) order by place on conflict do nothing"
)

Change = TypeVar("Change")


async def reactions(connection: "Connection", owner: Owner, given: Sequence[ReactionChange]) -> list[NewEvent]:
    """The younger of two reactions of one person stays. The events of those that had an effect."""

    def key(one: ReactionChange) -> tuple[str, str, str]:
        return one.chat, one.wa_id, one.sender

    last = _youngest(given, key, lambda one: one.at)
    if not last:
        return []
    rows = await connection.fetch(
        _REACT, owner.session, owner.tenant, *_columns([(*at, one.emoji, one.at) for at, one in last.items()])
    )
    effective = {(row["chat"], row["wa_id"], row["sender"]) for row in rows}
    return [one.event for one in given if one.event is not None and key(one) in effective]


async def votes(connection: "Connection", owner: Owner, given: Sequence[Vote]) -> list[NewEvent]:
    """The younger of two votes of one person stays. The events of those that had an effect."""

    def key(one: Vote) -> tuple[str, str, str]:
        return one.target.contact, one.target.wa_id, one.voter

    last = _youngest(given, key, lambda one: one.at)
    if not last:
        return []
    table = [(*at, json.dumps(one.options), one.at) for at, one in last.items()]
    rows = await connection.fetch(_VOTE, owner.session, owner.tenant, *_columns(table))
    effective = {(row["chat"], row["wa_id"], row["voter"]) for row in rows}
    return [_of(one.event, one.target.id) for one in given if one.event is not None and key(one) in effective]


async def contacts(connection: "Connection", owner: Owner, given: Sequence[ContactChange]) -> None:
    """What is new about people; what was kept under a LID goes to the number, once it is known."""
    if not given:
        return
    once = {one.jid: one for one in given}
    table = [(o.jid, o.phone, o.lid, o.push_name, o.full_name, o.business_name) for o in once.values()]
    changed = await connection.fetch(_CONTACT, owner.session, owner.tenant, *_columns(table))
    learnt = [(row["jid"], row["lid"]) for row in changed if row["lid"] is not None and row["lid"] != row["jid"]]
    if learnt:
        pairs = _columns(learnt)
        await connection.execute(_MERGE_CONTACTS, owner.session, *pairs)
        await connection.execute(_MERGE_CHATS, owner.session, *pairs)


async def chats(connection: "Connection", owner: Owner, batch: Batch, effect: Effect) -> None:
    """Last message, unread number and settings of the chats that the batch is about."""
    table = _chat_rows(batch, effect)
    if table:
        await connection.execute(_CHAT, owner.session, owner.tenant, *_columns(table), NO_LONGER)
    emptied = [(change.contact, change.emptied_at) for change in batch.chats if change.emptied_at is not None]
    if emptied:
        await connection.execute(_EMPTIED, owner.session, *_columns(emptied))
    gone = [(change.contact, change.gone_at) for change in batch.chats if change.gone_at is not None]
    if gone:
        await connection.execute(_GONE, owner.session, *_columns(gone))


async def events(connection: "Connection", owner: Owner, given: Sequence[NewEvent]) -> None:
    """Tell of each once."""
    if not given:
        return
    once = {one.event_id: one for one in reversed(given)}.values()
    table = [(one.event_id, one.kind, one.message_id, json.dumps(one.body)) for one in reversed(once)]
    await connection.execute(_EVENT, owner.session, owner.tenant, *_columns(table))


@dataclass(slots=True)
class _Chat:
    contact: str
    kind: str
    last: tuple[datetime, UUID] | None = None
    added: int = 0
    """Unread messages that are new."""
    all_unread: int = 0
    """Unread messages of the batch, new or not: what is left after somebody has read the chat."""


def _chat_rows(batch: Batch, effect: Effect) -> list[tuple[object, ...]]:
    changes: Mapping[str, ChatChange] = {change.contact: change for change in batch.chats}
    found = {contact: _Chat(contact, change.kind) for contact, change in changes.items()}
    for message in batch.messages:
        chat = found.setdefault(message.contact, _Chat(message.contact, kind_of(message.contact)))
        chat.all_unread += message.unread
        row = effect.rows.get(message.id)
        if row is None:
            continue
        chat.added += message.unread and message.id in effect.new
        if chat.last is None or row[1] >= chat.last[0]:
            chat.last = (row[1], row[0])
    rows: list[tuple[object, ...]] = []
    for contact, chat in found.items():
        change = changes.get(contact)
        if change is None and chat.last is None:
            continue
        change = change or ChatChange(chat=contact, contact=contact, kind=chat.kind)
        at, message_id = chat.last or (None, None)
        rows.append(
            (
                contact, contact, chat.kind, change.name, at, message_id, change.read, chat.added, chat.all_unread,
                change.unread, change.marked_unread, change.archived, change.pinned_at, change.muted_until,
                change.ephemeral_seconds,
            )
        )  # fmt: skip
    return rows


def kind_of(contact: str) -> str:
    """What sort of chat a name is of."""
    if contact == "status@broadcast":
        return "status"
    return {"g.us": "group", "newsletter": "newsletter"}.get(contact.rpartition("@")[2], "person")


def _youngest(
    given: Sequence[Change], key: Callable[[Change], Hashable], at: Callable[[Change], datetime]
) -> "dict[tuple[str, str, str], Change]":
    last: dict[tuple[str, str, str], Change] = {}
    for one in given:
        name = key(one)
        if name not in last or at(one) >= at(last[name]):  # pyright: ignore[reportArgumentType]
            last[name] = one  # pyright: ignore[reportArgumentType]
    return last


def _of(event: NewEvent, message: UUID) -> NewEvent:
    return NewEvent(event.event_id, event.kind, event.body, message)


def _columns(table: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*table, strict=True)]
