"""Prepares this boot for sessions that another worker holds, and says so in `status.next`. Started by `lifecycle`.

Everything that a start needs is read and checked before the holder lets go: the state, its key, an engine process that
has loaded its library. A holder that is never told so goes on, so whatever fails here harms nobody.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from whatsam_connector.assignments.plan import Me
from whatsam_connector.assignments.succession import (
    Arrival,
    Declared,
    arrival,
    is_wanted,
    next_round,
    superfluous,
)
from whatsam_connector.sessions.state import Stage
from whatsam_connector.state import Rehearsed, SessionIdentity
from whatsam_core.errors import WhatsamError
from whatsam_core.logging import get_logger
from whatsam_core.resources.session import WhatsAppSession
from whatsam_core.storage.cluster_errors import ClusterError, Conflict, Forbidden, NotFound
from whatsam_core.storage.reflector import Changed, Disconnected, ReflectEvent, Removed, Snapshot

_log = get_logger(__name__)

_LOOK = 0.1
"""Seconds between two looks at who has arrived."""
_AGAIN = 2.0
"""Seconds before a preparation that failed is tried again."""
_TRIES = 5
"""Writes of the holder may come in between so many times."""


class NamedSessions(Protocol):
    """Session objects in the Kubernetes API, as a successor sees them."""

    def of_successor(self, pod_name: str) -> AsyncGenerator[ReflectEvent]:
        """Follow the sessions that name this pod as their successor."""
        ...

    async def read(self, name: str) -> WhatsAppSession:
        """A fresh read. Raises `ClusterError`."""
        ...

    async def patch_status(self, name: str, patch: dict[str, Any]) -> WhatsAppSession:
        """Apply a merge patch to the status. Raises `ClusterError`."""
        ...


class Rehearsals(Protocol):
    """The state keeper, as a successor uses it."""

    async def rehearse(self, identity: SessionIdentity, *, epoch: int, boot: str, jid: str | None) -> Rehearsed: ...
    async def forget_rehearsal(self, uid: str) -> None: ...


class WarmEngines(Protocol):
    """The pool of engine processes, as a successor uses it."""

    async def warm(self, uid: str) -> bool: ...
    def cool(self, uid: str) -> None: ...


@dataclass(frozen=True)
class SuccessorTools:
    """What a successor works with."""

    source: NamedSessions
    state: Rehearsals
    engines: WarmEngines
    stages: Callable[[], dict[str, Stage]]
    """Where the sessions that run here stand, by uid."""
    may_work: Callable[[], bool]
    """Whether the Lease is confirmed."""
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    round_size: int


class Successor:
    """All preparations of this boot."""

    def __init__(self, pod_name: str, me: Me, tools: SuccessorTools) -> None:
        self._pod_name = pod_name
        self._me = me
        self._tools = tools
        self._wanted: dict[str, WhatsAppSession] = {}
        self._touched: set[str] = set()
        """Sessions for which something may lie on the shelf or a process wait."""
        self._not_before: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._draining = False

    def drain(self) -> None:
        """This boot ends: prepare nothing any more."""
        self._draining = True

    async def run(self) -> None:
        """Follow and prepare for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="successor watch")
            group.create_task(self._prepare_for_ever(), name="successor rounds")

    async def _follow(self) -> None:
        async with aclosing(self._tools.source.of_successor(self._pod_name)) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: ReflectEvent) -> None:
        match event:
            case Snapshot():
                self._wanted = {}
                for item in event.items:
                    self._note(item)
            case Changed():
                self._note(event.object)
            case Removed():
                self._wanted.pop(event.object["metadata"]["uid"], None)
            case Disconnected():
                return
        self._changed.set()

    def _note(self, item: dict[str, Any]) -> None:
        uid = item["metadata"]["uid"]
        try:
            session = WhatsAppSession.from_wire(item)
        except ValidationError as error:
            _log.error("successor.unreadable", name=item["metadata"].get("name"), problems=error.error_count())
            return
        if is_wanted(session, self._me):
            self._wanted[uid] = session
        else:
            self._wanted.pop(uid, None)

    async def _prepare_for_ever(self) -> None:
        while True:
            self._changed.clear()
            await self._clean_up()
            now = self._tools.monotonic()
            turn = (
                []
                if self._draining
                else next_round(self._wanted.values(), self._not_before, now, self._tools.round_size)
            )
            if turn and self._tools.may_work():
                await self._try_round(turn)
                continue
            pause = _AGAIN if self._wanted or self._touched else None
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _try_round(self, uids: list[str]) -> None:
        try:
            await self._round(uids)
        except Exception:  # noqa: BLE001  # a preparation that breaks must not take the sessions that run here with it
            _log.exception("successor.broken", sessions=len(uids))
            self._not_before |= dict.fromkeys(uids, self._tools.monotonic() + _AGAIN)

    async def _round(self, uids: list[str]) -> None:
        """Prepare these, declare it, and wait until they are here or do not come."""
        sessions = {uid: self._wanted[uid] for uid in uids}
        self._touched |= sessions.keys()
        ready = await asyncio.gather(*(self._make_ready(session) for session in sessions.values()))
        declared: dict[str, Declared] = {}
        for session, prepared in zip(sessions.values(), ready, strict=True):
            uid = session.metadata.uid
            if prepared and await self._declare(session):
                declared[uid] = Declared(uid, self._tools.monotonic())
            else:
                self._not_before[uid] = self._tools.monotonic() + _AGAIN
        while declared:
            await asyncio.sleep(_LOOK)
            now, stages = self._tools.monotonic(), self._tools.stages()
            for uid, one in tuple(declared.items()):
                if uid in self._wanted:
                    known = replace(one, unnamed_since=None)
                else:
                    known = replace(one, unnamed_since=one.unnamed_since or now)
                declared[uid] = known
                if arrival(known, stages.get(uid), now) is not Arrival.EXPECTED:
                    del declared[uid]

    async def _make_ready(self, session: WhatsAppSession) -> bool:
        """Read and check its state, and have an engine process loaded."""
        metadata, status = session.metadata, session.status
        identity = SessionIdentity(metadata.uid, metadata.namespace, metadata.name, session.spec.tenant)
        stored = status.replication.epoch if status.replication is not None else None
        epoch = max(status.epoch, stored or 0) + 1
        try:
            rehearsed, warm = await asyncio.gather(
                self._tools.state.rehearse(identity, epoch=epoch, boot=self._me.boot_id, jid=status.jid),
                self._tools.engines.warm(metadata.uid),
            )
        except (WhatsamError, OSError) as error:
            _log.warning("successor.not_ready", session="/".join(metadata.key), error=str(error))
            return False
        if not (rehearsed.ready and warm):
            outcome = rehearsed.outcome.name
            _log.warning("successor.not_ready", session="/".join(metadata.key), state=outcome, engine=warm)
            return False
        return True

    async def _declare(self, session: WhatsAppSession) -> bool:
        """Write `status.next.preparedAt`; False when this boot is not wanted any more, or nobody can be told."""
        name, uid = session.metadata.name, session.metadata.uid
        known = self._wanted.get(uid)
        for _ in range(_TRIES):
            try:
                if known is None:
                    known = await self._tools.source.read(name)
                if known.metadata.uid != uid or not is_wanted(known, self._me) or not self._tools.may_work():
                    return False
                await self._tools.source.patch_status(name, self._said(known))
            except Conflict:
                known = None  # its holder has written meanwhile
            except (Forbidden, NotFound):
                return False
            except ClusterError as error:
                _log.info("successor.not_declared", session="/".join(session.metadata.key), error=error.message)
                return False
            else:
                _log.info("successor.ready", session="/".join(session.metadata.key), epoch=known.status.epoch)
                return True
        return False

    def _said(self, session: WhatsAppSession) -> dict[str, Any]:
        metadata = {"resourceVersion": session.metadata.resource_version, "uid": session.metadata.uid}
        prepared = self._tools.now().replace(microsecond=0).isoformat().replace("+00:00", "Z")
        return {"metadata": metadata, "status": {"next": {"preparedAt": prepared}}}

    async def _clean_up(self) -> None:
        """Let go of what was prepared for sessions that do not come, or are here."""
        running = self._tools.stages()
        for uid in superfluous(self._touched, self._wanted, running):
            self._tools.engines.cool(uid)
            await self._tools.state.forget_rehearsal(uid)
            self._touched.discard(uid)
        self._touched -= running.keys()
        self._not_before = {uid: at for uid, at in self._not_before.items() if uid in self._wanted}
