"""What the boot remembers of its tracked sessions, and its side of the conversation with the shipper.

Used by the keeper only. A shipper may die at any time: numbers that were used and answers that are owed are kept here
and told to the next one.
"""

import asyncio
import itertools
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from whatsam_connector.shipper import protocol
from whatsam_connector.shipper.protocol import StoredBase
from whatsam_connector.state import data_keys
from whatsam_connector.state.errors import DataKeyUnusable, FlushTimeout, StateError
from whatsam_connector.state.local_files import SessionFiles
from whatsam_connector.state.prepare import Start
from whatsam_connector.state.records import Replicated, ReplicationTrouble, SessionIdentity
from whatsam_connector.state.settings import StateSettings
from whatsam_connector.state.shipper_process import FirstShipper, ShipperProcess
from whatsam_core.logging import get_logger
from whatsam_core.storage.objects import ObjectStore, ObjectStoreError

_KEY: Final = re.compile(r"[^\s'(]*/(?:auth|wal)/[^\s')]*[^\s'):]")
"""Keys of stored states, and URLs that end in one."""

_log = get_logger("whatsam.state")


@dataclass
class ShippedSession:
    """A prepared session: from where it is shipped and how far it is."""

    identity: SessionIdentity
    files: SessionFiles
    start: Start
    next_seq: int
    stored: Replicated | None
    jid: str | None
    tracked: bool = False
    behind: str | None = None
    device_gone: bool = False


@dataclass
class _Owed:
    """An answer that the shipper owes."""

    request: protocol.Flush | protocol.Release | protocol.Untrack
    answer: "asyncio.Future[protocol.Flushed]"


class Shipping:
    """All prepared sessions of this boot and the shipper that ships the tracked ones."""

    def __init__(
        self,
        settings: StateSettings,
        store: ObjectStore,
        *,
        on_replicated: Callable[[str, Replicated], None],
        on_trouble: Callable[[str, ReplicationTrouble | None], None] | None,
        first: FirstShipper | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._on_replicated = on_replicated
        self._on_trouble = on_trouble
        self.process = ShipperProcess(
            settings.state_dir / "run" / "shipper.sock",
            on_connected=self._tell_all,
            on_report=self._heard,
            first=first,
        )
        self.sessions: dict[str, ShippedSession] = {}
        self.used: dict[tuple[str, int, str], int] = {}
        """Highest sequence number that was tried, by session, epoch and boot; it outlives the session's files."""
        self._owed: dict[int, _Owed] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """End the shipper; whoever still waits for an answer is told that there is none."""
        await self.process.stop()
        for owed in self._owed.values():
            if not owed.answer.done():
                owed.answer.set_exception(StateError("the connector is stopping; the state was not stored any more"))
        for task in self._tasks:
            task.cancel()

    def track(self, session: ShippedSession) -> None:
        """Have the session shipped from now on."""
        session.tracked = True
        self.process.send(self._track_command(session))

    def hurry(self, uid: str) -> None:
        """Have the session looked at now; the answer comes as any news of it does."""
        session = self.sessions.get(uid)
        if session is not None and session.tracked:
            self.process.send(protocol.Hurry(uid=uid))

    async def flush(self, uid: str, timeout: float) -> protocol.Flushed:
        """The shipper's answer once everything up to now is stored. Raises `FlushTimeout`."""
        return await self._ask(protocol.Flush(id=next(self._numbers), uid=uid), timeout)

    async def release(self, uid: str, timeout: float) -> protocol.Flushed:
        """Like flush, for the last time: the shipper closes the file. Raises `FlushTimeout`."""
        return await self._ask(protocol.Release(id=next(self._numbers), uid=uid), timeout)

    async def untrack(self, uid: str) -> None:
        """Return when the shipper has closed the session's file; without a shipper nothing has it open."""
        session = self.sessions.get(uid)
        if session is None or not session.tracked:
            return
        session.tracked = False
        with suppress(FlushTimeout):
            await self._ask(protocol.Untrack(id=next(self._numbers), uid=uid), self._settings.store_timeout * 2)

    def note(self, session: ShippedSession, base: StoredBase) -> Replicated:
        """Remember how far the store is, and pass it on when that is news."""
        replicated, known = Replicated(base.seq, base.at, base.covered, base.sha256), session.stored
        if known is None or (known.seq, known.covered) < (replicated.seq, replicated.covered):
            session.stored = replicated
            self._on_replicated(session.identity.uid, replicated)
        return replicated

    def trouble(self, uid: str, now: float) -> ReplicationTrouble | None:
        """Why the session is behind at the instant `now` (CLOCK_MONOTONIC), None when it is not."""
        session = self.sessions.get(uid)
        if session is None or not session.tracked or session.behind is None:
            return None
        lag = now - session.stored.covered if session.stored is not None else 0.0
        return ReplicationTrouble(session.behind, max(0.0, lag), session.device_gone)

    async def _ask(
        self, request: protocol.Flush | protocol.Release | protocol.Untrack, timeout: float
    ) -> protocol.Flushed:
        owed = _Owed(request, asyncio.get_running_loop().create_future())
        self._owed[request.id] = owed
        self.process.send(request)
        try:
            async with asyncio.timeout(timeout):
                return await owed.answer
        except TimeoutError:
            session = self.sessions.get(request.uid)
            reason = session.behind if session is not None and session.behind else "no answer from the shipper"
            raise FlushTimeout(f"the state was not stored within {timeout:g} s: {reason}") from None
        finally:
            del self._owed[request.id]

    async def _tell_all(self) -> None:
        settings = self._settings
        self.process.send(
            protocol.Configure(
                s3_url=settings.s3_url,
                s3_access_key=settings.s3_access_key,
                s3_secret_key=settings.s3_secret_key,
                s3_bucket=settings.s3_bucket,
                s3_region=settings.s3_region,
                put_timeout=settings.store_timeout,
                poll_period=settings.poll_period,
            )
        )
        for session in self.sessions.values():
            if session.tracked:
                self.process.send(self._track_command(session))
        for owed in list(self._owed.values()):
            self.process.send(owed.request)

    def _track_command(self, session: ShippedSession) -> protocol.Track:
        lineage, stored = session.start.lineage, session.stored
        # A number that was announced and not confirmed may belong to a PUT that is still on its way.
        certain = stored is not None and stored.seq == session.next_seq - 1
        return protocol.Track(
            uid=session.identity.uid,
            database=str(session.files.database),
            tenant=lineage.tenant,
            session=lineage.session,
            prefix=lineage.prefix,
            epoch=lineage.epoch,
            boot=lineage.boot,
            engine=lineage.engine,
            data_key=lineage.data_key,
            key_record=data_keys.encoded(session.start.key.record),
            next_seq=session.next_seq,
            stored=_stored(stored) if stored is not None else None,
            uncertain=not certain,
            jid=session.jid,
        )

    def _heard(self, report: protocol.Report) -> None:
        if isinstance(report, protocol.Quiet):
            for uid, covered in report.covered.items():
                self._quiet(uid, covered)
            return
        if isinstance(report, protocol.Flushed):
            owed = self._owed.get(report.id)
            if owed is not None and not owed.answer.done():
                owed.answer.set_result(report)
            return
        session = self.sessions.get(report.uid)
        if session is None:
            return
        if isinstance(report, protocol.Attempt):
            session.next_seq = max(session.next_seq, report.seq + 1)
            lineage = session.start.lineage
            self.used[(report.uid, lineage.epoch, lineage.boot)] = session.next_seq - 1
        elif isinstance(report, protocol.Stored):
            session.jid = report.jid
            self.note(session, report.base)
        elif isinstance(report, protocol.Behind):
            self._behind(session, report)
        else:
            self._key_conflict(session)

    def _quiet(self, uid: str, covered: float) -> None:
        session = self.sessions.get(uid)
        if session is not None and session.stored is not None and session.stored.covered < covered:
            session.stored = replace(session.stored, covered=covered)
            self._on_replicated(uid, session.stored)

    def _behind(self, session: ShippedSession, report: protocol.Behind) -> None:
        session.behind = None if report.reason is None else without_keys(report.reason)
        session.device_gone = report.device_gone
        name = f"{session.identity.namespace}/{session.identity.name}"
        if report.reason is None:
            _log.info("state_replicated_again", session=name)
        else:
            _log.warning("state_behind", session=name, reason=report.reason, device_gone=report.device_gone)
        if self._on_trouble is not None:
            now = asyncio.get_running_loop().time()
            self._on_trouble(session.identity.uid, self.trouble(session.identity.uid, now))

    def _key_conflict(self, session: ShippedSession) -> None:
        task = asyncio.create_task(self._take_key_of_store(session), name="data key")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_key_of_store(self, session: ShippedSession) -> None:
        """Another holder made a key at the same time. The store's counts: ship everything again with it."""
        lineage = session.start.lineage
        try:
            key = await data_keys.find(self._store, self._settings.key_ring, lineage.prefix)
        except (ObjectStoreError, DataKeyUnusable) as error:
            _log.error("data_key_conflict", session=lineage.session, error=str(error))
            return
        if key is not None and self.sessions.get(session.identity.uid) is session and session.tracked:
            session.start = session.start.with_key(key)
            # What was stored is sealed with the other key: counting one number as used up makes the shipper store anew.
            session.next_seq += 1
            self.process.send(self._track_command(session))
            for owed in list(self._owed.values()):
                if owed.request.uid == session.identity.uid:
                    self.process.send(owed.request)


def without_keys(reason: str) -> str:
    """The reason without the object's key, which has another number at each attempt: nobody must be told each time."""
    return _KEY.sub("the state", reason)


def _stored(replicated: Replicated) -> StoredBase:
    return StoredBase(seq=replicated.seq, at=replicated.at, covered=replicated.covered, sha256=replicated.sha256)
