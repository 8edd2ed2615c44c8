"""Ships one session's database: looks, copies, seals, stores, cleans up. One task a session in the shipper process.

Only the newest state is ever on its way: a failed PUT is not repeated, the next try takes a new copy. Every try has a
sequence number of its own, announced before the PUT, so a PUT that was given up and arrives later is an older base.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from whatsam_connector.shipper import retention
from whatsam_connector.shipper.pace import LOG_SETTLED, LOOK_ANYWAY, SETTLED, Gate, retry_after
from whatsam_connector.shipper.protocol import (
    Attempt,
    Behind,
    Flush,
    Flushed,
    KeyConflict,
    Quiet,
    Release,
    Report,
    Stored,
    StoredBase,
    Track,
)
from whatsam_connector.state import data_keys
from whatsam_connector.state.bases import Lineage, build, digest
from whatsam_connector.state.errors import BaseDamaged, SnapshotBusy
from whatsam_connector.state.snapshot import Contents, contents, data_version, open_reader, shrink, take
from whatsam_core.sessions_state import BaseRef, bases_of, key_object
from whatsam_core.storage.objects import ObjectMissing, ObjectStore, ObjectStoreError

DELETE_TOGETHER: Final = 4
"""Superseded bases of this boot that go in one call: a deletion costs the store about as much as a base."""
LIST_EVERY: Final = 64
"""Bases between two listings: they find what a late PUT left behind, and a data key that went missing."""

_SOON: Final = 0.01
"""Seconds until the next look when the engine was committing; a commit takes a few milliseconds."""
_LOCKED_LOOKS: Final = 50
"""Looks in a row at that pace; a file that stays unreadable longer waits for its engine to come back."""

Say = Callable[[Report], Awaitable[None]]
Problem = Literal["NO_DEVICE", "DEVICE_GONE", "DAMAGED"]


@dataclass
class SessionShipper:
    """One tracked session. `say` returns when the report has left the process."""

    track: Track
    store: ObjectStore
    say: Say
    gate: Gate
    quiet_since: float | None = None
    """Set at each look or glance that found everything stored; the service collects it."""
    _connection: sqlite3.Connection | None = None
    _clean_version: int | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: list[Flush | Release] = field(default_factory=list[Flush | Release])
    _hurried: bool = False
    _looking: bool = False
    _clean_stamp: "_Stamp | None" = None
    """Of the file when it was found clean, if it will tell the next write for certain."""
    _failures: int = 0
    _behind: str | None = None
    _problem: Problem | None = None
    _sha256: str = ""
    _stores: int = 0
    _released: bool = False
    _ending: bool = False
    _locked: int = 0
    _copying: asyncio.Future[tuple[bytes, Contents, str]] | None = None
    _list_at: int = 1
    _task: asyncio.Task[None] | None = None
    _cleaner: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._lineage = Lineage(
            tenant=self.track.tenant,
            session=self.track.session,
            uid=self.track.uid,
            prefix=self.track.prefix,
            epoch=self.track.epoch,
            boot=self.track.boot,
            engine=self.track.engine,
            data_key=self.track.data_key,
        )
        self._next_seq = self.track.next_seq
        self._stored = self.track.stored
        self._uncertain = self.track.uncertain
        """A PUT whose end is unknown has a higher number than the stored base."""
        self._jid = self.track.jid
        self._known: set[BaseRef] = set()
        self._held: list[retention.HeldMark] = []

    def begin(self) -> asyncio.Task[None]:
        """Start looking. The task ends by itself only after a release; an exception in it is a defect."""
        self._task = asyncio.create_task(self._run(), name=f"ship {self.track.uid}")
        return self._task

    def ask(self, request: Flush | Release) -> None:
        """Look at once and answer."""
        self._waiting.append(request)
        self._wake.set()

    def hurry(self) -> None:
        """Look at once: somebody waits for the news."""
        self._hurried = True
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Nothing is new, and the next write of its files will be seen from outside: no glance is due before."""
        return self._clean_stamp is not None and not self._looking and not self._wake.is_set() and not self._failures

    def glance(self) -> None:
        """See from outside whether the file has changed, and have it looked at if so."""
        if not self.settled:
            if not self._looking and not self._failures:
                self._wake.set()
            return
        began = time.monotonic()
        if _stamp(self.track.database) != self._clean_stamp:
            self._wake.set()
        elif self._problem is None and self._stored is not None:
            self.quiet_since = began

    def _quiet(self, began: float) -> None:
        """Everything up to `began` is stored."""
        if self._stored is not None:
            self._stored = self._stored.model_copy(update={"covered": began})
            self.quiet_since = began

    async def end(self) -> None:
        """Stop looking and close the database."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._end_clean_up()
        if self._copying is not None:
            # The copy's thread does not hear of the cancellation; its connection must not close under it.
            await asyncio.gather(self._copying, return_exceptions=True)
        self._close()

    async def _run(self) -> None:
        while not self._released:
            began = time.monotonic()
            self._looking = True
            try:
                await self._look()
            finally:
                self._looking = False
            # Locked by a commit: again soon, so that an engine that writes all the time cannot keep us out for long.
            rest = _SOON if 0 < self._locked <= _LOCKED_LOOKS else LOOK_ANYWAY
            if self._failures:
                rest = retry_after(self._failures)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(_SOON, began + rest - time.monotonic())):
                    await self._wake.wait()

    async def _look(self) -> None:
        self._wake.clear()
        waiting, hurried = list(self._waiting), self._hurried
        self._hurried = False
        self._clean_stamp = None
        stamp = _settled_stamp(self.track.database)
        began = time.monotonic()
        if any(isinstance(request, Release) for request in waiting):
            self._close()  # opened again in the way that may roll back what the engine left half done
        try:
            if self._connection is None:
                gone = any(isinstance(request, Release) for request in waiting)
                self._connection = open_reader(Path(self.track.database), engine_gone=gone)
            version = data_version(self._connection)
            self._locked = 0
            if version != self._clean_version or self._failures:
                shipped = await self._ship(urgent=hurried or bool(waiting) or self._failures > 0)
                if shipped is None:
                    return
                began = shipped
        except (sqlite3.OperationalError, SnapshotBusy) as error:
            # Not made yet, or the engine is committing this moment. The next look comes soon.
            if not await asyncio.to_thread(Path(self.track.database).exists):
                await self._answer(waiting, problem="NO_DEVICE" if self._stored is None else "DAMAGED")
                return
            self._locked += 1
            # Whoever is in a hurry still is: among the routine of many busy sessions it would wait for seconds.
            self._hurried = self._hurried or hurried
            if isinstance(error, SnapshotBusy):
                await self._report_behind(str(error))
            return
        except (sqlite3.DatabaseError, BaseDamaged) as error:
            self._problem = "DAMAGED"
            self._failures += 1
            await self._report_behind(str(error))
            self._close()
            await self._answer(waiting, problem="DAMAGED")
            return
        if self._problem is None and self._stored is not None:
            self._quiet(began)
            self._clean_stamp = stamp
            if hurried:
                self.quiet_since = None
                await self.say(Quiet(covered={self.track.uid: began}))
        await self._answer(waiting, problem=self._problem)

    async def _ship(self, *, urgent: bool) -> float | None:
        """Store what changed: the instant up to which all is stored. None: it is not, and the next look tries again."""
        if urgent:
            return await self._copy_and_store()
        async with self.gate.turn(self._wake):
            return await self._copy_and_store()

    async def _copy_and_store(self) -> float | None:
        connection = self._connection
        if connection is None:
            return None
        began = time.monotonic()
        version = data_version(connection)
        self._copying = asyncio.ensure_future(asyncio.to_thread(_copy, connection))
        image, what, sha256 = await asyncio.shield(self._copying)
        self._copying = None  # it holds the copy: kept, a quarter of a MiB for each session
        self._sha256 = sha256
        if what.jid is None:
            self._failures = 0
            await self._without_device()
            self._clean_version = version
            return began
        self._problem = None
        if self._stored is not None and self._stored.sha256 == sha256 and not self._uncertain:
            self._clean_version = version
            await self._not_behind()
            return began
        try:
            if self._stores == 0 and not await self._key_is_ours():
                return None
            await self._put(image, what, sha256, what.jid, began)
        except ObjectStoreError as error:
            self._failures += 1
            await self._report_behind(str(error))
            return None
        self._clean_version = version
        await self._not_behind()
        self._clean_up_beside()
        return began

    async def _put(self, image: bytes, what: Contents, sha256: str, jid: str, began: float) -> None:
        seq, now = self._next_seq, datetime.now(UTC)
        self._next_seq += 1
        self._uncertain = True
        await self.say(Attempt(uid=self.track.uid, seq=seq))
        key, sealed = await asyncio.to_thread(build, self._lineage, seq, image, what, now)
        if self._jid is not None and self._jid != jid:
            await self._hold_newest(now)
        await self.store.put(key, sealed)
        self._uncertain = False
        self._stored = StoredBase(seq=seq, at=now, covered=began, sha256=sha256)
        self._jid = jid
        self._stores += 1
        self._known.add(BaseRef(self.track.epoch, seq, self.track.boot, key))
        await self.say(Stored(uid=self.track.uid, jid=jid, base=self._stored))

    async def _hold_newest(self, now: datetime) -> None:
        """The next base has another device: what was stored of the old one stays for a while."""
        if self._stored is not None:
            key = self._lineage.key(self._stored.seq)
            newest = BaseRef(self.track.epoch, self._stored.seq, self.track.boot, key)
            held = retention.mark(self.track.prefix, newest, now + retention.KEEP_LOST_DEVICE)
            await self.store.put(held.key, b"")
            self._held.append(held)

    async def _key_is_ours(self) -> bool:
        """Before the first base, and now and then: a base whose key is not in the store could never be read."""
        key = key_object(self.track.prefix)
        try:
            found = await self.store.get(key)
        except ObjectMissing:
            await self.store.put(key, self.track.key_record)
            return True
        if data_keys.names(found, self.track.data_key, self.track.key_record):
            return True
        self._failures += 1
        await self._report_behind("the store holds another data key")
        await self.say(KeyConflict(uid=self.track.uid))
        return False

    async def _without_device(self) -> None:
        if self._jid is None:
            self._problem = "NO_DEVICE"
            return
        self._problem = "DEVICE_GONE"
        await self._report_behind("the database lost its device; nothing is stored any more", device_gone=True)

    def _clean_up_beside(self) -> None:
        """Deleting must not keep the next state waiting."""
        if not self._ending and (self._cleaner is None or self._cleaner.done()):
            self._cleaner = asyncio.create_task(self._clean_up(), name=f"clean up {self.track.uid}")

    async def _end_clean_up(self) -> None:
        """Nothing may touch the store after a release: the operator deletes a session's prefix right after it."""
        self._ending = True
        if self._cleaner is not None:
            await asyncio.gather(self._cleaner, return_exceptions=True)

    async def _clean_up(self) -> None:
        try:
            now = datetime.now(UTC)
            if self._stores >= self._list_at:
                listed = [item.key for item in await self.store.list(self.track.prefix)]
                self._known, self._held = set(bases_of(listed)), retention.marks_of(listed)
                self._list_at = self._stores + LIST_EVERY
                if self._ending or not await self._key_is_ours():
                    return
            gone = retention.superseded(
                self._known, self._held, epoch=self.track.epoch, boot=self.track.boot, stored=self._stores, now=now
            )
            others = any((ref.epoch, ref.boot) != (self.track.epoch, self.track.boot) for ref in gone)
            if others or len(gone) >= DELETE_TOGETHER:
                if self._ending:
                    return
                await self.store.delete_all([ref.key for ref in gone])
                self._known.difference_update(gone)
            for held in retention.expired(self._held, now):
                await self.store.delete(held.key)
                self._held.remove(held)
        except ObjectStoreError:
            return  # what is left over is tried again after the next base

    async def _answer(self, waiting: list[Flush | Release], problem: Problem | None) -> None:
        for request in waiting:
            self._waiting.remove(request)
            if isinstance(request, Release):
                await self._end_clean_up()
            await self.say(
                Flushed(id=request.id, uid=self.track.uid, base=self._stored, sha256=self._sha256, problem=problem)
            )
            if isinstance(request, Release):
                self._released = True
                self._close()

    async def _report_behind(self, reason: str, *, device_gone: bool = False) -> None:
        if self._behind != reason:
            self._behind = reason
            await self.say(Behind(uid=self.track.uid, reason=reason, device_gone=device_gone))

    async def _not_behind(self) -> None:
        self._failures = 0
        if self._behind is not None:
            self._behind = None
            await self.say(Behind(uid=self.track.uid, reason=None))

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._clean_version = None
        if connection is not None:
            connection.close()


def _copy(connection: sqlite3.Connection) -> tuple[bytes, Contents, str]:
    image = take(connection)
    shrink(connection)
    return image, contents(image, thorough=False), digest(image)


_Stamp = tuple[int, int, int, int]
"""Time of the last write and size of a database, and of its write-ahead log (0 and 0 without one)."""


def _stamp(path: str) -> _Stamp | None:
    """The stamp of a database; None when it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - many times a second for each session: no object around it
    except OSError:
        return None
    try:
        # An engine that writes such a log touches the database itself once in a while only.
        log = os.stat(path + "-wal")  # noqa: PTH116 - as above
    except OSError:
        return found.st_mtime_ns, found.st_size, 0, 0
    return found.st_mtime_ns, found.st_size, log.st_mtime_ns, log.st_size


def _settled_stamp(path: str) -> _Stamp | None:
    """The stamp, if it is old enough that the next write will change it for certain."""
    stamp = _stamp(path)
    if stamp is None:
        return None
    now = time.time_ns()
    if now - stamp[0] < SETTLED * 1_000_000_000:
        return None
    # What is in the log counts when the log's index says so, and no file's time tells of that: an engine that came to
    # a halt between the two must not be taken for one that has nothing new.
    return None if now - stamp[2] < LOG_SETTLED * 1_000_000_000 else stamp
