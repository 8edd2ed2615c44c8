"""Deletes messages with everything that hangs on them, a bounded number at a time. For erasures and retention.

One statement takes a batch of messages and their keys, media, receipts, old texts, reactions, votes and events, so a
process that is killed leaves no half of a message behind; what is left is found again by the next batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from whatsam_api.storage.database import Database

_OPEN = "('pending', 'sending', 'uncertain')"
_DELETE = """
with doomed as materialized (
    select id, at, direction, case direction when 'out' then '' else chat end as key_chat, chat,
           coalesce(contact, chat) as contact, wa_id, idempotency_key,
           coalesce(media ->> 'sha256', body #>> '{{media,sha256}}') as sha256
    from messages where session = $1 and tenant = $2 and {condition}
    order by at limit $3 for update skip locked
),
keys as (delete from message_keys using doomed where message_keys.session = $1
    and message_keys.wa_id = doomed.wa_id and message_keys.direction = doomed.direction
    and message_keys.chat = doomed.key_chat),
promises as (delete from idempotency_keys using doomed where idempotency_keys.session = $1
    and idempotency_keys.key = doomed.idempotency_key),
work as (delete from media using doomed where media.message_id = doomed.id),
told as (delete from events using doomed where events.message_id = doomed.id and events.session = $1),
got as (delete from message_receipts using doomed where message_receipts.message_id = doomed.id),
texts as (delete from message_edits using doomed where message_edits.session = $1
    and message_edits.message_id = doomed.id),
felt as (delete from reactions using doomed where reactions.session = $1 and reactions.wa_id = doomed.wa_id
    and reactions.chat in (doomed.chat, doomed.contact)),
chosen as (delete from poll_votes using doomed where poll_votes.session = $1 and poll_votes.wa_id = doomed.wa_id
    and poll_votes.chat in (doomed.chat, doomed.contact)),
last as (update chats set last_message_id = null from doomed where chats.session = $1
    and chats.last_message_id = doomed.id),
loose as (insert into media_unreferenced (tenant, sha256) select distinct $2, sha256 from doomed
    where sha256 is not null on conflict (tenant, sha256) do update set since = now()),
gone as (delete from messages using doomed where messages.id = doomed.id and messages.at = doomed.at returning 1)
select count(*) from gone
"""
_REST = (
    "message_keys", "idempotency_keys", "reactions", "poll_votes", "message_edits", "deferred", "dead_letters", "chats",
    "contacts", "media", "events",
)  # fmt: skip
"""Tables whose rows of a session go after its messages. A reaction may be to a message that was never here."""
_OF_A_TENANT = frozenset(_REST) - {"message_keys"}
_OF_OPEN = frozenset({"message_keys", "idempotency_keys", "media"})
"""What messages that are still to be sent need."""
AT_ONCE = 1000
"""Messages, or rows of another table, in one statement."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time: from `since` on, and before `until`."""

    since: datetime
    until: datetime


class ErasureStore:
    """Deletes rows of one session. The tenant is a required argument of every query."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, tenant: str, session: str) -> int:
        """How many messages the session has."""
        async with self._database.connection() as connection:
            query = "select count(*) from messages where session = $1 and tenant = $2"
            return int(await connection.fetchval(query, session, tenant) or 0)

    async def oldest(self, tenant: str, session: str) -> datetime | None:
        """When the session's history begins."""
        async with self._database.connection() as connection:
            query = "select at from messages where session = $1 and tenant = $2 order by at limit 1"
            return await connection.fetchval(query, session, tenant)

    async def messages(self, tenant: str, session: str, *, open_too: bool) -> int:
        """Delete some messages. How many; fewer than `AT_ONCE`: that was all. `open_too`: also what is to be sent."""
        return await self._delete("true" if open_too else f"status not in {_OPEN}", tenant, session)

    async def older(self, tenant: str, session: str, before: datetime) -> int:
        """Delete some settled messages of before that time, oldest first. How many."""
        return await self._delete(f"at < $4 and status not in {_OPEN}", tenant, session, before)

    async def older_around(self, tenant: str, session: str, before: datetime) -> int:
        """Delete some of what lies around messages and is older: reactions, votes, events. How many rows."""
        deleted = 0
        for table, column in (("reactions", "at"), ("poll_votes", "at"), ("events", "created_at")):
            async with self._database.connection() as connection:
                done = await connection.execute(
                    f"delete from {table} where ctid = any(array(select ctid from {table} where session = $1"
                    f" and tenant = $2 and {column} < $3 limit {AT_ONCE}))",
                    session, tenant, before,
                )  # fmt: skip
            deleted += int(done.rpartition(" ")[2])
        return deleted

    async def of_person(self, tenant: str, session: str, names: Sequence[str], phone: str | None, span: Span) -> int:
        """Delete some settled messages of a stretch that a person sent, or that were sent to him. How many."""
        condition = (
            "at >= $4 and at < $5 and (contact = any($6::text[]) or chat = any($6::text[])"
            f" or sender = any($6::text[]) or sender_phone = $7::text) and status not in {_OPEN}"
        )
        return await self._delete(condition, tenant, session, span.since, span.until, list(names), phone)

    async def around_person(self, tenant: str, session: str, names: Sequence[str]) -> None:
        """Delete what else is known of a person: reactions, votes, receipts, chat, contact."""
        async with self._database.transaction() as connection:
            for table, column in (
                ("reactions", "sender"),
                ("poll_votes", "voter"),
                ("message_receipts", "recipient"),
                ("chats", "chat"),
                ("contacts", "jid"),
                ("contacts", "lid"),
            ):
                await connection.execute(
                    f"delete from {table} where session = $1 and tenant = $2 and {column} = any($3::text[])",
                    session, tenant, list(names),
                )  # fmt: skip

    async def rest(self, tenant: str, session: str, *, whole: bool) -> int:
        """Delete some of what is left once the messages are gone. How many rows; 0: nothing is left.

        `whole` False: messages may still be to be sent, and what they need stays.
        """
        deleted = 0
        for table in _REST:
            if table in _OF_OPEN and not whole:
                continue
            of_tenant = " and tenant = $2" if table in _OF_A_TENANT else " and $2::text is not null"
            async with self._database.connection() as connection:
                done = await connection.execute(
                    f"delete from {table} where ctid = any(array("
                    f"select ctid from {table} where session = $1{of_tenant} limit {AT_ONCE}))",
                    session, tenant,
                )  # fmt: skip
            deleted += int(done.rpartition(" ")[2])
        return deleted

    async def _delete(self, condition: str, tenant: str, session: str, *arguments: object) -> int:
        async with self._database.connection() as connection:
            query = _DELETE.format(condition=condition)
            return int(await connection.fetchval(query, session, tenant, AT_ONCE, *arguments) or 0)
