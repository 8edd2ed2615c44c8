"""Reads the history: pages of messages by any filter, and what lies around messages. Written by connectors.

The tenant is a required argument of every query. Lists are in the order of (at, seq), newest first, as the indexes of
each month are; the last weeks are asked before the years, so a first page costs the same however long a history is.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from whatsam_api.models.history import (
    MessageFilter,
    StoredReaction,
    StoredReceipt,
    StoredVote,
)
from whatsam_api.models.messages import MessageRow
from whatsam_api.policies.history import Place, stretches
from whatsam_api.storage.database import Database
from whatsam_api.storage.messages import COLUMNS
from whatsam_core.message_ids import at_of

_OPEN = frozenset({"pending", "sending", "uncertain"})
_RARE = frozenset({"failed", "undecryptable"})
_ORDER = "order by at desc, seq desc"
_SESSION_UNINDEXED = "session || '' = $1"
"""So that a text search reads no index beside its own one, which knows the session as a word. The planner takes the two
for independent, and would look for a large session's rows in vain."""
_STEPWISE = 1000
"""Largest offset at which the past is looked through step by step: rows of the pages before go through this process."""


class HistoryStore:
    """Messages and what lies around them, for reading."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def has_words(self, words: str) -> bool:
        """Whether a text search would look for anything: signs alone are no words."""
        async with self._database.connection() as connection:
            return bool(await connection.fetchval("select numnode(websearch_to_tsquery('simple', $1)) > 0", words))

    async def page(
        self,
        tenant: str,
        session: str,
        wanted: MessageFilter,
        *,
        limit: int,
        offset: int = 0,
        before: Place | None = None,
    ) -> list[MessageRow]:
        """Messages, newest first; with `before` those that stand behind it."""
        if offset > _STEPWISE:
            return await self._stretch(tenant, session, wanted, limit, offset, before)
        # Most pages are full with what came of late: a statement about few months is planned and read in no time. And a
        # common word, which is on many pages of every month, is found often enough within two days.
        rows: list[MessageRow] = []
        searched, now = wanted.words is not None, datetime.now(UTC)
        times = list(stretches(now, wanted.since, wanted.until, before.at if before else None, short=searched))
        if not searched and len(times) > 1:
            times = [times[0], (times[-1][0], times[0][0])]
        for number, (since, until) in enumerate(times):
            stretch = replace(wanted, since=since, until=until)
            more = limit + offset - len(rows)
            rows += await self._stretch(tenant, session, stretch, more, 0, before, short=searched and number == 0)
            if len(rows) >= limit + offset:
                break
        return rows[offset:]

    async def _stretch(  # noqa: PLR0917 - the parts of a page
        self,
        tenant: str,
        session: str,
        wanted: MessageFilter,
        limit: int,
        offset: int,
        before: Place | None,
        *,
        short: bool = False,
    ) -> list[MessageRow]:
        # A person may have several names; each is read in the order of its own index, and then they are merged.
        names = wanted.contacts or (None,)
        clauses = _Clauses(tenant, session)
        parts: list[str] = []
        for name in names:
            where = clauses.where(wanted, name, short=short)
            if before is not None:
                at, seq = clauses.argument(before.at), clauses.argument(before.seq)
                where += f" and at <= {at} and (at, seq) < ({at}, {seq})"
            parts.append(f"select {COLUMNS} from messages where {where} {_ORDER}")
        query = _merged(parts, limit, offset) if len(parts) > 1 else f"{parts[0]} limit {limit:d} offset {offset:d}"
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, *clauses.arguments)
        return [MessageRow.model_validate(dict(row)) for row in rows]

    async def count(self, tenant: str, session: str, wanted: MessageFilter, most: int | None = None) -> int:
        """How many messages there are; with `most`, counting ends there."""
        clauses = _Clauses(tenant, session)
        parts = [f"select 1 from messages where {clauses.where(wanted, name)}" for name in wanted.contacts or (None,)]
        query = " union all ".join(f"({part})" for part in parts)
        limit = "" if most is None else f" limit {most:d}"
        async with self._database.connection() as connection:
            query = f"select count(*) from (select 1 from ({query}) as found{limit}) as counted"
            return int(await connection.fetchval(query, *clauses.arguments) or 0)

    async def reactions(self, tenant: str, session: str, wa_ids: Sequence[str]) -> list[StoredReaction]:
        """What was put on these messages, oldest first."""
        if not wa_ids:
            return []
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select chat, wa_id, sender, emoji, at from reactions where session = $1 and tenant = $2"
                " and wa_id = any($3::text[]) and emoji <> '' order by at",
                session, tenant, list(wa_ids),
            )  # fmt: skip
        return [StoredReaction.model_validate(dict(row)) for row in rows]

    async def votes(self, tenant: str, session: str, chats: Sequence[str], wa_id: str) -> list[StoredVote]:
        """What was chosen in a poll, oldest first. `chats`: every name of the poll's chat."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select voter, options, at from poll_votes where session = $1 and tenant = $2 and wa_id = $3"
                " and chat = any($4::text[]) and cardinality(options) > 0 order by at",
                session, tenant, wa_id, list(chats),
            )  # fmt: skip
        return [StoredVote.model_validate(dict(row)) for row in rows]

    async def receipts(self, tenant: str, session: str, message_id: UUID) -> list[StoredReceipt]:
        """Which members of a group have a message of ours."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select recipient, status, at from message_receipts where message_id = $1 and session = $2"
                " and tenant = $3 order by at, recipient",
                message_id, session, tenant,
            )  # fmt: skip
        return [StoredReceipt.model_validate(dict(row)) for row in rows]

    async def texts(self, tenant: str, session: str, message_ids: Sequence[UUID]) -> dict[UUID, MessageRow]:
        """Messages by their ids, for lists that show them."""
        known = {message: at for message in message_ids if (at := at_of(message)) is not None}
        old = [message for message in message_ids if message not in known]
        rows: list[MessageRow] = []
        async with self._database.connection() as connection:
            if known:
                rows += [
                    MessageRow.model_validate(dict(row))
                    for row in await connection.fetch(
                        f"select {COLUMNS} from messages where session = $1 and tenant = $2 and id = any($3::uuid[])"
                        " and at = any($4::timestamptz[]) and at >= $5 and at <= $6",
                        session, tenant, list(known), list(set(known.values())), min(known.values()),
                        max(known.values()),
                    )
                ]  # fmt: skip
            if old:
                rows += [
                    MessageRow.model_validate(dict(row))
                    for row in await connection.fetch(
                        f"select {COLUMNS} from messages where session = $1 and tenant = $2 and id = any($3::uuid[])",
                        session, tenant, old,
                    )
                ]  # fmt: skip
        return {row.id: row for row in rows}


class _Clauses:
    """Conditions of one statement, and its numbered arguments."""

    def __init__(self, tenant: str, session: str) -> None:
        self.arguments = list[object]([session, tenant])

    def argument(self, value: object) -> str:
        """A place for the value in the statement."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def where(self, wanted: MessageFilter, contact: str | None, *, short: bool = False) -> str:
        """The filter's conditions, for one name of the chat. `short`: for a stretch of time with few messages."""
        by_words_alone = wanted.words is not None and not short and contact is wanted.type is wanted.status is None
        clauses = [_SESSION_UNINDEXED if by_words_alone else "session = $1", "tenant = $2"]
        for column, value in (("contact", contact), ("direction", wanted.direction), ("type", wanted.type)):
            if value is not None:
                clauses.append(f"{column} = {self.argument(value)}")
        clauses += self._status(wanted.status)
        clauses += self._times(wanted.since, wanted.until)
        if wanted.words is not None:
            lexeme = f"'session {self.arguments[0]}'"  # the session as a word of the document: see the migration
            clauses.append(
                f"search @@ ({self.argument(lexeme)}::tsquery"
                f" && websearch_to_tsquery('simple', {self.argument(wanted.words)}))"
            )
        return " and ".join(clauses)

    def _status(self, status: str | None) -> list[str]:
        if status is None:
            return []
        if status in _OPEN:
            # Few at any time, and listed: without the list the whole history would be read to find them.
            return [
                f"status = {self.argument(status)}",
                "(id, at) in (select id, at from open_messages where session = $1)",
            ]
        if status in _RARE:
            return [f"attention = {self.argument(status)}"]
        return [f"status = {self.argument(status)}"]

    def _times(self, since: datetime | None, until: datetime | None) -> list[str]:
        return [
            f"at {sign} {self.argument(moment)}" for sign, moment in ((">=", since), ("<", until)) if moment is not None
        ]


def _merged(parts: Sequence[str], limit: int, offset: int) -> str:
    together = " union all ".join(f"({part} limit {limit + offset:d})" for part in parts)
    return f"select {COLUMNS} from ({together}) as named {_ORDER} limit {limit:d} offset {offset:d}"
