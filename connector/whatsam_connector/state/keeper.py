"""The connector's door to auth state: prepare, track, flush, release, forget. The core calls it; see `state/__init__`.

The keeper lives as long as the boot. It remembers which sequence numbers were used and which answers are owed, so a
shipper process may die at any time: the next one goes on from there.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from whatsam_connector.state.bases import digest
from whatsam_connector.state.decision import Claim, LastHandover
from whatsam_connector.state.errors import (
    DeviceGone,
    NoDevice,
    NotPrepared,
    StateError,
)
from whatsam_connector.state.local_files import SessionFiles
from whatsam_connector.state.prepare import Environment, Preparation
from whatsam_connector.state.records import Prepared, Rehearsed, Replicated, ReplicationTrouble, SessionIdentity
from whatsam_connector.state.settings import StateSettings
from whatsam_connector.state.shelf import Shelf
from whatsam_connector.state.shipper_process import FirstShipper
from whatsam_connector.state.shipping import ShippedSession, Shipping
from whatsam_core.resources import Handover
from whatsam_core.sessions_state import session_prefix
from whatsam_core.storage.objects import ObjectStore


class HandoverLike(Protocol):
    """`status.handover` of a session."""

    @property
    def epoch(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class StateKeeper:
    """One a boot. `on_replicated` is called for every stored base, and every few seconds while nothing changes
    (`covered` moves on): it must be quick. `on_trouble` hears when a session falls behind, and None when it caught up.
    """

    def __init__(
        self,
        settings: StateSettings,
        *,
        on_replicated: Callable[[str, Replicated], None],
        on_trouble: Callable[[str, ReplicationTrouble | None], None] | None = None,
        first_shipper: FirstShipper | None = None,
    ) -> None:
        self._settings = settings
        self._store = ObjectStore(
            settings.s3_url,
            settings.s3_access_key,
            settings.s3_secret_key,
            settings.s3_bucket,
            settings.s3_region,
            timeout=settings.store_timeout,
        )
        self._environment = Environment(self._store, settings.key_ring, settings.engine_version)
        self._shipping = Shipping(
            settings, self._store, on_replicated=on_replicated, on_trouble=on_trouble, first=first_shipper
        )

    async def start(self) -> None:
        """Start the shipper. The object store may be away."""
        # What an earlier boot of this pod had ready as a successor: nobody waits for that one any more.
        await asyncio.to_thread(Shelf(self._settings.state_dir / "prepared").clear)
        await self._shipping.process.start()

    async def stop(self) -> None:
        """End the shipper and close the store's client. Sessions that should be stored were released before."""
        await self._shipping.stop()
        await self._store.close()

    async def store_answers(self) -> bool:
        """Whether the object store answers now."""
        return await self._store.answers()

    @property
    def shipper_pid(self) -> int | None:
        """The shipper's process id, None between two of them. For health and tests."""
        return self._shipping.process.pid

    @property
    def shipper_restarts(self) -> int:
        """How many shippers ended although they should not."""
        return self._shipping.process.restarts

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
        await self._shipping.untrack(identity.uid)
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
            least_seq=self._shipping.used.get(used, 0) + 1,
            shelf=self._shelf(identity.uid),
        )
        self._shipping.sessions.pop(identity.uid, None)
        try:
            prepared = await preparation.run()
        finally:
            self._shipping.used[used] = preparation.least_seq - 1
        start = preparation.start
        if start is not None:
            await self.forget_rehearsal(identity.uid)
            self._shipping.used[used] = start.next_seq - 1
            self._shipping.sessions[identity.uid] = ShippedSession(
                identity=identity,
                files=files,
                start=start,
                next_seq=start.next_seq,
                stored=start.stored,
                jid=start.jid,
            )
        return prepared

    async def rehearse(self, identity: SessionIdentity, *, epoch: int, boot: str, jid: str | None) -> Rehearsed:
        """Look up, read and check what `prepare` will need, while somebody else holds the session.

        `epoch` is the one that may come. Claims nothing and touches no file of the session. Never raises for anything
        foreseen. What was read waits for `prepare` or `forget_rehearsal`.
        """
        prefix = session_prefix(self._settings.installation_id, identity.namespace, identity.name)
        claim = Claim(identity.tenant, epoch, boot, jid)
        files, shelf = self._files(identity.uid), self._shelf(identity.uid)
        return await Preparation(self._environment, identity, claim, prefix, files, shelf=shelf).rehearse()

    async def forget_rehearsal(self, uid: str) -> None:
        """Drop what a rehearsal left on the shelf."""
        await asyncio.to_thread(self._shelf(uid).clear)

    async def track(self, uid: str) -> None:
        """Ship the session's file from now on. The file need not exist yet."""
        session = self._session(uid)
        self._shipping.track(session)

    async def flush(self, uid: str, timeout: float) -> Replicated:
        """Return when everything that was committed before this call is in the store.

        Raises `FlushTimeout` (the state stays here and goes on being tried), `NoDevice`, `DeviceGone`, `StateError`.
        """
        session = self._session(uid)
        if not session.tracked:
            self._shipping.track(session)
        answer = await self._shipping.flush(uid, timeout)
        if answer.problem == "NO_DEVICE":
            raise NoDevice("the session has no device yet, so there is no state to store")
        if answer.problem == "DEVICE_GONE":
            raise DeviceGone("the session lost its device; its last state with a device stays in the store")
        if answer.problem is not None or answer.base is None:
            raise StateError("the session's database is damaged or gone; its last sound state stays in the store")
        return self._shipping.note(session, answer.base)

    def hurry(self, uid: str) -> None:
        """Somebody waits for the session's state to be stored: look now instead of at the next turn."""
        self._shipping.hurry(uid)

    def replicated(self, uid: str) -> Replicated | None:
        """How far the store has the session, None before its first base or when it is not prepared."""
        session = self._shipping.sessions.get(uid)
        return session.stored if session is not None else None

    async def release(self, uid: str, timeout: float) -> Handover:
        """After the engine is gone: store the last state, stop tracking, and say what the successor must find.

        Raises like `flush`, except that a session without a device has nothing to store (`seq` 0). After `FlushTimeout`
        the session is still tracked; call again or let the successor repair.
        """
        session = self._session(uid)
        if not session.tracked:
            self._shipping.track(session)
        answer = await self._shipping.release(uid, timeout)
        session.tracked = False
        epoch = session.start.lineage.epoch
        if answer.base is None:
            return Handover(epoch=epoch, seq=0, sha256="")
        if answer.problem is None:
            self._shipping.note(session, answer.base)
            return Handover(epoch=epoch, seq=answer.base.seq, sha256=answer.base.sha256)
        # Without a device (or with a damaged file) the last base is not proven to be the last state: another hash
        # than the base's makes the successor repair it.
        return Handover(epoch=epoch, seq=answer.base.seq, sha256=answer.sha256 or digest(b""))

    async def forget(self, uid: str) -> None:
        """Stop tracking and delete the session's local files. What is in the store stays."""
        await self._shipping.untrack(uid)
        self._shipping.sessions.pop(uid, None)
        await asyncio.to_thread(self._files(uid).remove)

    def trouble(self, uid: str, now: float) -> ReplicationTrouble | None:
        """Why the session is behind at the instant `now` (CLOCK_MONOTONIC), None when it is not."""
        return self._shipping.trouble(uid, now)

    def _files(self, uid: str) -> SessionFiles:
        return SessionFiles(self._settings.state_dir / "sessions" / uid)

    def _shelf(self, uid: str) -> Shelf:
        return Shelf(self._settings.state_dir / "prepared" / uid)

    def _session(self, uid: str) -> ShippedSession:
        session = self._shipping.sessions.get(uid)
        if session is None:
            raise NotPrepared(f"session {uid} is not prepared")
        return session
