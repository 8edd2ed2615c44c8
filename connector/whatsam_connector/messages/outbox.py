"""Works off the outgoing messages of one session, one at a time, in the order of their rows. Driven by its runner.

A message is claimed in the database before the engine sees it, and settled there after the engine has answered.
Whatever ends in between (engine, worker, database) leaves a row that says so; `rules` decides what becomes of it.

For speed a short run of rows is claimed at once, and a result is written while the next message is under way. Neither
weakens the promise: a row that never reached the engine is put back, by this outbox when it can, else by its successor
after a wait; and no further message goes to the engine while more than one result is not written.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import Enum
from typing import Protocol
from uuid import UUID

from whatsam_connector.clock import Clock
from whatsam_connector.engine.protocol import Capabilities
from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.desk import Claim, Desk, Wish
from whatsam_connector.messages.prepared import MessagePreparer, PreparationFailed, PreparedMessage, Uploader
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.results import Results, SettledRows
from whatsam_connector.messages.rules import (
    UNCERTAIN_WAIT,
    Line,
    Next,
    OutRow,
    OutStatus,
    Receipt,
    Refusal,
    judge,
    judge_refusal,
    run_length,
)
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.state import CreditVerdict, SendCredit
from whatsam_connector.supervision.errors import EngineGone, EngineRefused, EngineUncertain
from whatsam_connector.supervision.outgoing import OutgoingMessage, SendResult
from whatsam_core import tracing
from whatsam_core.logging import get_logger
from whatsam_core.resources.session import Pacing, UncertainSends

_log = get_logger(__name__)

_SEND_TIMEOUT = 80.0
"""Seconds; neonize itself gives up waiting for WhatsApp after 75."""
_DATABASE_RETRY = 1.0
_REFUSED_PAUSE = 1.0
"""Seconds before a message that could not leave just now is tried again."""
_REPLICA_LOOK = 2.0
"""Seconds after which the credit is asked again without being told."""
_HOLD = 1.0
"""Seconds for which claimed rows are kept in hand while the store catches up; then they are put back."""
_PREPARATION_LIMIT = 300.0
"""Seconds after which a preparation is given up: the messages behind it have waited long enough."""


class OutgoingRows(SettledRows, Protocol):
    """The session's rows. Every call may raise `DatabaseUnavailable`."""

    async def head(self, session: str) -> OutRow | None: ...
    async def claim(self, session: str, message: UUID, *, epoch: int, boot: str) -> bool: ...
    async def put_back_lost(self, session: str, *, epoch: int, boot: str, besides: list[UUID]) -> int: ...
    async def mark_uncertain(self, session: str, message: UUID | None = None) -> int: ...


class Sender(Uploader, Protocol):
    """The engine, as the outbox uses it."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; for the outbox: whether it takes message ids."""
        ...

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
        desk: Desk,
        receipts: UnknownReceipts,
        credit: SendCredit,
        waiters: Waiters,
        clock: Clock,
        may_work: Callable[[], bool],
        preparer: MessagePreparer,
        late: Callable[[Receipt], None],
        hurry: Callable[[], None] = lambda: None,
        count: Callable[[str], None] = lambda _what: None,
    ) -> None:
        """`late` sees to it that a receipt is written that came before its message had its id in the database.

        `hurry` asks for the session's state to be stored now rather than at the next look.
        """
        self._session = session
        self._uid = uid
        self._epoch = epoch
        self._boot = boot
        self._rows = rows
        self._desk = desk
        self._receipts = receipts
        self._credit = credit
        self._clock = clock
        self._may_work = may_work
        self._preparer = preparer
        self._hurry = hurry
        self._count = count
        self._results = Results(
            session=session, rows=rows, desk=desk, receipts=receipts, waiters=waiters, late=late, count=count
        )
        self._send_again = True
        self._engine: Sender | None = None
        self._receipts_from = 0.0
        self._wants_replica = False
        self._asked_for_replica = False
        self._claims = _Claims.OF_OTHERS
        self._wake = asyncio.Event()
        self._credited = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._preparing: asyncio.Task[PreparedMessage] | None = None

    def link(self, engine: Sender) -> None:
        """Messages may go to this engine from now on: logged in, offline queue read."""
        if self._engine is not engine:
            self._engine = engine
            self._receipts_from = self._clock.monotonic()
            self._wake.set()

    def unlink(self) -> None:
        """No message is given to an engine from now on; one that is under way goes on."""
        self._engine = None
        self._credited.set()
        if self._preparing is not None:
            self._preparing.cancel()

    def pace(self, pacing: Pacing) -> None:
        """How fast messages leave from now on."""
        self._preparer.pace(pacing)

    def uncertain_sends(self, wanted: UncertainSends) -> None:
        """What becomes of messages of which nobody can know whether they were sent."""
        self._send_again = wanted is UncertainSends.SEND_AGAIN

    def wake(self) -> None:
        """Something may be possible that was not: a new row, a receipt."""
        self._wake.set()

    def replicated(self, covered: float) -> None:
        """The store has everything that was written before `covered` (CLOCK_MONOTONIC)."""
        self._credit.covered(covered)
        self._asked_for_replica = False
        if self._credit.may_send() is CreditVerdict.SEND:
            self._credited.set()
            if self._wants_replica:  # told several times a second: only a waiting head is worth a look at the database
                self._wake.set()

    def inbound(self, at: float) -> None:
        """An inbound event has changed the state at `at` (CLOCK_MONOTONIC): no answer before the store has it."""
        self._credit.inbound(at)

    @contextmanager
    def beside(self) -> Generator[bool]:
        """For a call that moves a sending chain and is no row: whether it may be made now; it counts like a send."""
        if self._engine is None or self._credit.may_send() is not CreditVerdict.SEND:
            yield False
            return
        key = object()
        self._credit.sending(key)
        try:
            yield True
        finally:
            self._credit.settled(key, self._clock.monotonic())

    async def quiet(self, timeout: float) -> bool:
        """After `unlink`: wait for the message under way, if there is one, to be settled. Whether it was in time."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
                await self._results.none_left()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Work for ever."""
        away = False
        try:
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
        finally:
            self._results.cancel()

    async def _rest(self, pause: float | None) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass

    # --- the line -----------------------------------------------------------------------------------------------------

    async def _turn(self) -> float | None:
        """One look at the line. Seconds to wait for the next; None: until somebody wakes us."""
        await self._recover()
        engine = self._engine
        if engine is not None and self._may_work() and self._credit.may_send() is CreditVerdict.SEND:
            claim = await self._claim(own_ids=engine.capabilities.own_message_ids)
            if claim.rows:
                self._idle.clear()
                try:
                    return await self._work_off(engine, deque(claim.rows))
                finally:
                    self._idle.set()
            head = claim.head
        else:
            await self._results.all_written()
            head = await self._rows.head(self._session)
        return await self._judge(head)

    async def _recover(self) -> None:
        """Before the first claim, and after one whose answer was lost: rows that only look as if they were in hand."""
        match self._claims:
            case _Claims.KNOWN:
                return
            case _Claims.OF_OTHERS:
                # Whoever had them in hand is gone: this session has one holder, and that is this outbox from now on.
                if await self._rows.mark_uncertain(self._session):
                    self._uncertain()
            case _Claims.LOST:
                # Every row that went to an engine is written or among the unwritten: the others never left.
                besides = list(self._results.unwritten)
                await self._rows.put_back_lost(self._session, epoch=self._epoch, boot=self._boot, besides=besides)
        self._claims = _Claims.KNOWN

    async def _claim(self, *, own_ids: bool) -> Claim:
        wish = Wish(
            session=self._session,
            epoch=self._epoch,
            boot=self._boot,
            most=run_length(self._credit.room),
            own_ids=own_ids,
            in_hand=self._results.unwritten,
        )
        self._claims = _Claims.LOST
        claim = await self._desk.claim(wish)
        self._claims = _Claims.KNOWN
        return claim

    async def _judge(self, head: OutRow | None) -> float | None:
        """What becomes of a head that was not claimed."""
        verdict = judge(head, self._line(head))
        self._wants_replica = verdict is Next.WAIT_FOR_REPLICA
        match verdict:
            case Next.IDLE | Next.WAIT_FOR_LINK:
                return None
            case Next.WAIT_FOR_REPLICA:
                self._ask_for_replica()
                return _REPLICA_LOOK
            case Next.WAIT_FOR_RECEIPT:
                return UNCERTAIN_WAIT - self._listened_for()
            case Next.CLAIM:
                return 0.0  # it became possible while we looked
            case outcome:
                if head is None or not self._may_work():
                    return _DATABASE_RETRY
                await self._results.all_written()
                return await self._act(outcome, head)

    async def _act(self, outcome: Next, head: OutRow) -> float:
        match outcome:
            case Next.MARK_UNCERTAIN:
                await self._rows.mark_uncertain(self._session, head.id)
                self._uncertain()
            case Next.SETTLE:
                await self._results.settle_by_receipt(head, own_id=self._own_id(head))
            case Next.SEND_AGAIN:
                await self._rows.put_back(self._session, [head.id], counted=True)
                self._count("sent_again")
            case _:
                await self._results.fail(head, "WhatsApp's answer stayed away: nobody can know whether it was sent")
                self._count("given_up")
        return 0.0

    def _line(self, head: OutRow | None) -> Line:
        uncertain = head is not None and head.status is OutStatus.UNCERTAIN
        return Line(
            linked=self._engine is not None and self._may_work(),
            listened_for=self._listened_for(),
            credit=self._credit.may_send(),
            receipt=self._receipts.settles(head, own_id=self._own_id(head)) if head is not None and uncertain else None,
            own_id=head is not None and self._own_id(head),
            send_again=self._send_again,
        )

    def _own_id(self, row: OutRow) -> bool:
        """Whether the row's id is one of ours, and the engine of now sends it under that id.

        While there is no engine, such a row is settled by its own id or not at all.
        """
        engine = self._engine
        return row.wa_id is not None and (engine is None or engine.capabilities.own_message_ids)

    def _listened_for(self) -> float:
        return self._clock.monotonic() - self._receipts_from

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _work_off(self, engine: Sender, run: deque[OutRow]) -> float:
        """Send claimed rows in their order; whatever does not leave is put back. Seconds until the next look."""
        pause = 0.0
        while run:
            # The answer of the database may have taken a while: a stale worker must not send what it has claimed.
            if not await self._may_go_on(engine):
                pause = _REFUSED_PAUSE
                break
            try:
                prepared = self._preparer.immediate(run[0])
            except PreparationFailed as failed:
                pause = await self._not_prepared(run[0], failed)
                if failed.retry_after is not None:
                    break
                run.popleft()
                continue
            if prepared is None:
                slow = run[0]
                await self._results.put_back(run)
                return await self._prepare_and_send(engine, slow)
            went = await self._send(engine, run[0], prepared)
            if went is not _Went.BACK:
                run.popleft()
            if went is not _Went.ON:
                pause = 0.0 if went is _Went.NOBODY_KNOWS else _REFUSED_PAUSE
                break
        await self._results.put_back(run)
        return pause

    async def _may_go_on(self, engine: Sender) -> bool:
        """Whether the next claimed row may go to the engine now; waits a moment for the store and for the database."""
        await self._results.room()
        if self._credit.may_send() is not CreditVerdict.SEND:
            self._ask_for_replica()
            self._credited.clear()
            try:
                async with asyncio.timeout(_HOLD):
                    while self._engine is engine and self._credit.may_send() is not CreditVerdict.SEND:
                        await self._credited.wait()
                        self._credited.clear()
            except TimeoutError:
                self._wants_replica = True  # it ends the pause that follows
                return False
        return self._engine is engine and self._may_work() and self._credit.may_send() is CreditVerdict.SEND

    async def _prepare_and_send(self, engine: Sender, row: OutRow) -> float:
        """A row that takes a while: it stays pending until it is ready, so a crash in between costs nothing."""
        await self._results.all_written()  # it may be about the message before it
        self._idle.set()
        prepared = await self._prepare(engine, row)
        if not isinstance(prepared, PreparedMessage):
            return prepared
        self._claims = _Claims.LOST
        claimed = await self._rows.claim(self._session, row.id, epoch=self._epoch, boot=self._boot)
        self._claims = _Claims.KNOWN
        if not claimed:
            return 0.0
        self._idle.clear()
        went = await self._send(engine, row, prepared) if await self._may_go_on(engine) else _Went.BACK
        if went is _Went.BACK:
            await self._results.put_back([row])
        return _REFUSED_PAUSE if went in (_Went.BACK, _Went.LATER) else 0.0

    async def _prepare(self, engine: Sender, row: OutRow) -> PreparedMessage | float:
        """The message, or the seconds until the next look."""
        self._preparing = asyncio.ensure_future(self._preparer.prepare(row, engine))
        try:
            async with asyncio.timeout(_PREPARATION_LIMIT):
                with tracing.span("message.prepare", parent=row.trace, attributes={"message.type": row.type}):
                    return await self._preparing
        except PreparationFailed as failed:
            return await self._not_prepared(row, failed)
        except TimeoutError:
            late = PreparationFailed("PreparationFailed", f"not ready after {_PREPARATION_LIMIT:.0f} s", None)
            return await self._not_prepared(row, late)
        except EngineGone:
            return _REFUSED_PAUSE
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return _REFUSED_PAUSE  # the session was unlinked
        finally:
            self._preparing.cancel()
            self._preparing = None

    async def _not_prepared(self, row: OutRow, failed: PreparationFailed) -> float:
        if failed.retry_after is not None:
            return failed.retry_after
        await self._results.fail(row, f"{failed.code}: {failed.message}")
        return 0.0

    async def _send(self, engine: Sender, row: OutRow, prepared: PreparedMessage) -> "_Went":
        """One claimed row through the engine. `BACK` leaves it to the caller to put it back."""
        own_id = row.wa_id if engine.capabilities.own_message_ids else None
        message = OutgoingMessage(row_id=str(row.id), to=prepared.to, message=prepared.message, message_id=own_id)
        self._credit.sending(row.id)
        try:
            with tracing.span("message.send", parent=row.trace, attributes={"message.type": row.type}):
                result = await engine.send(self._uid, message, _SEND_TIMEOUT)
        except EngineRefused as refused:
            return await self._refused(row, refused.code, refused.message)
        except EngineGone as gone:
            return await self._refused(row, "EngineGone", str(gone))
        except EngineUncertain:
            await self._results.until_written(lambda: self._rows.mark_uncertain(self._session, row.id))
            self._uncertain()
            return _Went.NOBODY_KNOWS
        finally:
            self._credit.settled(row.id, self._clock.monotonic())
            if self._credit.running_short:
                self._ask_for_replica()
        self._results.sent(row, result)
        return _Went.ON

    async def _refused(self, row: OutRow, code: str, message: str) -> "_Went":
        match judge_refusal(code, row.attempts + 1):
            case Refusal.PUT_BACK:
                self._count("put_back")
                return _Went.BACK
            case Refusal.TRY_AGAIN:
                await self._results.put_back([row], counted=True)
                self._count("put_back")
                return _Went.LATER
            case Refusal.FAIL:
                await self._results.fail(row, f"{code}: {message}")
                return _Went.ON

    def _uncertain(self) -> None:
        self._count("uncertain")
        self._receipts_from = self._clock.monotonic()

    def _ask_for_replica(self) -> None:
        """Once until the store has answered: the next look of the shipper may be a quarter of a second away."""
        if not self._asked_for_replica:
            self._asked_for_replica = True
            self._hurry()


class _Claims(Enum):
    """What is known about the session's rows that are `sending`."""

    OF_OTHERS = "some may be of whoever held the session before: nobody works on those"
    LOST = "a claim was asked for and its answer did not come: some may be claimed for us without our knowing"
    KNOWN = "we know each that we have claimed"


class _Went(Enum):
    """What became of a claimed row, and with it of those behind."""

    ON = "it is through, one way or the other: the next one"
    BACK = "it did not leave: put it back with those behind it, and pause"
    LATER = "it did not leave and is put back: put those behind it back, too, and pause"
    NOBODY_KNOWS = "it is uncertain: put those behind it back, its fate comes first"
