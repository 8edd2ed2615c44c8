"""Downloads the files of received messages: a worker's one, for all sessions that run on it.

Bounded: so many files at a time, so many of one session, each with a time limit, on a local disk with room. What is in
hand when the process dies is claimed again by whoever runs the session. An object is put before its row says so.
"""

import asyncio
import random
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.media.errors import FetchFailed
from whatsam_connector.messages.media.outcomes import NOT_NOW, Outcome, Settled, judge
from whatsam_connector.messages.media.work import Fetched, MediaHost, MediaItem, MediaObjects, Route, WorkList
from whatsam_core.logging import get_logger
from whatsam_core.media import media_key
from whatsam_core.storage.objects import ObjectStoreError

_log = get_logger(__name__)

_TIME = 300.0
"""Seconds for one file, all in all."""
_CLAIM = 360.0
"""Seconds for which a file is in hand: longer than `_TIME`, so that nobody else takes it meanwhile."""
_LOOK = 5.0
"""Seconds between looks at the work list without being told."""
_OF_ONE_SESSION = 2
"""Files of one session at a time, while others wait."""
_ROOM = 2
"""Free disk that must be left, in files of the largest size that is under way."""
_FRESH = timedelta(hours=12)
"""Age up to which an object that is there already is taken as it is; an older one may be on its way out."""


class Downloader:
    """The worker's downloader."""

    def __init__(
        self,
        work: WorkList,
        host: MediaHost,
        objects: MediaObjects,
        folder: Path,
        *,
        boot: str,
        installation_id: str,
        now: Callable[[], datetime],
        routes: Callable[[], Mapping[str, Route]],
        at_once: int = 4,
        encrypt: bool = False,
        count: Callable[[str], None] = lambda _state: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`routes`: the sessions (namespace/name) whose files are wanted now. `folder` is emptied at the start."""
        self._work = work
        self._host = host
        self._objects = objects
        self._folder = folder
        self._boot = boot
        self._installation_id = installation_id
        self._now = now
        self._routes = routes
        self._at_once = at_once
        self._encrypt = encrypt
        self._count = count
        self._chance = chance
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be new work."""
        self._wake.set()

    async def run(self) -> None:
        """Download for ever."""
        await asyncio.to_thread(self._empty)
        away = False
        try:
            while True:
                self._wake.clear()
                try:
                    more = await self._start()
                    away = False
                except DatabaseUnavailable as error:
                    if not away:
                        _log.warning("media.waiting", error=str(error))
                    away, more = True, False
                if not more:
                    await self._rest()
        finally:
            await self._end()

    async def _start(self) -> bool:
        """Start what may be started. Whether there may be more at once."""
        free = self._at_once - len(self._under_way)
        routes = self._routes()
        if free <= 0 or not routes or not await asyncio.to_thread(self._has_room, routes):
            return False
        busy = Counter(self._under_way.values())
        allowance = {session: most for session in routes if (most := min(_OF_ONE_SESSION - busy[session], free)) > 0}
        if not allowance:
            return False
        items = await self._work.claim(allowance, self._boot, _CLAIM)
        for item in items[:free]:
            task = asyncio.create_task(self._download(item, routes[item.session]), name=f"media {item.message_id}")
            self._under_way[task] = item.session
            task.add_done_callback(self._done)
        for item in items[free:]:  # one statement asks for all sessions: it may bring more than there is room for
            await self._work.again(item, NOT_NOW)
        return False

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("media.broken", error=type(error).__name__)

    async def _download(self, item: MediaItem, route: Route) -> None:
        path = self._folder / secrets.token_hex(8)
        fetched: Fetched | None = None
        key: str | None = None
        try:
            async with asyncio.timeout(_TIME):
                fetched = await self._host.fetch(item.source, path, route)
                key = media_key(self._installation_id, item.tenant, fetched.sha256)
                await self._publish(key, path, fetched, item.source.mimetype)
            outcome = Outcome.STORED
        except FetchFailed as error:
            outcome = error.outcome
        except TimeoutError:
            outcome = Outcome.UNREACHABLE
        except ObjectStoreError as error:
            _log.warning("media.store_away", session=item.session, error=type(error).__name__)
            outcome = Outcome.STORE_AWAY
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        await self._write(item, outcome, fetched, key)

    async def _publish(self, key: str, path: Path, fetched: Fetched, mimetype: str) -> None:
        there = await self._objects.stat(key)
        if there is not None and there.size == fetched.size and self._now() - there.modified < _FRESH:
            return
        await self._objects.put_file(key, path, content_type=mimetype, encrypt=self._encrypt)

    async def _write(self, item: MediaItem, outcome: Outcome, fetched: Fetched | None, key: str | None) -> None:
        verdict = judge(outcome, item.attempts, chance=self._chance())
        try:
            if isinstance(verdict, Settled):
                done = outcome is Outcome.STORED
                await self._work.settle(item, verdict, fetched if done else None, key if done else None)
                self._count(verdict.state)
            else:
                await self._work.again(item, verdict)
                self._count("again")
        except DatabaseUnavailable as error:
            # The claim runs out, and the file is downloaded once more: the object is there by then.
            _log.warning("media.not_written", session=item.session, error=str(error))

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK):
                await self._wake.wait()

    async def _end(self) -> None:
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        with suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(2.0):
                await self._work.release(self._boot)
                await self._host.close()

    def _empty(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)

    def _has_room(self, routes: Mapping[str, Route]) -> bool:
        largest = max(route.most_bytes for route in routes.values())
        return shutil.disk_usage(self._folder).free > largest * (self._at_once + _ROOM)
