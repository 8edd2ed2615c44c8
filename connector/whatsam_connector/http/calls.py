"""What a forwarded call may do: the service behind the routes. Checks holder and fence on every call, then waits.

A call never sends by itself: it wakes the outbox, which works its rows off in order, and waits for its own row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from uuid import UUID

from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.rows import MessageView
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.sessions.runner import SessionRunner

_WITHOUT_A_LOOK = 0.3
"""Seconds to wait for the outbox's word before the row itself is read."""


class Refusal(Enum):
    """Why a call is not taken; the value is the code that the caller gets."""

    STALE_EPOCH = "STALE_EPOCH"
    """The session is here, under another epoch."""
    NOT_HOLDER = "NOT_HOLDER"
    """Another boot holds it, or nobody."""
    FENCED = "FENCED"
    """This worker's Lease is not confirmed."""
    NOT_CONNECTED = "NOT_CONNECTED"
    """The session is not logged in; the message stays pending and leaves when it is."""
    UNKNOWN_MESSAGE = "UNKNOWN_MESSAGE"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"


@dataclass(frozen=True)
class Address:
    """For whom a call is meant."""

    uid: str
    epoch: int
    boot: str


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
        if address.boot != self._boot or runner is None or runner.state.stage.final:
            return Refusal.NOT_HOLDER
        if address.epoch != runner.epoch:
            return Refusal.STALE_EPOCH
        if not self._may_work():
            return Refusal.FENCED
        return runner
