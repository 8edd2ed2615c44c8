"""What an engine has answered, on its way to the database: written while the next message is under way. For the outbox.

What the engine has done must be written before much else is sent, however long the database is away: every write here
is tried until it is done, and the outbox asks `room` before each message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Protocol
from uuid import UUID

from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.desk import Desk, SentRow
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.rows import MessageView
from whatsam_connector.messages.rules import CHANGES_ANOTHER, OutRow, Receipt
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.supervision.outgoing import SendResult
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_DATABASE_RETRY = 1.0
_UNWRITTEN = 1
"""Results that may be on their way to the database while the next message is under way."""


class SettledRows(Protocol):
    """The session's rows, as far as results go. Every call may raise `DatabaseUnavailable`."""

    async def put_back(self, session: str, messages: list[UUID], *, counted: bool) -> int: ...
    async def sent(self, session: str, message: UUID, *, wa_id: str, status: str, at: datetime | None) -> bool: ...
    async def failed(self, session: str, message: UUID, *, error: str) -> bool: ...


class Results:
    """The results of one session."""

    def __init__(
        self,
        *,
        session: str,
        rows: SettledRows,
        desk: Desk,
        receipts: UnknownReceipts,
        waiters: Waiters,
        late: Callable[[Receipt], None],
        count: Callable[[str], None],
    ) -> None:
        """`late` sees to it that a receipt is written that came before its message had its id in the database."""
        self._session = session
        self._rows = rows
        self._desk = desk
        self._receipts = receipts
        self._waiters = waiters
        self._late = late
        self._count = count
        self._unwritten: dict[UUID, asyncio.Task[None]] = {}

    @property
    def unwritten(self) -> tuple[UUID, ...]:
        """Rows that an engine has sent, and the database does not know it yet."""
        return tuple(self._unwritten)

    def sent(self, row: OutRow, result: SendResult) -> None:
        """WhatsApp took the message: write it, beside whatever comes next."""
        self._unwritten[row.id] = asyncio.create_task(self._write(row, result), name=f"settle {self._session}")

    def cancel(self) -> None:
        """Leave everything as it is."""
        for writing in self._unwritten.values():
            writing.cancel()

    async def room(self) -> None:
        """Wait until few enough results are unwritten for another message to go out."""
        while len(self._unwritten) > _UNWRITTEN:
            await next(iter(self._unwritten.values()))

    async def all_written(self) -> None:
        """Wait until every result is written. Raises what went wrong with one, unless the database is only away."""
        while self._unwritten:
            await next(iter(self._unwritten.values()))

    async def none_left(self) -> None:
        """Wait like `all_written`; whoever gives up waiting ends no write, and hears of no trouble."""
        while self._unwritten:
            await asyncio.wait(self._unwritten.values())

    async def put_back(self, rows: Collection[OutRow], *, counted: bool = False) -> None:
        """They certainly did not leave: pending again, in their old places; `counted`: the attempt counts."""
        if rows:
            ids = [row.id for row in rows]
            await self.until_written(lambda: self._rows.put_back(self._session, ids, counted=counted))

    async def fail(self, row: OutRow, error: str) -> None:
        """It will not be sent."""
        await self.until_written(lambda: self._rows.failed(self._session, row.id, error=error))
        self._count("failed")
        self._waiters.settled(row.id, MessageView(row.id, "failed", None, None, error))

    async def settle_by_receipt(self, row: OutRow, *, own_id: bool) -> None:
        """A receipt proves that an uncertain message arrived, if there is one."""
        receipt = self._receipts.settles(row, own_id=own_id)
        if receipt is None:
            return
        await self._rows.sent(self._session, row.id, wa_id=receipt.wa_id, status="sent", at=receipt.at)
        self._receipts.take(receipt.wa_id)
        self._late(receipt)
        self._count("settled_by_receipt")
        self._waiters.settled(row.id)

    async def until_written(self, write: Callable[[], Awaitable[object]]) -> None:
        """Try until the database has taken it."""
        while True:
            try:
                await write()
            except DatabaseUnavailable as error:
                _log.warning("outbox.not_written", session=self._session, error=str(error))
                await asyncio.sleep(_DATABASE_RETRY)
            else:
                return

    async def _write(self, row: OutRow, result: SendResult) -> None:
        """Write that a row was sent, and tell who waits for it. Runs beside the next send."""
        if row.type in CHANGES_ANOTHER:
            await self.until_written(
                lambda: self._rows.sent(self._session, row.id, wa_id=result.wa_id, status="sent", at=result.timestamp)
            )
        else:
            sent = SentRow(self._session, row.id, result.wa_id, "sent", result.timestamp)
            await self.until_written(lambda: self._desk.settle(sent))
        late = self._receipts.take(result.wa_id)
        if late is not None:  # it came before the id was written, and found no row
            self._late(late)
        del self._unwritten[row.id]
        self._count("sent")
        self._waiters.settled(row.id, MessageView(row.id, "sent", result.wa_id, result.timestamp, None))
