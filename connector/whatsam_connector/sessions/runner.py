"""Runs one session under one epoch: feeds `transitions.step` and carries out what it asks for. Started by assignments.

Everything that decides is in `transitions`; this file owns the tasks, the timers, the engine's handle and the order:
an input is stepped, the report published, the messages let through or stopped, and then the effects are started.
"""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from whatsam_connector.clock import Clock
from whatsam_connector.engine.methods import METHODS
from whatsam_connector.errors import Fenced, ProxyUnusable
from whatsam_connector.journal import Limits
from whatsam_connector.messages.inbox_owner import InboxOwner, wants_of
from whatsam_connector.messages.media.work import Route
from whatsam_connector.sessions import effects, inputs
from whatsam_connector.sessions.debugging import wants_debug
from whatsam_connector.sessions.effects import Effect
from whatsam_connector.sessions.engine_words import translate
from whatsam_connector.sessions.inputs import Input, Timer
from whatsam_connector.sessions.ports import (
    Announce,
    AuthState,
    Engine,
    Mailroom,
    Proxies,
    SessionPlaces,
    SpawnEngine,
    Tell,
)
from whatsam_connector.sessions.report import report
from whatsam_connector.sessions.state import SessionState, Stage
from whatsam_connector.sessions.status_patch import Holder, ReplicationView
from whatsam_connector.sessions.status_writer import SessionObjects, StatusWriter
from whatsam_connector.sessions.timings import SessionTimings, backoff
from whatsam_connector.sessions.transitions import step
from whatsam_connector.state import Prepared, PrepareOutcome, RepairMode, Replicated, SessionIdentity
from whatsam_connector.supervision import (
    Connected,
    EngineError,
    EngineExit,
    EngineRefused,
    EngineSession,
    EngineStartFailed,
    JournalAdvanced,
    KeysUploaded,
    MemberEvent,
    MoveWanted,
    Paired,
    PairingRequest,
)
from whatsam_core.errors import WhatsamError
from whatsam_core.logging import get_logger
from whatsam_core.resources.session import Pairing, SecretKeyRef, WhatsAppSession

_log = get_logger(__name__)

_BAD_FILE = frozenset({"DeviceMissing", "DatabaseUnreadable"})
"""Reasons of `EngineStartFailed` that are about the session's file, not about the engine."""


async def _tell_nobody(_session: WhatsAppSession, _reason: str, _message: str) -> None:
    """For a runner without a cluster."""


def _keep_to_oneself(uid: str, *, comes: bool) -> None:
    """For a connector whose engines are never shared."""


@dataclass(frozen=True)
class RunnerTools:
    """What all runners of a connector share."""

    spawn: SpawnEngine
    auth_state: AuthState
    mailroom: Mailroom
    objects: SessionObjects
    proxies: Proxies
    clock: Clock
    timings: SessionTimings
    starts: asyncio.Semaphore
    """Bounds how many sessions restore at the same time; how many start is the pool's affair."""
    places: Callable[[str], SessionPlaces]
    journal_limits: Limits = field(default_factory=Limits)
    """How far the journal of a session may grow while nobody takes it over."""
    media_max_bytes: int = 64 * 1024 * 1024
    """Largest file that the platform lets a session download."""
    count_exit: Callable[[str], None] = lambda _reason: None
    count_prepared: Callable[[Prepared], None] = lambda _prepared: None
    warn: Tell = _tell_nobody
    announce: Announce = _keep_to_oneself
    chance: Callable[[], float] = random.random


class SessionRunner:
    """The life of one session under one epoch on this boot."""

    def __init__(self, session: WhatsAppSession, holder: Holder, tools: RunnerTools) -> None:
        self._tools = tools
        self._holder = holder
        self.uid = session.metadata.uid
        self.key = f"{session.metadata.namespace}/{session.metadata.name}"
        self.epoch = holder.epoch
        self.state = SessionState(
            epoch=holder.epoch,
            jid=session.status.jid,
            promised=session.status.jid is not None,
            phone_number=session.status.phone_number,
            push_name=session.status.push_name,
            last_connected_at=session.status.last_connected_at,
        )
        self._places = tools.places(self.uid)
        owner = InboxOwner(
            session=self.key,
            tenant=session.spec.tenant,
            uid=self.uid,
            wants=wants_of(session.spec, tools.media_max_bytes),
        )
        self._inbox, self.outbox = tools.mailroom.open(owner, self._places.journal, holder.epoch)
        self._inbox.named(session.status.jid or "")
        self.outbox.want(session.spec.pacing, session.spec.uncertain_sends)
        self._writer = StatusWriter(tools.objects, session, holder, tools.clock, self._lost, chance=tools.chance)
        self._inputs: asyncio.Queue[Input | _Forgotten | _Broken] = asyncio.Queue()
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._newest_message = 0.0
        """When the engine last handled a message, CLOCK_MONOTONIC."""
        self._engine: Engine | None = None
        self._kill_newborn = False
        self._asked_pairing: Pairing | None = None
        """What the engine that pairs was told; another wish of the owner needs another engine."""
        self._asked_proxy: SecretKeyRef | None = None
        """The proxy that the engine was started with."""
        self._proxy: str | None = None
        self._asked_debug = False
        self._successor_ready = False
        self._replication: ReplicationView | None = None
        self._over = asyncio.Event()

    def push(self, happened: Input) -> None:
        """Something happened to the session."""
        self._inputs.put_nowait(happened)

    def observe(self, session: WhatsAppSession) -> None:
        """The watch has a newer object of this session under this epoch."""
        self._writer.observe(session)
        self._look_for_successor(session)
        self.outbox.want(session.spec.pacing, session.spec.uncertain_sends)
        before = self._inbox.owner
        self._inbox.want(wants_of(session.spec, self._tools.media_max_bytes))
        if self._inbox.owner != before and self._places.folder.is_dir():
            self._write_owner()
        if self._asked_pairing is not None and session.spec.pairing != self._asked_pairing:
            self.push(inputs.PairingAskedAnew())
        if self._engine is not None and session.spec.proxy_secret_ref != self._asked_proxy:
            self.push(inputs.ProxyChanged())
        if self._engine is not None and wants_debug(session) != self._asked_debug:
            self.push(inputs.EngineMoves("debug"))

    def _look_for_successor(self, session: WhatsAppSession) -> None:
        ready = self._holder.may_let_go(session)
        if ready != self._successor_ready:
            self._successor_ready = ready
            self.push(inputs.SuccessorReady(ready))

    def replicated(self, replicated: Replicated, behind: str | None) -> None:
        """The store has more of the session's state. Called several times a second: it does little."""
        self.outbox.replicated(replicated.covered)
        view = ReplicationView(replicated.seq, replicated.at, behind)
        if view != self._replication:
            self._replication = view
            self._writer.replicated(view)

    def behind(self, reason: str | None) -> None:
        """The session's state does not reach the store for this reason, or does again (None)."""
        if self._replication is not None:
            self._replication = replace(self._replication, behind=reason)
            self._writer.replicated(self._replication)

    @property
    def inbox_behind(self) -> bool:
        """Whether received messages wait for the database."""
        return self._inbox.behind

    @property
    def object(self) -> WhatsAppSession | None:
        """The newest object of the session that was seen here; None when it does not exist any more."""
        return None if self._writer.gone else self._writer.session

    @property
    def successor(self) -> bool:
        """Whether a worker is named that shall take the session over."""
        return self._writer.session.status.next is not None

    async def call(self, method: str, arguments: dict[str, Any], timeout: float) -> Any:
        """A look-up or change by the engine (`engine.methods`), while connected or paired. Raises `EngineError`."""
        engine = self._engine
        able = self.state.may_pair if METHODS[method].pairing else self.state.may_send
        if engine is None or not able:
            raise EngineRefused("NotConnected", "the session is not connected to WhatsApp")
        return await engine.call(self.uid, method, arguments, timeout)

    @property
    def media_route(self) -> Route | None:
        """How files of received messages are fetched; None: they are not, or not now."""
        wants = self._inbox.owner.wants
        if not wants.download or self._engine is None:
            return None
        return Route(self._proxy, wants.max_bytes)

    async def handed_over(self) -> None:
        """Wait until the session has let go and its status says so."""
        await self._over.wait()
        await self._writer.settled()

    async def run(self) -> None:
        """Live until the assignment is lost and everything of it is gone from this boot."""
        pumps = [
            asyncio.create_task(pump, name=f"{name} {self.key}")
            for name, pump in (
                ("status", self._writer.run()),
                ("inbox", self._inbox.run()),
                ("outbox", self.outbox.run()),
            )
        ]
        listener = asyncio.create_task(self._live(), name=f"session {self.key}")
        try:
            self.push(inputs.Begin())
            await _until_over(listener, pumps)
        finally:
            await self._end_all([listener, *pumps])

    async def _live(self) -> None:
        while True:
            happened = await self._inputs.get()
            if isinstance(happened, _Forgotten):
                return
            if isinstance(happened, _Broken):
                raise happened.error
            before = self.state
            self.state, wanted = step(before, happened, self._tools.clock.now(), self._tools.timings)
            if self.state.stage is not before.stage:
                _log.info(
                    "session.stage",
                    session=self.key,
                    epoch=self.epoch,
                    stage=self.state.stage.value,
                    cause=type(happened).__name__,
                    trouble=self.state.trouble.reason if self.state.trouble else None,
                )
            self._tell_who_starts()
            self._let_messages_through()
            if self.state.stage is not Stage.LOST and not self.state.lets_go:
                self._writer.publish(report(self.state))
            for effect in wanted:
                self._carry_out(effect)
            if self.state.stage.final:
                self._over.set()

    def _tell_who_starts(self) -> None:
        """Others that are ready wait a moment for a session that prepares: they will share a process."""
        if self.state.stage is Stage.PREPARING:
            if self.state.jid is not None and not wants_debug(self._writer.session):
                self._tools.announce(self.uid, comes=True)
        elif self.state.stage is not Stage.STARTING:
            self._tools.announce(self.uid, comes=False)

    def _let_messages_through(self) -> None:
        if self.state.may_send and self._engine is not None:
            self.outbox.link(self._engine)
            self._inbox.link(self._engine)
        else:
            self.outbox.unlink()
            self._inbox.link(None)

    def _carry_out(self, effect: Effect) -> None:  # one arm for each effect
        match effect:
            case effects.Prepare():
                self._start("prepare", self._prepare())
            case effects.Spawn():
                self._start("spawn", self._spawn(pairing=effect.pairing))
            case effects.EndEngine():
                self._start("end", self._end_engine(at_once=effect.at_once))
            case effects.Flush():
                self._start("flush", self._flush())
            case effects.Release():
                self._start("release", self._release())
            case effects.LogOut():
                self._start("logout", self._log_out())
            case effects.Forget():
                self._start("forget", self._forget(keep_files=effect.keep_files))
            case effects.StartTimer():
                self._start_timer(effect.timer, effect.seconds)
            case effects.BackOff():
                wait = backoff(effect.failures, self._tools.timings, self._tools.chance())
                self._start_timer(Timer.RETRY, wait)
            case effects.CancelTimer():
                self._cancel_timer(effect.timer)
            case effects.TryProxy():
                if self._asked_proxy is not None:
                    self._start("proxy", self._try_proxy(self._asked_proxy))

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start an effect; the one before of the same name is over or not wanted any more."""
        previous = self._tasks.pop(name, None)
        if previous is not None:
            previous.cancel()
        task = asyncio.create_task(work, name=f"{name} {self.key}")
        task.add_done_callback(self._effect_ended)
        self._tasks[name] = task

    def _effect_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # Not foreseen: the session's runner ends with it, and assignments starts a new one.
            self._inputs.put_nowait(_Broken(error))

    def _start_timer(self, timer: Timer, seconds: float) -> None:
        self._cancel_timer(timer)
        loop = asyncio.get_running_loop()
        self._timers[timer] = loop.call_later(seconds, self.push, inputs.TimerFired(timer))

    def _cancel_timer(self, timer: Timer) -> None:
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()

    async def _prepare(self) -> None:
        session = self._writer.session
        identity = SessionIdentity(
            uid=self.uid,
            namespace=session.metadata.namespace,
            name=session.metadata.name,
            tenant=session.spec.tenant,
        )
        async with self._tools.starts:
            if self.state.stage is not Stage.PREPARING:
                return
            prepared = await self._tools.auth_state.prepare(
                identity,
                epoch=self.epoch,
                boot=self._holder.boot_id,
                jid=self.state.jid,
                # After a doubted logout an engine has run since that handover: what is in the store needs its repair.
                handover=None if self.state.doubted else session.status.handover,
            )
            if prepared.database is not None:
                await self._tools.auth_state.track(self.uid)
        _log.info("session.prepared", session=self.key, epoch=self.epoch, outcome=prepared.outcome.name)
        self._tools.count_prepared(prepared)
        if prepared.fell_back:
            _log.warning("session.older_state", session=self.key, epoch=self.epoch, why=prepared.message)
            self._start("warn", self._tools.warn(session, "OlderStateRestored", _restored(prepared)))
        self.push(inputs.PrepareEnded(prepared.outcome, prepared.jid, _message(prepared), prepared.store_epoch))

    async def _spawn(self, *, pairing: bool) -> None:
        self._kill_newborn = False
        self._write_owner()
        asked = self._writer.session.spec.pairing
        self._asked_pairing = asked if pairing else None
        request = PairingRequest(asked.method.value, asked.phone_number) if pairing else None
        self._asked_proxy = self._writer.session.spec.proxy_secret_ref
        self._asked_debug = wants_debug(self._writer.session)
        try:
            proxy = None if self._asked_proxy is None else await self._tools.proxies.usable(self._asked_proxy)
            self._proxy = proxy
        except ProxyUnusable as error:
            self.push(inputs.EngineStartFailed(str(error), reason=error.reason))
            return
        session = EngineSession(
            uid=self.uid,
            database=self._places.database,
            journal=self._places.journal,
            jid=None if pairing else self.state.jid,
            pairing=request,
            proxy=proxy,
            limits=self._tools.journal_limits,
            debug=self._asked_debug,
        )
        born: list[Engine] = []
        first_words: list[MemberEvent] = []

        def on_event(event: MemberEvent) -> None:
            if not born:
                first_words.append(event)  # heard once it is known that the engine has started
            elif born[0] is self._engine:
                self._hear(event)

        try:
            engine = await self._tools.spawn(session, on_event)
        except (EngineError, Fenced) as error:
            bad_file = isinstance(error, EngineStartFailed) and error.reason in _BAD_FILE
            full = isinstance(error, EngineStartFailed) and error.reason == "JournalFull"
            word = "JournalFull" if full else "EngineFailed"
            self.push(inputs.EngineStartFailed(str(error), bad_file=bad_file, reason=word))
            return
        born.append(engine)
        self._engine = engine
        engine.exited.add_done_callback(lambda ended: self._engine_ended(engine, ended))
        if self._kill_newborn:
            engine.kill()
        self.push(inputs.EngineStarted())
        for event in first_words:
            self._hear(event)

    def _hear(self, event: MemberEvent) -> None:
        if isinstance(event, MoveWanted):
            self.push(inputs.EngineMoves(event.reason.value))
            return
        if isinstance(event, JournalAdvanced):
            self.outbox.inbound(event.at)
            if event.at > self._newest_message:
                self._newest_message = event.at
                self._inbox.wake()
            else:  # receipts and the like
                self._inbox.wake_soon()
            return
        if isinstance(event, KeysUploaded):
            # Somebody may use them at once; what they do with us must not be answered before the store has them.
            self.outbox.inbound(self._tools.clock.monotonic())
            return
        if isinstance(event, Connected | Paired):
            self._inbox.named(event.jid, event.lid)
            self._write_owner()
        happened = translate(event)
        if happened is not None:
            self.push(happened)

    def _engine_ended(self, engine: Engine, ended: "asyncio.Future[EngineExit]") -> None:
        if self._engine is engine:
            self._engine = None
        reason = "unknown" if ended.cancelled() or ended.exception() else ended.result().reason.value
        self._tools.count_exit(reason)
        _log.info("engine.ended", session=self.key, epoch=self.epoch, reason=reason)
        self.push(inputs.EngineGone(reason))

    async def _try_proxy(self, proxy: SecretKeyRef) -> None:
        try:
            await self._tools.proxies.usable(proxy)
        except ProxyUnusable as error:
            self.push(inputs.ProxyFailed(error.reason, str(error)))

    async def _end_engine(self, *, at_once: bool) -> None:
        engine = self._engine
        if engine is None:
            self._kill_newborn = True  # it is being born; if it has ended already, there is nothing to kill
            return
        if at_once:
            engine.kill()
            return
        grace = self._tools.timings.stop_grace
        # A message under way has its answer within this, or its row says that its fate is open.
        await self.outbox.quiet(grace / 2)
        try:
            async with asyncio.timeout(grace):
                await engine.disconnect(self.uid)
        except (EngineError, TimeoutError) as error:
            _log.info("engine.disconnect_failed", session=self.key, error=repr(error))
        await engine.stop(grace)

    async def _flush(self) -> None:
        if self.state.giving_way and self._inbox.behind:
            # The journal lies in this pod: whoever goes now may leave behind what has arrived.
            self.push(inputs.FlushEnded("received messages wait for PostgreSQL"))
            return
        error: str | None = None
        try:
            await self._tools.auth_state.flush(self.uid, self._tools.timings.flush_timeout)
        except WhatsamError as problem:
            error = str(problem)
        self.push(inputs.FlushEnded(error))

    async def _release(self) -> None:
        if not await self._inbox.drain(self._tools.timings.inbox_limit):
            _log.error("inbox.left_behind", session=self.key)
        try:
            handover = await self._tools.auth_state.release(self.uid, self._tools.timings.release_timeout)
        except WhatsamError as problem:
            self.push(inputs.ReleaseEnded(None, str(problem)))
        else:
            self.push(inputs.ReleaseEnded(handover))

    async def _log_out(self) -> None:
        engine, error = self._engine, None
        if engine is None:
            return  # its end is told by itself
        try:
            await engine.logout(self.uid, self._tools.timings.logout_timeout)
        except EngineError as problem:
            error = str(problem)
        self.push(inputs.LogoutEnded(error))

    async def _forget(self, *, keep_files: bool) -> None:
        for name in ("release", "flush"):
            await _cancel(self._tasks.pop(name, None))
        preparing = self._tasks.pop("prepare", None)
        if preparing is not None:
            # Not cancelled: a thread of it may be writing the file, which the next epoch's preparation writes too.
            await asyncio.wait([preparing])
        emptied = await self._inbox.drain(self._tools.timings.inbox_limit)
        if emptied and not keep_files:
            await self._tools.auth_state.forget(self.uid)
        elif not emptied:
            # The folder stays: `leftovers` takes the journal over when the database is back.
            _log.error("inbox.left_behind", session=self.key)
        if self.state.stage is Stage.LOST:
            self._inputs.put_nowait(_Forgotten())

    def _lost(self) -> None:
        """The status writer has read that the session is not ours."""
        self.push(inputs.AssignmentLost())

    def _write_owner(self) -> None:
        self._places.folder.mkdir(parents=True, exist_ok=True)
        self._places.owner.write_text(json.dumps(self._inbox.owner.described()))

    async def _end_all(self, tasks: list[asyncio.Task[None]]) -> None:
        for timer in tuple(self._timers):
            self._cancel_timer(timer)
        for task in (*tasks, *self._tasks.values()):
            await _cancel(task)
        self._tools.announce(self.uid, comes=False)
        engine = self._engine
        if engine is not None:  # only after an error of ours: nothing may run without its runner
            engine.kill()
            await asyncio.wait([engine.exited])
        self._over.set()


@dataclass(frozen=True)
class _Forgotten:
    """The last effect is done."""


@dataclass(frozen=True)
class _Broken:
    """An effect failed in a way that nobody foresaw."""

    error: BaseException


def _message(prepared: Prepared) -> str:
    return "" if prepared.outcome in (PrepareOutcome.FRESH, PrepareOutcome.LOCAL) else prepared.message


def _restored(prepared: Prepared) -> str:
    """What a fallback means, for people."""
    repair = prepared.repair
    if repair is not None and repair.mode is RepairMode.ADVANCE:
        healed = f"sending chains were moved on by {repair.steps}"
    else:
        healed = "the Signal sessions were dropped and are built anew with the next messages"
    return (
        f"the newest auth state could not be used, an older one was taken and repaired ({healed}): {prepared.message}"
    )


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task])


async def _until_over(listener: asyncio.Task[None], pumps: list[asyncio.Task[None]]) -> None:
    """Wait for the listener's end; a pump that fails ends the session with its error."""
    waiting = {listener, *pumps}
    while listener in waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
