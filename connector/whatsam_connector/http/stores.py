"""Whether the stores answer, asked in the background so that health and probes never wait for one that hangs."""

import asyncio
from collections.abc import Awaitable, Callable

from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_PERIOD = 5.0
"""Seconds between two looks."""


class Stores:
    """What was seen of the database and the object store. Run `watch` once."""

    def __init__(self, database: Callable[[], Awaitable[bool]], objects: Callable[[], Awaitable[bool]]) -> None:
        self._ask = {"database": database, "objects": objects}
        self._seen: dict[str, bool | None] = {"database": None, "objects": None}
        self._objects_answered = False

    @property
    def database(self) -> bool | None:
        """Whether PostgreSQL answered lately; None before the first look."""
        return self._seen["database"]

    @property
    def objects(self) -> bool | None:
        """Whether the object store answered lately; None before the first look."""
        return self._seen["objects"]

    @property
    def started(self) -> bool:
        """Whether the object store has answered since the start: without it no session can be restored here."""
        return self._objects_answered

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.gather(*(self._look(name) for name in self._ask))
            await asyncio.sleep(_PERIOD)

    async def _look(self, name: str) -> None:
        answers = await self._ask[name]()
        if answers != self._seen[name]:
            _log.info("store.answers" if answers else "store.silent", store=name)
        self._seen[name] = answers
        if name == "objects" and answers:
            self._objects_answered = True
