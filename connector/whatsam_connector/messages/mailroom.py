"""Makes the inbox and the outbox of each session, and rings when there is something to send. One per connector."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from whatsam_connector.clock import Clock
from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.batch import Batch, ReceiptFor
from whatsam_connector.messages.desk import BatchRows, Desk
from whatsam_connector.messages.inbox import Inbox, MessageSink
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.messages.outbox import Outbox, OutgoingRows
from whatsam_connector.messages.prepared import MessagePreparer
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.rules import Receipt
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.state import SendCredit
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_POLL = 2.0
"""Seconds between looks for open messages: notifications get lost with their connection, rows do not."""

_LATE = 0.5
"""Seconds in which receipts that were faster than their messages' ids are gathered."""


class MessageRows(MessageSink, OutgoingRows, BatchRows, Protocol):
    """The table of messages."""

    async def sessions_with_work(self, sessions: list[str]) -> set[str]:
        """Which of these have an open outgoing message. Raises `DatabaseUnavailable`."""
        ...

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with the session of each new row, for ever."""
        ...


class Preparing(Protocol):
    """Makes the preparer of each session."""

    def open(self, session: str, tenant: str, uid: str) -> MessagePreparer:
        """`session`: namespace/name."""
        ...


class Mailroom:
    """What the message pumps of all sessions share."""

    def __init__(
        self,
        rows: MessageRows,
        waiters: Waiters,
        clock: Clock,
        *,
        boot: str,
        may_work: Callable[[], bool],
        count_out: Callable[[str], None],
        count_in: Callable[[str, int], None],
        preparing: Preparing,
        hurry: Callable[[str], None] = lambda _uid: None,
    ) -> None:
        """`hurry` asks the shipper to store a session's state now (by uid)."""
        self._desk = Desk(rows)
        self._preparing = preparing
        self._hurry = hurry
        self._late: dict[str, list[ReceiptFor]] = {}
        self._late_tasks: set[asyncio.Task[None]] = set()
        self._rows = rows
        self._waiters = waiters
        self._clock = clock
        self._boot = boot
        self._may_work = may_work
        self._count_out = count_out
        self._count_in = count_in

    def open(self, owner: InboxOwner, journal: Path, epoch: int) -> tuple[Inbox, Outbox]:
        """The pumps of one session under one epoch."""
        receipts = UnknownReceipts()
        outbox = Outbox(
            session=owner.session,
            uid=owner.uid,
            epoch=epoch,
            boot=self._boot,
            rows=self._rows,
            desk=self._desk,
            receipts=receipts,
            credit=SendCredit(),
            waiters=self._waiters,
            clock=self._clock,
            may_work=self._may_work,
            late=lambda receipt: self._apply_late(owner, receipt),
            preparer=self._preparing.open(owner.session, owner.tenant, owner.uid),
            hurry=lambda: self._hurry(owner.uid),
            count=self._count_out,
        )
        inbox = Inbox(
            owner, journal, self._rows, receipts, on_receipts=outbox.wake, count=self._count_in, now=self._clock.now
        )
        return inbox, outbox

    def _apply_late(self, owner: InboxOwner, receipt: Receipt) -> None:
        """Write a receipt whose message got its id only after the inbox had looked for it; some at a time."""
        waiting = self._late.setdefault(owner.session, [])
        waiting.append(receipt.told or ReceiptFor(receipt.wa_id, receipt.status, at=receipt.at))
        if len(waiting) == 1:
            task = asyncio.create_task(self._write_late(owner), name=f"late receipts {owner.session}")
            self._late_tasks.add(task)
            task.add_done_callback(self._late_tasks.discard)

    async def _write_late(self, owner: InboxOwner) -> None:
        await asyncio.sleep(_LATE)
        batch = Batch(receipts=tuple(self._late.pop(owner.session)))
        while True:
            try:
                await self._rows.record(owner.session, owner.tenant, None, batch)
            except DatabaseUnavailable:
                await asyncio.sleep(_POLL)
            else:
                return

    async def ring_for_ever(self, sessions: Callable[[], list[str]], wake: Callable[[str], None]) -> None:
        """Wake the outboxes of sessions that have something to send."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._rows.listen(wake))
            group.create_task(self._poll(sessions, wake))

    async def _poll(self, sessions: Callable[[], list[str]], wake: Callable[[str], None]) -> None:
        away = False
        while True:
            try:
                for session in await self._rows.sessions_with_work(sessions()):
                    wake(session)
                away = False
            except DatabaseUnavailable as error:
                if not away:
                    _log.warning("mailroom.database_away", error=str(error))
                away = True
            await asyncio.sleep(_POLL)
