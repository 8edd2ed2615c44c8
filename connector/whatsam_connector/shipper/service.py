"""The shipper process: takes commands from the keeper, runs one `SessionShipper` a session, reports back.

It ends when the keeper's socket closes: a shipper without a keeper would ship for a boot that may be replaced. Even
then it could do no harm, because it writes under its own epoch and boot only.
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from whatsam_connector import lean
from whatsam_connector.shipper.changes import Changes
from whatsam_connector.shipper.pace import GLANCE_ANYWAY, TELL_QUIET, Gate
from whatsam_connector.shipper.protocol import (
    COMMANDS,
    LINE_LIMIT,
    Configure,
    Flush,
    Flushed,
    Hurry,
    Quiet,
    Release,
    Report,
    Track,
    Untrack,
    line,
)
from whatsam_connector.shipper.session import SessionShipper
from whatsam_core.storage.objects import ObjectStore


class Service:
    """One connection to a keeper."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # `drain` then returns only when everything is in the kernel's hands, where it survives our own death.
        writer.transport.set_write_buffer_limits(high=0)
        self._sessions: dict[str, SessionShipper] = {}
        self._store: ObjectStore | None = None
        self._poll_period = 0.25
        self._gate = Gate()
        self._changes = Changes()
        self._saying = asyncio.Lock()
        self._defect: BaseException | None = None

    async def run(self) -> None:
        """Serve until the keeper is gone."""
        beside = (asyncio.create_task(self._glance_for_ever()), asyncio.create_task(lean.give_back_for_ever()))
        try:
            while raw := await self._reader.readline():
                await self._obey(raw)
        except ConnectionError:
            return
        finally:
            for task in beside:
                task.cancel()
            for session in list(self._sessions.values()):
                await session.end()
            self._changes.close()
            if self._store is not None:
                await self._store.close()
            self._writer.close()
        if self._defect is not None:
            raise self._defect

    async def _obey(self, raw: bytes) -> None:
        command = COMMANDS.validate_json(raw)
        if isinstance(command, Configure):
            self._poll_period = command.poll_period
            self._store = ObjectStore(
                command.s3_url,
                command.s3_access_key,
                command.s3_secret_key,
                command.s3_bucket,
                command.s3_region,
                timeout=command.put_timeout,
            )
        elif isinstance(command, Track):
            await self._end(command.uid)
            if self._store is None:
                raise RuntimeError("the keeper sent a session before the store's address")
            session = SessionShipper(command, self._store, self._say, self._gate)
            self._sessions[command.uid] = session
            self._changes.watch(command.uid, Path(command.database).parent)
            session.begin().add_done_callback(self._ended)
        elif isinstance(command, Untrack):
            await self._end(command.uid)
            await self._say(Flushed(id=command.id, uid=command.uid, base=None, sha256=""))
        else:
            self._ask(command)

    def _ask(self, command: Flush | Hurry | Release) -> None:
        session = self._sessions.get(command.uid)
        if session is None:
            return
        if isinstance(command, Hurry):
            session.hurry()
        else:
            session.ask(command)

    async def _end(self, uid: str) -> None:
        session = self._sessions.pop(uid, None)
        if session is not None:
            self._changes.forget(uid)
            await session.end()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A defect in one session's task must not leave that session unshipped: end, the keeper starts another."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._defect = error
            self._reader.feed_eof()

    async def _say(self, report: Report) -> None:
        async with self._saying:
            self._writer.write(line(report))
            await self._writer.drain()

    async def _glance_for_ever(self) -> None:
        """See what has changed in each turn: hundreds of idle sessions must cost next to nothing."""
        glanced = told = time.monotonic()
        restless: set[str] = set()
        while True:
            await asyncio.sleep(self._poll_period)
            now = time.monotonic()
            changed = None if now - glanced >= GLANCE_ANYWAY else self._changes.read()
            if changed is None:
                glanced = now
            # Once more when it has settled: it may have changed while it was being looked at, which was told then.
            due, restless = restless, {uid for uid, session in self._sessions.items() if not session.settled}
            for uid, session in self._sessions.items():
                if changed is None or uid in changed or uid in due or uid in restless or not self._changes.watches(uid):
                    session.glance()
            if now - told >= TELL_QUIET:
                told = now
                await self._tell_quiet()

    async def _tell_quiet(self) -> None:
        covered: dict[str, float] = {}
        for uid, session in self._sessions.items():
            if session.quiet_since is not None:
                covered[uid], session.quiet_since = session.quiet_since, None
        if covered:
            with suppress(ConnectionError):
                await self._say(Quiet(covered=covered))


async def serve(socket: Path) -> None:
    """Connect to the keeper and serve it."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=LINE_LIMIT)
    await Service(reader, writer).run()
