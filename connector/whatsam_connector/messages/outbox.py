"""Works off the outgoing messages of one session, one at a time, in the order of their rows. Driven by its runner.

A message is claimed in the database before the engine sees it, and settled there after the engine has answered.
Whatever ends in between (engine, worker, database) leaves a row that says so; `rules` decides what becomes of it.

For speed a short run of rows is claimed at once, the next run while the last message of this one is under way
(`taking`), and a result is written while the next message is under way (`results`). None of this weakens the promise: a
row that never reached the engine is put back, by this outbox when it can, else by its successor after a wait; and no
further message goes to the engine while more than one result is not written. `passage` is a row's way through the
engine.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol
from uuid import UUID

from whatsam_connector.clock import Clock
from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.desk import Desk
from whatsam_connector.messages.passage import REFUSED_PAUSE, Passage, Sender, Went
from whatsam_connector.messages.prepared import MessagePreparer, PreparationFailed, PreparedMessage
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.results import Results, SettledRows
from whatsam_connector.messages.rules import (
    UNCERTAIN_WAIT,
    Line,
    Next,
    OutRow,
    OutStatus,
    Receipt,
    judge,
)
from whatsam_connector.messages.taking import TakenRows, Taking
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.state import CreditVerdict, SendCredit
from whatsam_core.logging import get_logger
from whatsam_core.resources.session import Pacing, UncertainSends

_log = get_logger(__name__)

_DATABASE_RETRY = 1.0
_REPLICA_LOOK = 2.0
"""Seconds after which the credit is asked again without being told."""
_HOLD = 1.0
"""Seconds for which claimed rows are kept in hand while the store catches up; then they are put back."""


class OutgoingRows(SettledRows, TakenRows, Protocol):
    """The session's rows. Every call may raise `DatabaseUnavailable`."""

    async def head(self, session: str) -> OutRow | None: ...


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
        self._rows = rows
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
        self._taking = Taking(
            session=session, epoch=epoch, boot=boot, rows=rows, desk=desk, credit=credit, results=self._results
        )
        self._passage = Passage(
            session=session,
            uid=uid,
            rows=rows,
            preparer=preparer,
            results=self._results,
            credit=credit,
            clock=clock,
            count=count,
        )
        self._send_again = True
        self._engine: Sender | None = None
        self._sending: Sender | None = None
        """The engine that has the last row in hand just now."""
        self._receipts_from = 0.0
        self._wants_replica = False
        self._asked_for_replica = False
        self._run: deque[OutRow] = deque()
        """Rows in hand, that under way first."""
        self._wake = asyncio.Event()
        self._credited = asyncio.Event()
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
        self._credited.set()
        self._passage.interrupt()

    def want(self, pacing: Pacing, uncertain: UncertainSends) -> None:
        """From now on: how fast messages leave, and what becomes of those that may have been sent or not."""
        self._preparer.pace(pacing)
        self._send_again = uncertain is UncertainSends.SEND_AGAIN

    def wake(self, message: UUID | None = None) -> None:
        """Something may be possible that was not: a new row, a receipt. `message`: the row, if it is that."""
        if message is not None and (message in self._results.unwritten or any(r.id == message for r in self._run)):
            return  # found already
        self._wake.set()
        if self._sending is not None:
            self._look_ahead(self._sending)

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
            self._taking.cancel()

    async def _rest(self, pause: float | None) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass

    # --- the line -----------------------------------------------------------------------------------------------------

    async def _turn(self) -> float | None:
        """One look at the line. Seconds to wait for the next; None: until somebody wakes us."""
        if await self._taking.recover():
            self._uncertain()
        engine = self._engine
        if engine is not None and self._may_work() and self._credit.may_send() is CreditVerdict.SEND:
            claim = await self._taking.next(own_ids=engine.capabilities.own_message_ids)
            if claim.rows:
                self._idle.clear()
                self._run.extend(claim.rows)
                try:
                    return await self._work_off(engine, self._run)
                finally:
                    self._run.clear()
                    self._idle.set()
            head = claim.head
        else:
            await self._results.all_written()
            head = await self._rows.head(self._session)
        return await self._judge(head)

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
        own_id = head is not None and self._own_id(head)
        uncertain = head is not None and head.status is OutStatus.UNCERTAIN
        return Line(
            linked=self._engine is not None and self._may_work(),
            listened_for=self._listened_for(),
            credit=self._credit.may_send(),
            receipt=self._receipts.settles(head, own_id=own_id) if head is not None and uncertain else None,
            own_id=own_id,
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

    async def _work_off(self, engine: Sender, run: deque[OutRow]) -> float | None:
        """Send claimed rows in their order; whatever does not leave is put back. As `_turn`."""
        while run or self._taking.looking_ahead:
            if not run:
                run.extend(await self._taking.came())
                continue
            # The answer of the database may have taken a while: a stale worker must not send what it has claimed.
            if not await self._may_go_on(engine):
                await self._give_back(run)
                return REFUSED_PAUSE
            row = run[0]
            try:
                prepared = self._preparer.immediate(row)
            except PreparationFailed as failed:
                pause = await self._passage.not_prepared(row, failed)
                if failed.retry_after is not None:
                    await self._give_back(run)
                    return pause
                run.popleft()
                continue
            if prepared is None:
                await self._give_back(run)
                return await self._prepare_and_send(engine, row)
            went = await self._send(engine, row, prepared, last=len(run) == 1)
            if went is not Went.BACK:
                run.popleft()
            if went is not Went.ON:
                await self._give_back(run)
                return 0.0 if went is Went.NOBODY_KNOWS else REFUSED_PAUSE
        # Whoever adds a row says so: without a word there is nothing behind the end of the line.
        return 0.0 if self._taking.more else None

    async def _give_back(self, run: deque[OutRow]) -> None:
        """What is in hand did not leave, and neither did what was claimed ahead."""
        try:
            run.extend(await self._taking.came())
        except DatabaseUnavailable:
            await self._results.put_back(run)
            raise
        await self._results.put_back(run)
        run.clear()

    async def _send(self, engine: Sender, row: OutRow, prepared: PreparedMessage, *, last: bool) -> Went:
        """One claimed row; while the `last` one in hand is under way, the next are claimed."""

        def under_way() -> None:
            if last:
                self._sending = engine
                self._look_ahead(engine)

        try:
            went = await self._passage.send(engine, row, prepared, under_way)
        finally:
            self._sending = None
            if self._credit.running_short:
                self._ask_for_replica()
        if went is Went.NOBODY_KNOWS:
            self._uncertain()
        return went

    def _look_ahead(self, engine: Sender) -> None:
        """Claim the next rows, if there may be some, so that the engine need not wait for the database after this one.

        Those behind the run may only be put back if it fails, as those of the run itself.
        """
        if self._taking.looking_ahead or not (self._wake.is_set() or self._taking.more):
            return
        if engine is self._engine and self._may_work() and self._credit.may_send() is CreditVerdict.SEND:
            self._wake.clear()
            in_hand = [row.id for row in self._run]
            self._taking.look_ahead(in_hand, own_ids=engine.capabilities.own_message_ids)

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
        prepared = await self._passage.prepare(engine, row)
        if not isinstance(prepared, PreparedMessage):
            return prepared
        if not await self._taking.one(row):
            return 0.0
        self._idle.clear()
        went = await self._send(engine, row, prepared, last=False) if await self._may_go_on(engine) else Went.BACK
        if went is Went.BACK:
            await self._results.put_back([row])
        return REFUSED_PAUSE if went in (Went.BACK, Went.LATER) else 0.0

    def _uncertain(self) -> None:
        self._count("uncertain")
        self._receipts_from = self._clock.monotonic()

    def _ask_for_replica(self) -> None:
        """Once until the store has answered: the next look of the shipper may be a quarter of a second away."""
        if not self._asked_for_replica:
            self._asked_for_replica = True
            self._hurry()
