"""The connector's door to auth state: prepare, track, flush, release, forget. The core calls it; see `state/__init__`.

The keeper lives as long as the boot. It remembers which sequence numbers were used and which answers are owed, so a
shipper process may die at any time: the next one goes on from there.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from whatsam_connector.shipper import protocol
from whatsam_connector.shipper.protocol import StoredBase
from whatsam_connector.state import data_keys
from whatsam_connector.state.bases import digest
from whatsam_connector.state.decision import Claim, LastHandover
from whatsam_connector.state.errors import (
    DataKeyUnusable,
    DeviceGone,
    FlushTimeout,
    NoDevice,
    NotPrepared,
    StateError,
)
from whatsam_connector.state.keyring import KeyRing
from whatsam_connector.state.local_files import SessionFiles
from whatsam_connector.state.prepare import Environment, Preparation, Start
from whatsam_connector.state.records import Prepared, Replicated, ReplicationTrouble, SessionIdentity
from whatsam_connector.state.shipper_process import ShipperProcess
from whatsam_core.resources import Handover
from whatsam_core.sessions_state import session_prefix
from whatsam_core.storage.objects import ObjectStore, ObjectStoreError

_log = structlog.get_logger("whatsam.state")


class HandoverLike(Protocol):
    """`status.handover` of a session."""

    @property
    def epoch(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class StateSettings:
    """What the keeper needs of the connector's settings. Times in seconds."""

    state_dir: Path
    installation_id: str
    key_ring: KeyRing
    s3_url: str
    s3_access_key: str = field(repr=False)
    s3_secret_key: str = field(repr=False)
    s3_bucket: str
    s3_region: str
    engine_version: str
    """Such as `neonize-0.5.2`; recorded in every base."""
    store_timeout: float = 5.0
    poll_period: float = 0.25


@dataclass
class _Session:
    """What the keeper remembers of a prepared session."""

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
    """An answer that the shipper owes. `covered`: the instant up to which the state must be stored."""

    request: protocol.Flush | protocol.Release | protocol.Untrack
    answer: "asyncio.Future[protocol.Flushed]"


class StateKeeper:
    """One a boot. `on_replicated` is called for every stored base, and a few times a second while nothing changes
    (`covered` moves on): it must be quick. `on_trouble` hears when a session falls behind, and None when it caught up.
    """

    def __init__(
        self,
        settings: StateSettings,
        *,
        on_replicated: Callable[[str, Replicated], None],
        on_trouble: Callable[[str, ReplicationTrouble | None], None] | None = None,
    ) -> None:
        self._settings = settings
        self._on_replicated = on_replicated
        self._on_trouble = on_trouble
        self._store = ObjectStore(
            settings.s3_url,
            settings.s3_access_key,
            settings.s3_secret_key,
            settings.s3_bucket,
            settings.s3_region,
            timeout=settings.store_timeout,
        )
        self._environment = Environment(self._store, settings.key_ring, settings.engine_version)
        self._shipper = ShipperProcess(
            settings.state_dir / "run" / "shipper.sock", on_connected=self._tell_all, on_report=self._heard
        )
        self._sessions: dict[str, _Session] = {}
        self._used: dict[tuple[str, int, str], int] = {}
        """Highest sequence number that was tried, by session, epoch and boot; survives `forget`."""
        self._owed: dict[int, _Owed] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the shipper. The object store may be away."""
        await self._shipper.start()

    async def stop(self) -> None:
        """End the shipper and close the store's client. Sessions that should be stored were released before."""
        await self._shipper.stop()
        for owed in self._owed.values():
            if not owed.answer.done():
                owed.answer.set_exception(StateError("the connector is stopping; the state was not stored any more"))
        for task in self._tasks:
            task.cancel()
        await self._store.close()

    @property
    def shipper_pid(self) -> int | None:
        """The shipper's process id, None between two of them. For health and tests."""
        return self._shipper.pid

    @property
    def shipper_restarts(self) -> int:
        """How many shippers ended although they should not."""
        return self._shipper.restarts

    async def prepare(
        self,
        identity: SessionIdentity,
        *,
        epoch: int,
        boot: str,
        jid: str | None,
        handover: HandoverLike | None,
        fresh: bool = False,
    ) -> Prepared:
        """Put the newest state in place and claim the epoch for it. No engine may have the session's file open.

        `fresh` asks for a new pairing although state is kept (after a log-out that a person confirmed): that state is
        held for a week. Never raises for anything foreseen: the outcome says what to do.
        """
        await self._untrack(identity.uid)
        prefix = session_prefix(self._settings.installation_id, identity.namespace, identity.name)
        last = LastHandover(handover.epoch, handover.seq, handover.sha256) if handover is not None else None
        files = self._files(identity.uid)
        used = (identity.uid, epoch, boot)
        preparation = Preparation(
            self._environment,
            identity,
            Claim(identity.tenant, epoch, boot, jid, last, fresh),
            prefix,
            files,
            least_seq=self._used.get(used, 0) + 1,
        )
        self._sessions.pop(identity.uid, None)
        try:
            prepared = await preparation.run()
        finally:
            self._used[used] = preparation.least_seq - 1
        start = preparation.start
        if start is not None:
            self._used[used] = start.next_seq - 1
            self._sessions[identity.uid] = _Session(
                identity=identity,
                files=files,
                start=start,
                next_seq=start.next_seq,
                stored=start.stored,
                jid=start.jid,
            )
        return prepared

    async def track(self, uid: str) -> None:
        """Ship the session's file from now on. The file need not exist yet."""
        session = self._session(uid)
        session.tracked = True
        self._shipper.send(self._track_command(session))

    async def flush(self, uid: str, timeout: float) -> Replicated:
        """Return when everything that was committed before this call is in the store.

        Raises `FlushTimeout` (the state stays here and goes on being tried), `NoDevice`, `DeviceGone`, `StateError`.
        """
        session = self._session(uid)
        if not session.tracked:
            await self.track(uid)
        answer = await self._ask(protocol.Flush(id=next(self._numbers), uid=uid), timeout)
        if answer.problem == "NO_DEVICE":
            raise NoDevice("the session has no device yet, so there is no state to store")
        if answer.problem == "DEVICE_GONE":
            raise DeviceGone("the session lost its device; its last state with a device stays in the store")
        if answer.problem is not None or answer.base is None:
            raise StateError("the session's database is damaged or gone; its last sound state stays in the store")
        replicated = _replicated(answer.base)
        self._note(session, replicated)
        return replicated

    def replicated(self, uid: str) -> Replicated | None:
        """How far the store has the session, None before its first base or when it is not prepared."""
        session = self._sessions.get(uid)
        return session.stored if session is not None else None

    async def release(self, uid: str, timeout: float) -> Handover:
        """After the engine is gone: store the last state, stop tracking, and say what the successor must find.

        Raises like `flush`, except that a session without a device has nothing to store (`seq` 0). After `FlushTimeout`
        the session is still tracked; call again or let the successor repair.
        """
        session = self._session(uid)
        if not session.tracked:
            session.tracked = True
            self._shipper.send(self._track_command(session))
        answer = await self._ask(protocol.Release(id=next(self._numbers), uid=uid), timeout)
        session.tracked = False
        epoch = session.start.lineage.epoch
        if answer.base is None:
            return Handover(epoch=epoch, seq=0, sha256="")
        if answer.problem is None:
            self._note(session, _replicated(answer.base))
            return Handover(epoch=epoch, seq=answer.base.seq, sha256=answer.base.sha256)
        # Without a device (or with a damaged file) the last base is not proven to be the last state: another hash
        # than the base's makes the successor repair it.
        return Handover(epoch=epoch, seq=answer.base.seq, sha256=answer.sha256 or digest(b""))

    async def forget(self, uid: str) -> None:
        """Stop tracking and delete the session's local files. What is in the store stays."""
        await self._untrack(uid)
        self._sessions.pop(uid, None)
        await asyncio.to_thread(self._files(uid).remove)

    def trouble(self, uid: str, now: float) -> ReplicationTrouble | None:
        """Why the session is behind at the instant `now` (CLOCK_MONOTONIC), None when it is not."""
        session = self._sessions.get(uid)
        if session is None or not session.tracked or session.behind is None:
            return None
        lag = now - session.stored.covered if session.stored is not None else 0.0
        return ReplicationTrouble(session.behind, max(0.0, lag), session.device_gone)

    def _files(self, uid: str) -> SessionFiles:
        return SessionFiles(self._settings.state_dir / "sessions" / uid)

    def _session(self, uid: str) -> _Session:
        session = self._sessions.get(uid)
        if session is None:
            raise NotPrepared(f"session {uid} is not prepared")
        return session

    async def _untrack(self, uid: str) -> None:
        session = self._sessions.get(uid)
        if session is None or not session.tracked:
            return
        session.tracked = False
        # Waits for the shipper to have closed the file; without a shipper nothing has it open.
        with suppress(FlushTimeout):
            await self._ask(protocol.Untrack(id=next(self._numbers), uid=uid), self._settings.store_timeout * 2)

    async def _ask(
        self, request: protocol.Flush | protocol.Release | protocol.Untrack, timeout: float
    ) -> protocol.Flushed:
        owed = _Owed(request, asyncio.get_running_loop().create_future())
        self._owed[request.id] = owed
        self._shipper.send(request)
        try:
            async with asyncio.timeout(timeout):
                return await owed.answer
        except TimeoutError:
            session = self._sessions.get(request.uid)
            reason = session.behind if session is not None and session.behind else "no answer from the shipper"
            raise FlushTimeout(f"the state was not stored within {timeout:g} s: {reason}") from None
        finally:
            del self._owed[request.id]

    async def _tell_all(self) -> None:
        settings = self._settings
        self._shipper.send(
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
        for session in self._sessions.values():
            if session.tracked:
                self._shipper.send(self._track_command(session))
        for owed in list(self._owed.values()):
            self._shipper.send(owed.request)

    def _track_command(self, session: _Session) -> protocol.Track:
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
        session = self._sessions.get(report.uid)
        if session is None:
            return
        if isinstance(report, protocol.Attempt):
            session.next_seq = max(session.next_seq, report.seq + 1)
            lineage = session.start.lineage
            self._used[(report.uid, lineage.epoch, lineage.boot)] = session.next_seq - 1
        elif isinstance(report, protocol.Stored):
            self._stored(session, report)
        elif isinstance(report, protocol.Behind):
            self._behind(session, report)
        else:
            self._key_conflict(session)

    def _stored(self, session: _Session, report: protocol.Stored) -> None:
        session.jid = report.jid
        self._note(session, _replicated(report.base))

    def _quiet(self, uid: str, covered: float) -> None:
        session = self._sessions.get(uid)
        if session is None or session.stored is None or covered <= session.stored.covered:
            return
        stored = session.stored
        self._note(session, Replicated(stored.seq, stored.at, covered, stored.sha256))

    def _note(self, session: _Session, replicated: Replicated) -> None:
        known = session.stored
        if known is not None and (known.seq, known.covered) >= (replicated.seq, replicated.covered):
            return
        session.stored = replicated
        self._on_replicated(session.identity.uid, replicated)

    def _behind(self, session: _Session, report: protocol.Behind) -> None:
        session.behind, session.device_gone = report.reason, report.device_gone
        name = f"{session.identity.namespace}/{session.identity.name}"
        if report.reason is None:
            _log.info("state_replicated_again", session=name)
        else:
            _log.warning("state_behind", session=name, reason=report.reason, device_gone=report.device_gone)
        if self._on_trouble is not None:
            now = asyncio.get_running_loop().time()
            self._on_trouble(session.identity.uid, self.trouble(session.identity.uid, now))

    def _key_conflict(self, session: _Session) -> None:
        task = asyncio.create_task(self._take_key_of_store(session), name="data key")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_key_of_store(self, session: _Session) -> None:
        """Another holder made a key at the same time. The store's counts: ship everything again with it."""
        lineage = session.start.lineage
        try:
            key = await data_keys.find(self._store, self._settings.key_ring, lineage.prefix)
        except (ObjectStoreError, DataKeyUnusable) as error:
            _log.error("data_key_conflict", session=lineage.session, error=str(error))
            return
        if key is not None and self._sessions.get(session.identity.uid) is session and session.tracked:
            session.start = session.start.with_key(key)
            # What was stored is sealed with the other key: counting one number as used up makes the shipper store anew.
            session.next_seq += 1
            self._shipper.send(self._track_command(session))
            for owed in list(self._owed.values()):
                if owed.request.uid == session.identity.uid:
                    self._shipper.send(owed.request)


def _replicated(base: StoredBase) -> Replicated:
    return Replicated(base.seq, base.at, base.covered, base.sha256)


def _stored(replicated: Replicated) -> StoredBase:
    return StoredBase(seq=replicated.seq, at=replicated.at, covered=replicated.covered, sha256=replicated.sha256)
