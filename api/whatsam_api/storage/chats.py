"""Chats and people of a session as they are stored, and the names under which one person is known."""

from collections.abc import Sequence

from whatsam_api.models.history import ChatRow, ContactRow
from whatsam_api.storage.database import Database

_CHAT = (
    "chats.chat, chats.contact, kind, last_at, last_message_id, unread, marked_unread, archived, pinned_at,"
    " muted_until, ephemeral_seconds, chats.updated_at,"
    " coalesce(chats.name, people.full_name, people.business_name, people.push_name) as name"
)
_PEOPLE = "left join contacts as people on people.session = chats.session and people.jid = chats.chat"
_CONTACT = "jid, phone, lid, push_name, full_name, business_name, updated_at"
_SERVER = "@s.whatsapp.net"


class ChatStore:
    """Rows of `chats` and `contacts`. The tenant is a required argument of every query."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, tenant: str, session: str, *, limit: int, offset: int, archived: bool | None, words: str | None
    ) -> tuple[list[ChatRow], int]:
        """Chats, pinned ones first, then by their last message; and how many there are in all."""
        clauses, arguments = ["chats.session = $1", "chats.tenant = $2"], list[object]([session, tenant])
        if archived is not None:
            arguments.append(archived)
            clauses.append(f"archived = ${len(arguments)}")
        if words is not None:
            arguments.append(_like(words))
            clauses.append(
                "(coalesce(chats.name, people.full_name, people.business_name, people.push_name)"
                f" ilike ${len(arguments)} or chats.chat like ${len(arguments)})"
            )
        where = " and ".join(clauses)
        async with self._database.connection() as connection:
            total = await connection.fetchval(f"select count(*) from chats {_PEOPLE} where {where}", *arguments)
            rows = await connection.fetch(
                f"select {_CHAT} from chats {_PEOPLE} where {where}"
                " order by pinned_at desc nulls last, last_at desc nulls last, chats.chat"
                f" limit {limit:d} offset {offset:d}",
                *arguments,
            )
        return [ChatRow.model_validate(dict(row)) for row in rows], int(total or 0)

    async def chat(self, tenant: str, session: str, chat: str) -> ChatRow | None:
        """One chat, by any of its names."""
        names = await self.names(tenant, session, chat)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {_CHAT} from chats {_PEOPLE} where chats.session = $1 and chats.tenant = $2"
                " and chats.chat = any($3::text[]) order by last_at desc nulls last limit 1",
                session, tenant, list(names),
            )  # fmt: skip
        return ChatRow.model_validate(dict(row)) if row is not None else None

    async def contacts(
        self, tenant: str, session: str, *, limit: int, offset: int, words: str | None = None
    ) -> tuple[list[ContactRow], int]:
        """People that the session knows, by name; and how many there are in all."""
        clauses, arguments = ["session = $1", "tenant = $2"], list[object]([session, tenant])
        if words is not None:
            arguments.append(_like(words))
            clauses.append(
                f"(concat_ws(' ', full_name, business_name, push_name) ilike ${len(arguments)}"
                f" or jid like ${len(arguments)})"
            )
        where = " and ".join(clauses)
        async with self._database.connection() as connection:
            total = await connection.fetchval(f"select count(*) from contacts where {where}", *arguments)
            rows = await connection.fetch(
                f"select {_CONTACT} from contacts where {where}"
                f" order by lower(coalesce(full_name, business_name, push_name)), jid"
                f" limit {limit:d} offset {offset:d}",
                *arguments,
            )
        return [ContactRow.model_validate(dict(row)) for row in rows], int(total or 0)

    async def people(self, tenant: str, session: str, jids: Sequence[str]) -> dict[str, ContactRow]:
        """People by their names at WhatsApp, as far as they are known."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"select {_CONTACT} from contacts where session = $1 and tenant = $2 and jid = any($3::text[])",
                session, tenant, list(jids),
            )  # fmt: skip
        return {row["jid"]: ContactRow.model_validate(dict(row)) for row in rows}

    async def names(self, tenant: str, session: str, address: str) -> tuple[str, ...]:
        """Every address under which messages of this chat may be stored: by number and by LID. `address` first."""
        user, _, server = address.partition("@")
        if server not in {"s.whatsapp.net", "lid"}:
            return (address,)
        phone = user if server == "s.whatsapp.net" else None
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select jid, lid, phone from contacts where session = $1 and tenant = $2 and jid = $3"
                " union select jid, lid, phone from contacts where session = $1 and tenant = $2 and lid = $3"
                " union select jid, lid, phone from contacts where session = $1 and tenant = $2 and phone = $4",
                session, tenant, address, phone,
            )  # fmt: skip
        found = [address]
        for row in rows:
            found += [row["jid"], row["lid"], f"{row['phone']}{_SERVER}" if row["phone"] else None]
        return tuple(dict.fromkeys(name for name in found if name))


def _like(words: str) -> str:
    """The words anywhere, with nothing in them that `like` understands."""
    return "%" + words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
