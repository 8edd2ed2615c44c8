"""HTTP calls that wait for a message to be settled. One object per connector; outboxes tell it, the HTTP API asks."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID


class Waiters:
    """Who waits for which message."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = {}

    @contextmanager
    def waiting(self, message: UUID) -> Generator[asyncio.Event]:
        """An event that is set when the message is settled. Register before looking at the row."""
        event = asyncio.Event()
        self._waiting.setdefault(message, set()).add(event)
        try:
            yield event
        finally:
            others = self._waiting[message]
            others.discard(event)
            if not others:
                del self._waiting[message]

    def settled(self, message: UUID) -> None:
        """The message was sent or has failed."""
        for event in self._waiting.get(message, ()):
            event.set()
