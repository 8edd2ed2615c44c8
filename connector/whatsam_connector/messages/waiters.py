"""HTTP calls that wait for a message to be settled. One object per connector; outboxes tell it, the HTTP API asks."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

from whatsam_connector.messages.rows import MessageView

REMEMBERED = 1000
"""Messages that were sent lately: some seconds' worth."""


class Waiting:
    """One call that waits for one message."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._view: MessageView | None = None

    @property
    def told(self) -> bool:
        """Whether the message has been settled since the call began."""
        return self._told.is_set()

    @property
    def view(self) -> MessageView | None:
        """What became of it, when whoever settled it knew the whole row."""
        return self._view

    async def wait(self, seconds: float) -> bool:
        """Wait for it; whether it was settled in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            pass
        return self.told

    def tell(self, view: MessageView | None) -> None:
        """It is settled, in the database, too."""
        self._view = view
        self._told.set()


class Waiters:
    """Who waits for which message."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[Waiting]] = {}
        self._lately: dict[UUID, MessageView] = {}

    @contextmanager
    def waiting(self, message: UUID) -> Generator[Waiting]:
        """Told when the message is settled, or at once when it was sent lately. Register before looking at the row.

        A busy outbox finds a row by itself and may have sent it before the call that announces it is here.
        """
        one = Waiting()
        if (known := self._lately.get(message)) is not None:
            one.tell(known)
        self._waiting.setdefault(message, set()).add(one)
        try:
            yield one
        finally:
            others = self._waiting[message]
            others.discard(one)
            if not others:
                del self._waiting[message]

    def settled(self, message: UUID, view: MessageView | None = None) -> None:
        """The message was sent or has failed, and its row says so. `view`: the row as it is now, if that is known."""
        for one in self._waiting.get(message, ()):
            one.tell(view)
        if view is not None and view.status == "sent":  # this is final; a message that has failed may be tried again
            self._lately[message] = view
            if len(self._lately) > REMEMBERED:
                del self._lately[next(iter(self._lately))]
