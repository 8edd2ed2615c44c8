"""Follow a collection for ever: list, then watch, and say honestly when the view is stale.

What `Cluster.reflect` returns comes from here. The algorithm of client-go's reflector, with three promises on top:

- A frozen API server is noticed. Each watch asks the server to end it after `watch_seconds`; a server that has not
  done so `grace_seconds` later is gone, whatever TCP says. (Bookmarks alone cannot tell: they come once a minute.)
- An outage is told once (`Disconnected`) and ends with a `Snapshot`, so a consumer knows when its view is whole again.
- A watch that ends in peace is resumed from the last resourceVersion (bookmarks keep it young) without a new list.

Consumers that stop early should hold the generator in `contextlib.aclosing`, so that its connection closes at once.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from whatsam_core.storage.cluster_errors import ClusterError, Expired, Unreachable, error_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReflectTimings:
    """Seconds. Two watches of 20 s cost an API server less than one status patch does."""

    watch_seconds: float = 20.0
    """After this the server ends a watch and we open the next; a frozen server is noticed `grace_seconds` later."""
    grace_seconds: float = 5.0
    """How late the end of a watch, or the head of an answer, may be."""
    list_timeout: float = 30.0
    """Bound of one page of a list."""
    first_delay: float = 0.2
    """Upper bound of the first wait of an outage; it doubles with each failure. Waits are drawn from [0, bound]."""
    longest_delay: float = 5.0
    """Largest upper bound: at most this late after the server's return the next attempt is made."""
    hasty_end: float = 1.0
    """A watch that ends in peace before this, without one event, counts as a failure, so that no loop runs hot."""


@dataclass(frozen=True, slots=True)
class ListResult:
    """A consistent list and the resourceVersion at which a watch continues it."""

    items: list[Json]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything there is: replaces whatever the consumer knew. Ends an outage."""

    items: list[Json]


@dataclass(frozen=True, slots=True)
class Changed:
    """The object is new or has changed."""

    object: Json


@dataclass(frozen=True, slots=True)
class Removed:
    """The object is gone (or no longer matches the selector); this is its last state."""

    object: Json


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The view is stale from now until the next `Snapshot`. Told once an outage."""

    error: ClusterError


ReflectEvent = Snapshot | Changed | Removed | Disconnected


class EventStream(Protocol):
    """An open watch."""

    async def next(self, timeout: float) -> Json | None:
        """The next watch event; None at the end; `Unreachable` after `timeout` seconds."""
        ...


class Source(Protocol):
    """One collection with its selectors: what the reflector asks for. `Cluster` gives the real one."""

    async def list(self, timeout: float) -> ListResult:
        """The whole collection."""
        ...

    def watch(
        self, resource_version: str, *, seconds: float, head_timeout: float
    ) -> AbstractAsyncContextManager[EventStream]:
        """Changes after `resource_version`; the server ends the watch after `seconds`."""
        ...


class Reflector:
    """One endless run over one `Source`. `events` may be called once."""

    def __init__(
        self,
        source: Source,
        timings: ReflectTimings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._timings = timings or ReflectTimings()
        self._clock = clock
        self._chance = chance
        self._position: str | None = None
        """resourceVersion to watch from; None: list first."""
        self._failures = 0
        self._outage = False

    async def events(self) -> AsyncGenerator[ReflectEvent]:
        """Yield for ever. Ends only by `aclose` or cancellation."""
        while True:
            try:
                if self._position is None:
                    listed = await self._source.list(self._timings.list_timeout)
                    self._position = listed.resource_version
                    self._outage = False
                    yield Snapshot(listed.items)
                # aclosing: a consumer that leaves must close the connection now, not when garbage is collected.
                async with aclosing(self._watch(self._position)) as changes:
                    async for event in changes:
                        yield event
            except Expired:
                # Normal after a pause that was longer than the server's memory: list at once. A list that is itself
                # refused as too old must not spin, hence the count.
                self._position = None
                self._failures += 1
                if self._failures > 1:
                    await self._back_off()
            except ClusterError as error:
                if self._position is not None and self._failures == 0:
                    # The connection broke (an API server restarts, a balancer drops it). One attempt to go on from
                    # where we are, before it is called an outage.
                    self._failures = 1
                    continue
                self._position = None
                self._failures += 1
                if not self._outage:
                    self._outage = True
                    yield Disconnected(error)
                await self._back_off(error.retry_after)

    async def _watch(self, position: str) -> AsyncGenerator[ReflectEvent]:
        timings = self._timings
        seconds = timings.watch_seconds * (0.8 + 0.2 * self._chance())  # many watchers must not reopen in step
        opened = self._clock()
        told = False
        async with self._source.watch(position, seconds=seconds, head_timeout=timings.grace_seconds) as stream:
            while True:
                # A consumer that was slow finds events in the buffer: it always gets the grace to read them.
                left = opened + seconds + timings.grace_seconds - self._clock()
                raw = await stream.next(max(left, timings.grace_seconds))
                if raw is None:
                    break
                event = self._take(raw)
                told = True
                self._failures = 0
                if event is not None:
                    yield event
        if not told and self._clock() - opened < timings.hasty_end:
            raise Unreachable("the watch ended at once without an event")
        self._failures = 0

    def _take(self, raw: Json) -> ReflectEvent | None:
        kind = raw.get("type")
        body: Json = raw.get("object") or {}
        if kind == "ERROR":
            code = body.get("code", HTTPStatus.INTERNAL_SERVER_ERROR)
            message = body.get("message", "")
            if code == HTTPStatus.GONE:
                raise Expired(f"watch: {message}", status=code)
            error = error_of(code, b"", what=f"watch: {message}")
            self._position = None
            raise error
        version = body.get("metadata", {}).get("resourceVersion")
        if version:
            self._position = version
        if kind in ("ADDED", "MODIFIED"):
            return Changed(body)
        if kind == "DELETED":
            return Removed(body)
        return None  # BOOKMARK: only the position matters

    async def _back_off(self, at_least: float | None = None) -> None:
        bound = min(self._timings.longest_delay, self._timings.first_delay * 2 ** min(self._failures - 1, 16))
        await asyncio.sleep(max(bound * self._chance(), at_least or 0.0))
