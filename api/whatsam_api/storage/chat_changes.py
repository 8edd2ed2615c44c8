"""What tenants change of their chats in the database: flags, and the end of a chat's messages."""

from collections.abc import Sequence
from datetime import datetime

from whatsam_api.models.chat_changes import ChangedChat, ChatSettings, KnownMessage
from whatsam_api.storage.database import Database

BATCH = 500
"""Messages that are deleted in one statement: longer ones would hold locks that senders wait for."""

_SHOWN = "chat, archived, pinned_at, muted_until, unread, marked_unread, ephemeral_seconds"
_OPEN = "('pending', 'sending', 'uncertain')"


class ChatChangeStore:
    """Writes `chats`, and deletes messages of one chat. The tenant is a required argument of every query."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def change(
        self,
        tenant: str,
        session: str,
        names: Sequence[str],
        kind: str,
        values: dict[str, bool | int | datetime | None],
    ) -> ChangedChat:
        """Write columns of the chat with one of these names; without such a row, make one with the first name."""
        columns = list(values)
        given = [values[column] for column in columns]
        setting = "".join(f"{column} = ${number}, " for number, column in enumerate(columns, 4))
        naming = "".join(f", {column}" for column in columns)
        placing = "".join(f", ${number}" for number, _ in enumerate(columns, 6))
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"update chats set {setting}updated_at = now() where session = $1 and tenant = $2"
                f" and chat = (select chat from chats where session = $1 and tenant = $2 and chat = any($3::text[])"
                f" order by last_at desc nulls last limit 1) returning {_SHOWN}",
                session, tenant, list(names), *given,
            )  # fmt: skip
            if row is None:
                row = await connection.fetchrow(
                    f"insert into chats (session, tenant, chat, contact, kind{naming})"
                    f" values ($1, $2, $3, $4, $5{placing})"
                    f" on conflict (session, chat) do update set updated_at = now() where chats.tenant = $2"
                    f" returning {_SHOWN}",
                    session, tenant, names[0], names[0], kind, *given,
                )  # fmt: skip
        return ChangedChat.model_validate(dict(row or {"chat": names[0]}))

    async def names(self, tenant: str, session: str, limit: int) -> list[str]:
        """Addresses of the session's chats with persons and groups, those with the youngest messages first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select chat from chats where session = $1 and tenant = $2 and kind in ('person', 'group')"
                f" order by last_at desc nulls last, chat limit {limit:d}",
                session, tenant,
            )  # fmt: skip
        return [row["chat"] for row in rows]

    async def oldest(self, tenant: str, session: str, names: Sequence[str]) -> KnownMessage | None:
        """The oldest message of the chat that WhatsApp knows by an id."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                "select found.* from unnest($3::text[]) as name cross join lateral ("
                " select chat, wa_id, direction = 'out' as own, at from messages"
                " where session = $1 and tenant = $2 and contact = name and wa_id is not null"
                " and type not in ('call', 'system') order by at, seq limit 1) as found order by found.at limit 1",
                session, tenant, list(names),
            )  # fmt: skip
        return KnownMessage(**dict(row)) if row is not None else None

    async def take_over(self, tenant: str, session: str, seen: Sequence[ChatSettings]) -> int:
        """Make the flags what the phone shows; how many chats that changed."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "update chats set archived = seen.archived,"
                " pinned_at = case when seen.pinned then coalesce(chats.pinned_at, now()) end,"
                " muted_until = seen.muted_until, updated_at = now()"
                " from unnest($3::text[], $4::boolean[], $5::boolean[], $6::timestamptz[])"
                " as seen(chat, archived, pinned, muted_until)"
                " where chats.session = $1 and chats.tenant = $2 and chats.chat = seen.chat"
                " and (chats.archived, chats.pinned_at is not null, chats.muted_until)"
                " is distinct from (seen.archived, seen.pinned, seen.muted_until)"
                " returning chats.chat",
                session, tenant, [one.chat for one in seen], [one.archived for one in seen],
                [one.pinned for one in seen], [one.until for one in seen],
            )  # fmt: skip
        return len(rows)

    async def delete_messages(self, tenant: str, session: str, names: Sequence[str]) -> int:
        """Delete some messages of the chat with everything around them; how many: `BATCH` when there may be more.

        What is still to be sent stays. WhatsApp's ids stay known: what is delivered again does not come back.
        """
        async with self._database.connection() as connection:
            return int(
                await connection.fetchval(
                    "with doomed as (select id, at, wa_id,"
                    " coalesce(media ->> 'sha256', body #>> '{media,sha256}') as sha256 from messages"
                    " where session = $1 and tenant = $2"
                    f" and contact = any($3::text[]) and status not in {_OPEN} limit {BATCH:d}),"
                    " gone as (delete from messages using doomed"
                    "  where messages.id = doomed.id and messages.at = doomed.at),"
                    " edits as (delete from message_edits using doomed"
                    "  where message_edits.session = $1 and message_edits.message_id = doomed.id),"
                    " receipts as (delete from message_receipts using doomed"
                    "  where message_receipts.message_id = doomed.id),"
                    " files as (delete from media using doomed where media.message_id = doomed.id),"
                    " orphans as (insert into media_unreferenced (tenant, sha256)"
                    "  select distinct $2, sha256 from doomed where sha256 is not null on conflict do nothing),"
                    " told as (delete from events using doomed"
                    "  where events.session = $1 and events.message_id = doomed.id),"
                    " emojis as (delete from reactions using doomed where reactions.session = $1"
                    "  and reactions.wa_id = doomed.wa_id and reactions.chat = any($3::text[])),"
                    " votes as (delete from poll_votes using doomed where poll_votes.session = $1"
                    "  and poll_votes.wa_id = doomed.wa_id and poll_votes.chat = any($3::text[]))"
                    " select count(*) from doomed",
                    session, tenant, list(names),
                )
            )  # fmt: skip

    async def forget(self, tenant: str, session: str, names: Sequence[str], *, keep: bool) -> None:
        """Take the chat out of the list, or leave it there as an empty one."""
        what = (
            "update chats set last_message_id = null, unread = 0, marked_unread = false, updated_at = now()"
            if keep
            else "delete from chats"
        )
        async with self._database.connection() as connection:
            await connection.execute(
                f"{what} where session = $1 and tenant = $2 and chat = any($3::text[])", session, tenant, list(names)
            )
