"""Works off the outgoing messages of one session, one at a time, in the order of their rows. Driven by its runner.

A message is claimed in the database before the engine sees it, and settled there after the engine has answered.
Whatever ends in between (engine, worker, database) leaves a row that says so; `rules` decides what becomes of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from whatsam_connector.clock import Clock
from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.rows import ReceiptFor
from whatsam_connector.messages.rules import (
    UNCERTAIN_WAIT,
    Line,
    Next,
    OutRow,
    OutStatus,
    Refusal,
    judge,
    judge_refusal,
)
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.state import SendCredit
from whatsam_connector.supervision.errors import EngineGone, EngineRefused, EngineUncertain
from whatsam_connector.supervision.outgoing import OutgoingMessage, SendResult
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_SEND_TIMEOUT = 80.0
"""Seconds; neonize itself gives up waiting for WhatsApp after 75."""
_DATABASE_RETRY = 1.0
_REFUSED_PAUSE = 1.0
"""Seconds before a message that could not leave just now is tried again."""
_REPLICA_LOOK = 2.0
"""Seconds after which the credit is asked again without being told."""


class OutgoingRows(Protocol):
    """The session's rows. Every call may raise `DatabaseUnavailable`."""

    async def head(self, session: str) -> OutRow | None: ...
    async def claim(self, session: str, message: UUID, *, epoch: int, boot: str) -> bool: ...
    async def put_back(self, session: str, message: UUID, *, counted: bool) -> bool: ...
    async def mark_uncertain(self, session: str, message: UUID) -> bool: ...
    async def sent(self, session: str, message: UUID, *, wa_id: str, status: str, at: datetime | None) -> bool: ...
    async def failed(self, session: str, message: UUID, *, error: str) -> bool: ...
    async def advance(self, session: str, receipts: list[ReceiptFor]) -> set[str]: ...


class Sender(Protocol):
    """The engine, as the outbox uses it."""

    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult:
        """Raises `EngineRefused`, `EngineUncertain` or `EngineGone`."""
        ...


class Outbox:
    """Outgoing messages of one session under one epoch."""

    def __init__(
        self,
        *,
        session: str,
        uid: str,
        epoch: int,
        boot: str,
        rows: OutgoingRows,
        receipts: UnknownReceipts,
        credit: SendCredit,
        waiters: Waiters,
        clock: Clock,
        may_work: Callable[[], bool],
        count: Callable[[str], None] = lambda _what: None,
    ) -> None:
        self._session = session
        self._uid = uid
        self._epoch = epoch
        self._boot = boot
        self._rows = rows
        self._receipts = receipts
        self._credit = credit
        self._waiters = waiters
        self._clock = clock
        self._may_work = may_work
        self._count = count
        self._engine: Sender | None = None
        self._receipts_from = 0.0
        self._wants_replica = False
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def link(self, engine: Sender) -> None:
        """Messages may go to this engine from now on: logged in, offline queue read."""
        if self._engine is not engine:
            self._engine = engine
            self._receipts_from = self._clock.monotonic()
            self._wake.set()

    def unlink(self) -> None:
        """No message is given to an engine from now on; one that is under way goes on."""
        self._engine = None

    def wake(self) -> None:
        """Something may be possible that was not: a new row, a receipt."""
        self._wake.set()

    def replicated(self, covered: float) -> None:
        """The store has everything that was written before `covered` (CLOCK_MONOTONIC)."""
        self._credit.covered(covered)
        if self._wants_replica:  # told several times a second: only a waiting head is worth a look into the database
            self._wake.set()

    def inbound(self, at: float) -> None:
        """An inbound event has changed the state at `at` (CLOCK_MONOTONIC): no answer before the store has it."""
        self._credit.inbound(at)

    async def quiet(self, timeout: float) -> bool:
        """After `unlink`: wait for the message under way, if there is one, to be settled. Whether it was in time."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Work for ever."""
        away = False
        while True:
            self._wake.clear()
            try:
                pause = await self._turn()
                away = False
            except DatabaseUnavailable as error:
                if not away:
                    _log.warning("outbox.waiting", session=self._session, error=str(error))
                away = True
                pause = _DATABASE_RETRY
            if pause is None or pause > 0:
                await self._rest(pause)

    async def _rest(self, pause: float | None) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _turn(self) -> float | None:  # one arm for each outcome
        """One look at the head of the line. Seconds to wait for the next; None: until somebody wakes us."""
        head = await self._rows.head(self._session)
        verdict = judge(head, self._line(head))
        self._wants_replica = verdict is Next.WAIT_FOR_REPLICA
        match verdict:
            case Next.IDLE | Next.WAIT_FOR_LINK:
                return None
            case Next.WAIT_FOR_REPLICA:
                return _REPLICA_LOOK
            case Next.WAIT_FOR_RECEIPT:
                return UNCERTAIN_WAIT - self._listened_for()
            case outcome:
                if head is None or not self._may_work():
                    return _DATABASE_RETRY
                return await self._act(outcome, head)

    async def _act(self, outcome: Next, head: OutRow) -> float:
        match outcome:
            case Next.MARK_UNCERTAIN:
                await self._rows.mark_uncertain(self._session, head.id)
                self._uncertain()
            case Next.SETTLE:
                await self._settle_by_receipt(head)
            case Next.SEND_AGAIN:
                await self._rows.put_back(self._session, head.id, counted=True)
                self._count("sent_again")
            case Next.GIVE_UP:
                await self._fail(head, f"WhatsApp's answer stayed away {head.attempts} times; it may have been sent")
                self._count("given_up")
            case _:
                return await self._claim_and_send(head)
        return 0.0

    def _line(self, head: OutRow | None) -> Line:
        uncertain = head is not None and head.status is OutStatus.UNCERTAIN
        return Line(
            linked=self._engine is not None and self._may_work(),
            listened_for=self._listened_for(),
            credit=self._credit.may_send(),
            receipt=self._receipts.settles(head) if head is not None and uncertain else None,
        )

    def _listened_for(self) -> float:
        return self._clock.monotonic() - self._receipts_from

    async def _claim_and_send(self, row: OutRow) -> float:
        engine = self._engine
        if engine is None or not self._may_work():
            return _REFUSED_PAUSE
        self._idle.clear()
        try:
            if not await self._rows.claim(self._session, row.id, epoch=self._epoch, boot=self._boot):
                return 0.0
            # The answer of the database may have taken a while: a stale worker must not send what it has claimed.
            if self._engine is not engine or not self._may_work():
                await self._until_written(lambda: self._rows.put_back(self._session, row.id, counted=False))
                return _REFUSED_PAUSE
            return await self._send(engine, row)
        finally:
            self._idle.set()

    async def _send(self, engine: Sender, row: OutRow) -> float:
        message = OutgoingMessage(row_id=str(row.id), to=row.chat, type=row.type, body=row.body, message_id=None)
        self._credit.sending(row.id)
        try:
            result = await engine.send(self._uid, message, _SEND_TIMEOUT)
        except EngineRefused as refused:
            return await self._refused(row, refused.code, refused.message)
        except EngineGone as gone:
            return await self._refused(row, "EngineGone", str(gone))
        except EngineUncertain:
            await self._until_written(lambda: self._rows.mark_uncertain(self._session, row.id))
            self._uncertain()
            return 0.0
        finally:
            self._credit.settled(row.id, self._clock.monotonic())
        receipt = self._receipts.take(result.wa_id)
        await self._until_written(
            lambda: self._rows.sent(
                self._session,
                row.id,
                wa_id=result.wa_id,
                status=receipt.status if receipt else "sent",
                at=result.timestamp,
            )
        )
        await self._apply_late_receipt(result.wa_id)
        self._count("sent")
        self._waiters.settled(row.id)
        return 0.0

    def _uncertain(self) -> None:
        self._count("uncertain")
        self._receipts_from = self._clock.monotonic()

    async def _apply_late_receipt(self, wa_id: str) -> None:
        """A receipt that came while the id was being written found no row."""
        receipt = self._receipts.take(wa_id)
        if receipt is not None:
            late = [ReceiptFor(wa_id, receipt.status)]
            await self._until_written(lambda: self._rows.advance(self._session, late))

    async def _refused(self, row: OutRow, code: str, message: str) -> float:
        match judge_refusal(code, row.attempts + 1):
            case Refusal.PUT_BACK:
                await self._until_written(lambda: self._rows.put_back(self._session, row.id, counted=False))
                self._count("put_back")
                return _REFUSED_PAUSE
            case Refusal.TRY_AGAIN:
                await self._until_written(lambda: self._rows.put_back(self._session, row.id, counted=True))
                self._count("put_back")
                return _REFUSED_PAUSE
            case Refusal.FAIL:
                await self._fail(row, f"{code}: {message}")
                return 0.0

    async def _fail(self, row: OutRow, error: str) -> None:
        await self._until_written(lambda: self._rows.failed(self._session, row.id, error=error))
        self._count("failed")
        self._waiters.settled(row.id)

    async def _settle_by_receipt(self, row: OutRow) -> None:
        receipt = self._receipts.settles(row)
        if receipt is None:
            return
        await self._rows.sent(self._session, row.id, wa_id=receipt.wa_id, status=receipt.status, at=receipt.at)
        self._receipts.take(receipt.wa_id)
        self._count("settled_by_receipt")
        self._waiters.settled(row.id)

    async def _until_written(self, write: Callable[[], Awaitable[object]]) -> None:
        """What the engine has done must be written before anything else is sent, however long the database is away."""
        while True:
            try:
                await write()
            except DatabaseUnavailable as error:
                _log.warning("outbox.not_written", session=self._session, error=str(error))
                await asyncio.sleep(_DATABASE_RETRY)
            else:
                return
