"""What came from WhatsApp, written batch by batch: one transaction for a stretch of the journal. For the inbox.

Stretches of nothing but receipts share statements with those of other sessions (`incoming_receipts`).

Every statement is about all rows of its kind at once, and every change is one that may be made again: ids are made of
the journal's event ids, a status never goes back, the younger of two reactions stays.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from whatsam_connector.errors import DatabaseUnavailable, UnstorableRecord
from whatsam_connector.messages.batch import Batch, Context, Deferred, ReceiptFor, Recorded, TargetKey
from whatsam_connector.messages.gathering import Gathering
from whatsam_connector.storage import incoming_around, incoming_changes, incoming_context, incoming_messages
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.incoming_owner import Owner
from whatsam_connector.storage.incoming_receipts import Moved, Told, move_on, receipts_only
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_TOGETHER = 64
"""Sessions whose receipts share a statement."""
_UNSTORABLE = (
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.IntegrityConstraintViolationError,
    ValueError,
)


class IncomingMessages:
    """The inbox's side of the history. Each call is a transaction of its own and raises `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._receipts: Gathering[Told, Moved] = Gathering(self._move_on, _TOGETHER)
        self._months = set[tuple[int, int]]()
        """Months that have a partition, or were refused one lately."""

    async def context(self, session: str, targets: Sequence[TargetKey], wa_ids: Sequence[str]) -> Context:
        """What is stored of the messages that a stretch refers to, and what waits for the messages in it."""
        async with self._database.transaction() as connection:
            return await incoming_context.context(connection, session, targets, wa_ids)

    async def record(self, session: str, tenant: str, session_uid: UUID | None, batch: Batch) -> Recorded:
        """Write it all or nothing; writing it again changes nothing.

        Raises `UnstorableRecord` for a value that PostgreSQL cannot hold.
        """
        owner = Owner(session, tenant, session_uid)
        try:
            if not receipts_only(batch):
                await self._make_months(batch)
                return await self._write(owner, batch)
            moved = await self._receipts.ask(Told(owner, batch.receipts))
            if not moved.left:
                return Recorded(known=moved.known)
            written = await self._write(owner, Batch(receipts=moved.left))
            return Recorded(known=moved.known | written.known)
        except _UNSTORABLE as error:
            raise UnstorableRecord(type(error).__name__) from error

    async def _write(self, owner: Owner, batch: Batch) -> Recorded:
        async with self._database.transaction() as connection:
            effect = await incoming_messages.write(connection, owner, batch.messages)
            events = list(effect.events)
            known, told = await incoming_changes.receipts(connection, owner, batch.receipts)
            events += told
            events += await incoming_changes.edits(connection, owner, batch.edits)
            events += await incoming_changes.revokes(connection, owner, batch.revokes)
            events += await incoming_around.reactions(connection, owner, batch.reactions)
            events += await incoming_around.votes(connection, owner, batch.votes)
            await incoming_around.contacts(connection, owner, batch.contacts)
            await incoming_around.chats(connection, owner, batch, effect)
            await incoming_around.events(connection, owner, [*events, *batch.events])
            await incoming_context.defer(connection, owner, batch.deferred, batch.settled)
        return Recorded(known=known, inserted=effect.inserted)

    async def _move_on(self, told: Sequence[Told]) -> Sequence[Moved]:
        return await move_on(self._database, told)

    async def advance(self, session: str, receipts: Sequence[ReceiptFor]) -> set[str]:
        """Receipts that were there before their message had its id. Which of them have a row; never backwards."""
        async with self._database.transaction() as connection:
            given = [ReceiptFor(receipt.wa_id, receipt.status) for receipt in receipts]
            return set(await incoming_changes.advance(connection, session, given))

    async def phones(self, session: str, lids: Sequence[str]) -> dict[str, str]:
        """The numbers behind these LIDs, as far as they were ever told."""
        query = "select lid, phone from contacts where session = $1 and lid = any($2::text[]) and phone is not null"
        async with self._database.statement() as connection:
            return {row["lid"]: row["phone"] for row in await connection.fetch(query, session, list(lids))}

    async def due(self, session: str, limit: int) -> list[Deferred]:
        """Deferred records whose time has come; each of them comes again later, in growing steps, until settled."""
        async with self._database.transaction() as connection:
            return await incoming_context.due(connection, session, limit)

    async def has_deferred(self, session: str) -> bool:
        """Whether records of the session wait for something."""
        async with self._database.transaction() as connection:
            query = "select exists (select from deferred where session = $1)"
            return bool(await connection.fetchval(query, session))

    async def set_aside(  # noqa: PLR0917 - the columns of the table
        self, session: str, tenant: str, session_uid: UUID | None, event_id: str, reason: str, payload: bytes
    ) -> None:
        """Keep a record that cannot be stored in any other form, for people to look at."""
        query = (
            "insert into dead_letters (session, tenant, session_uid, event_id, reason, payload) "
            "values ($1, $2, $3, $4, $5, $6) on conflict do nothing"
        )
        async with self._database.transaction() as connection:
            await connection.execute(query, session, tenant, session_uid, event_id, reason, payload)

    async def _make_months(self, batch: Batch) -> None:
        """Partitions for months that the platform did not expect: the history of a phone reaches far back."""
        wanted = {(message.at.year, message.at.month) for message in batch.messages} - self._months
        for year, month in sorted(wanted):
            self._months.add((year, month))
            try:
                async with self._database.transaction() as connection:
                    # It waits for everybody who reads the rest; a month that is not made now costs speed, not rows.
                    await connection.execute("set local lock_timeout = '2s'")
                    await connection.execute("select messages_make_partition($1)", datetime(year, month, 1, tzinfo=UTC))
            except (DatabaseUnavailable, asyncpg.PostgresError) as error:
                _log.warning("history.month_not_made", year=year, month=month, error=type(error).__name__)
