"""Runs what is assigned to this boot: watches the sessions, keeps one runner for each. Started by `main`.

It also passes on what concerns all sessions: the fences, the replication's progress, new rows, the shutdown.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Protocol

from pydantic import ValidationError

from whatsam_connector.assignments.leaving import Leave, Patience, leave
from whatsam_connector.assignments.plan import Drop, Me, Start, Tell, plan
from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.inputs import StopReason
from whatsam_connector.sessions.runner import SessionRunner
from whatsam_connector.sessions.state import SessionState
from whatsam_connector.sessions.status_patch import Holder
from whatsam_connector.state import Replicated
from whatsam_core.logging import get_logger
from whatsam_core.resources.session import WhatsAppSession
from whatsam_core.storage.reflector import Changed, Disconnected, ReflectEvent, Removed, Snapshot

_log = get_logger(__name__)

_RESTART_PAUSE = 5.0
"""Seconds before a session whose runner failed in an unforeseen way is run again."""
_LOOK = 0.25
"""Seconds between two looks, while this boot ends, at whether a session may still wait for its successor."""


class SessionSource(Protocol):
    """The sessions that are assigned to this pod."""

    def of_worker(self, pod_name: str) -> AsyncGenerator[ReflectEvent]:
        """Follow them for ever."""
        ...


class Worker:
    """All sessions of this boot."""

    def __init__(
        self,
        source: SessionSource,
        pod_name: str,
        me: Me,
        new_runner: Callable[[WhatsAppSession, Holder], SessionRunner],
    ) -> None:
        self._source = source
        self._pod_name = pod_name
        self._me = me
        self._new_runner = new_runner
        self._objects: dict[str, WhatsAppSession] = {}
        self._runners: dict[str, SessionRunner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._behind: dict[str, str] = {}
        self._draining = False
        self._fenced = False
        self.watching = False
        """Whether the view of the assignments is whole and fresh."""

    def __len__(self) -> int:
        """How many sessions this boot has in hand."""
        return len(self._runners)

    def states(self) -> dict[str, SessionState]:
        """Where each session stands, by uid; for health and metrics."""
        return {uid: runner.state for uid, runner in self._runners.items()}

    def runner(self, uid: str) -> SessionRunner | None:
        """The runner of a session, if this boot has it."""
        return self._runners.get(uid)

    def running(self) -> list[SessionRunner]:
        """Every runner."""
        return list(self._runners.values())

    async def run(self) -> None:
        """Follow the assignments for ever."""
        try:
            async with aclosing(self._source.of_worker(self._pod_name)) as events:
                async for event in events:
                    self._take(event)
        finally:
            for task in tuple(self._tasks.values()):
                task.cancel()
            if self._tasks:
                await asyncio.wait(tuple(self._tasks.values()))

    async def hand_over(self, patience: Patience) -> None:
        """Start nothing any more; returns when all sessions have let go and said so.

        A session for which a successor prepares itself works on until that one is ready.
        """
        self._draining = True
        began = asyncio.get_running_loop().time()
        told: set[str] = set()
        letting_go = {runner: asyncio.ensure_future(runner.handed_over()) for runner in self.running()}
        try:
            while any(not task.done() for task in letting_go.values()):
                waited = asyncio.get_running_loop().time() - began
                for runner, task in letting_go.items():
                    if task.done() or runner.uid in told:
                        continue
                    if leave(runner.state, successor=runner.successor, waited=waited, patience=patience) is Leave.GO:
                        told.add(runner.uid)
                        runner.push(inputs.Stop(StopReason.HANDED_OVER))
                await asyncio.wait(letting_go.values(), timeout=_LOOK)
            for task in letting_go.values():
                task.result()
        finally:
            for task in letting_go.values():
                task.cancel()

    def lease_soft_fenced(self) -> None:
        """Every session disconnects."""
        self._fenced = True
        for runner in self.running():
            runner.push(inputs.SoftFenced())

    def lease_resumed(self) -> None:
        """Every session goes on in place."""
        self._fenced = False
        for runner in self.running():
            runner.push(inputs.LeaseResumed())

    def replicated(self, uid: str, replicated: Replicated) -> None:
        """The object store has more of a session's state."""
        runner = self._runners.get(uid)
        if runner is not None:
            runner.replicated(replicated, self._behind.get(uid))

    def replication_trouble(self, uid: str, reason: str | None) -> None:
        """A session's state does not reach the store, or does again (None); told with the next progress."""
        if reason is None:
            self._behind.pop(uid, None)
        else:
            self._behind[uid] = reason
        runner = self._runners.get(uid)
        if runner is not None:
            runner.behind(reason)

    def wake(self, key: str) -> None:
        """There may be a new row for the session `namespace/name`."""
        for runner in self._runners.values():
            if runner.key == key:
                runner.outbox.wake()

    def _take(self, event: ReflectEvent) -> None:
        match event:
            case Snapshot():
                known, self._objects = self._objects, {}
                for item in event.items:
                    uid = item["metadata"]["uid"]
                    if uid in known:
                        self._objects[uid] = known[uid]  # a server that lags must not take us back
                    self._note(item)
                self.watching = True
            case Changed():
                self._note(event.object)
            case Removed():
                self._objects.pop(event.object["metadata"]["uid"], None)
            case Disconnected():
                self.watching = False
                _log.warning("assignments.watch_lost", error=event.error.message)
                return
        self._apply()

    def _note(self, item: dict[str, Any]) -> None:
        try:
            session = WhatsAppSession.from_wire(item)
        except ValidationError as error:
            # The API server checks the same schema; a newer one may know values that we do not. Leave what runs.
            _log.error("assignments.unreadable", name=item["metadata"].get("name"), problems=error.error_count())
            return
        self._learn(session)

    def _learn(self, session: WhatsAppSession) -> None:
        known = self._objects.get(session.metadata.uid)
        if known is None or known.metadata.version <= session.metadata.version:
            self._objects[session.metadata.uid] = session

    def _apply(self) -> None:
        running = {uid: runner.epoch for uid, runner in self._runners.items()}
        for decision in plan(self._objects.values(), running, self._me, draining=self._draining):
            match decision:
                case Start():
                    self._start(decision)
                case Tell():
                    runner = self._runners[decision.session.metadata.uid]
                    runner.observe(decision.session)
                    if decision.stop is not None:
                        runner.push(inputs.Stop(decision.stop))
                case Drop():
                    self._runners[decision.uid].push(inputs.AssignmentLost(keep_files=decision.keep_files))

    def _start(self, decision: Start) -> None:
        session = decision.session
        uid = session.metadata.uid
        holder = Holder(self._me.pod_uid, self._me.boot_id, session.status.epoch)
        runner = self._new_runner(session, holder)
        self._runners[uid] = runner
        if decision.stop is not None:
            runner.push(inputs.Stop(decision.stop))
        if self._fenced:
            runner.push(inputs.SoftFenced())
        self._tasks[uid] = asyncio.create_task(self._keep_running(runner), name=f"runner {runner.key}")

    async def _keep_running(self, runner: SessionRunner) -> None:
        """Run it to its end; whatever ended it, look again at what should run."""
        try:
            await runner.run()
        except Exception:  # noqa: BLE001  # the boundary between sessions: one that breaks must not take the others with it
            _log.exception("session.broken", session=runner.key, epoch=runner.epoch)
            await asyncio.sleep(_RESTART_PAUSE)
        # The runner has read its object afresh where the watch may lag behind: what it knows counts, or a session that
        # was handed over and is another's already would start here once more.
        if runner.object is None:
            self._objects.pop(runner.uid, None)
        else:
            self._learn(runner.object)
        del self._runners[runner.uid]
        del self._tasks[runner.uid]
        self._behind.pop(runner.uid, None)
        self._apply()
