"""What a forwarded call may do: the service behind the routes. Checks holder and fence on every call, then waits.

A call never sends by itself: it wakes the outbox, which works its rows off in order, and waits for its own row.
"""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.http.holding import Address, Refusal, judge_call
from whatsam_connector.messages.rows import MessageView
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.sessions.runner import SessionRunner

_WITHOUT_A_LOOK = 0.3
"""Seconds to wait for the outbox's word before the row itself is read."""


class MessageViews(Protocol):
    """Rows, as callers see them."""

    async def view(self, session: str, message: UUID) -> MessageView | None:
        """The message of that session. Raises `DatabaseUnavailable`."""
        ...


class Calls:
    """Takes forwarded calls."""

    def __init__(
        self,
        *,
        boot: str,
        find: Callable[[str], SessionRunner | None],
        may_work: Callable[[], bool],
        rows: MessageViews,
        waiters: Waiters,
        monotonic: Callable[[], float],
    ) -> None:
        self._monotonic = monotonic
        self._boot = boot
        self._find = find
        self._may_work = may_work
        self._rows = rows
        self._waiters = waiters

    async def send(self, address: Address, message: UUID, wait: float) -> MessageView | Refusal:
        """Let the message leave in its turn; wait up to `wait` seconds for it. An unsettled view means: still on it."""
        runner = self.holder_of(address)
        if isinstance(runner, Refusal):
            return runner
        began = self._monotonic()
        try:
            with self._waiters.waiting(message) as waiting:
                if not waiting.told:
                    runner.outbox.wake(message)
                # Nearly all messages leave within this, and whoever settles one knows the whole answer.
                if not runner.state.may_send or not await waiting.wait(min(wait, _WITHOUT_A_LOOK)):
                    view = await self._rows.view(runner.key, message)
                    if view is None:
                        return Refusal.UNKNOWN_MESSAGE
                    if view.settled:
                        return view
                    if not runner.state.may_send:
                        return Refusal.NOT_CONNECTED
                    await waiting.wait(began + wait - self._monotonic())
            return waiting.view or await self._rows.view(runner.key, message) or Refusal.UNKNOWN_MESSAGE
        except DatabaseUnavailable:
            return Refusal.DATABASE_UNAVAILABLE

    def holder_of(self, address: Address) -> SessionRunner | Refusal:
        """The session's runner, if this boot holds it under that epoch and its Lease is confirmed."""
        runner = self._find(address.uid)
        running = None if runner is None or runner.state.stage.final else runner.epoch
        refusal = judge_call(address, self._boot, running, may_work=self._may_work())
        if refusal is not None or runner is None:
            return refusal or Refusal.NOT_HOLDER
        return runner
