"""Fakes of everything around the connector's core: Lease and sessions in an API server, engines, auth state, rows."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connector_virtual import VirtualClock

from whatsam_connector.engine.protocol import Capabilities
from whatsam_connector.errors import ProxyUnusable
from whatsam_connector.journal import Position
from whatsam_connector.lease.verdict import Answer
from whatsam_connector.state import FlushTimeout, Prepared, PrepareOutcome, Replicated, SessionIdentity
from whatsam_connector.supervision import (
    EngineExit,
    EngineRefused,
    EngineSession,
    EngineStartFailed,
    EngineUncertain,
    EngineUnresponsive,
    ExitReason,
    JournalAdvanced,
    MemberEvent,
    OutgoingMessage,
    SendResult,
)
from whatsam_core.lease import LeaseRecord, LeaseState
from whatsam_core.resources.session import Handover, SecretKeyRef, WhatsAppSession
from whatsam_core.storage.cluster_errors import Conflict, NotFound, Unreachable
from whatsam_core.storage.reflector import Changed, ReflectEvent, Removed, Snapshot

JID = "491511000001:1@s.whatsapp.net"


class FakeLeases:
    """One Lease with resourceVersions. `away`: no answer; `swallow`: the write happens and its answer is lost."""

    def __init__(self) -> None:
        self.stored: LeaseRecord | None = None
        self.version = 0
        self.away = False
        self.swallow = 0
        self.writes: list[LeaseState] = []

    async def create(self, record: LeaseRecord, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        if self.away:
            return await self._silence(timeout)
        if self.stored is not None:
            return Answer.CONFLICT, None
        return await self._write(record, timeout)

    async def update(self, record: LeaseRecord, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        if self.away:
            return await self._silence(timeout)
        if self.stored is None:
            return Answer.MISSING, None
        if self.stored.resource_version != record.resource_version:
            return Answer.CONFLICT, None
        return await self._write(record, timeout)

    async def read(self, name: str, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        if self.away:
            return await self._silence(timeout)
        return (Answer.MISSING, None) if self.stored is None else (Answer.ACCEPTED, self.stored)

    def revoke(self) -> None:
        assert self.stored is not None
        self.version += 1
        self.stored = replace(self.stored, state=LeaseState.REVOKED, resource_version=str(self.version))

    async def _write(self, record: LeaseRecord, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        self.version += 1
        self.stored = replace(record, resource_version=str(self.version), uid="lease")
        self.writes.append(record.state)
        if self.swallow:
            self.swallow -= 1
            return await self._silence(timeout)
        await asyncio.sleep(0.01)
        return Answer.ACCEPTED, self.stored

    async def _silence(self, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        await asyncio.sleep(timeout)
        return Answer.UNREACHABLE, None


class FakeTimer:
    """The supervisor's kernel timer; `fired` tells whether it would have killed the process by now."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.history: list[float | None] = []

    def arm(self, deadline: float) -> None:
        self._check()
        self.deadline = deadline
        self.history.append(deadline)

    def disarm(self) -> None:
        self._check()
        self.deadline = None
        self.history.append(None)

    def _check(self) -> None:
        assert self.deadline is None or asyncio.get_running_loop().time() < self.deadline, (
            "the supervisor would be dead"
        )


class FakeEngine:
    """An engine process for one session, killed by its own deadline as the kernel would."""

    made: int = 0

    def __init__(self, session: EngineSession, deadline: float, on_event: Callable[[MemberEvent], None]) -> None:
        FakeEngine.made += 1
        self.pid = 1000 + FakeEngine.made
        self.session = session
        self.on_event = on_event
        self.loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[EngineExit] = self.loop.create_future()
        self.calls: list[str] = []
        self.sent: list[OutgoingMessage] = []
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.outcome: list[Exception] = []
        self.hangs = False
        self.pause = 0.02
        self.capabilities = Capabilities(own_message_ids=False, ack_after_persist=False, passkey=False)
        self._fence: asyncio.TimerHandle | None = None
        self._arm(deadline)

    def say(self, event: MemberEvent) -> None:
        if not self.exited.done():
            self.on_event(event)

    def ends(self, reason: ExitReason) -> None:
        if not self.exited.done():
            self.exited.set_result(EngineExit(0, reason))

    async def arm(self, deadline: float) -> None:
        self._arm(deadline)

    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult:
        if self.exited.done():
            raise EngineRefused("EngineGone", "gone")
        self.sent.append(message)
        answered = asyncio.ensure_future(asyncio.sleep(self.pause))
        await asyncio.wait({answered, self.exited}, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():
            answered.cancel()
            raise EngineUncertain("the engine ended over the message")
        if self.outcome:
            raise self.outcome.pop(0)
        return SendResult(f"3EB0{len(self.sent):04d}{self.pid}", VirtualClock().now())

    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float) -> Any:
        if self.exited.done():
            raise EngineRefused("EngineGone", "gone")
        self.asked.append((uid, method, arguments))
        await asyncio.sleep(self.pause)
        if self.outcome:
            raise self.outcome.pop(0)
        return {"answer": len(self.asked)}

    async def disconnect(self, uid: str) -> None:
        self.calls.append("disconnect")
        await self._unless_hanging()
        self.ends(ExitReason.CLEAN)

    async def logout(self, uid: str, timeout: float) -> None:
        self.calls.append("logout")
        await self._unless_hanging()

    async def ping(self, timeout: float) -> None:
        if self.hangs:
            await asyncio.sleep(timeout)
            raise EngineUnresponsive("no answer")

    async def stop(self, grace: float) -> EngineExit:
        self.calls.append("stop")
        if self.hangs:
            await asyncio.sleep(grace)
            self.ends(ExitReason.HUNG)
        self.ends(ExitReason.CLEAN)
        return await self.exited

    def kill(self) -> None:
        self.calls.append("kill")
        self.loop.call_later(0.01, self.ends, ExitReason.KILLED)

    async def _unless_hanging(self) -> None:
        if self.hangs:
            await asyncio.sleep(3600)
        await asyncio.sleep(0.01)

    def _arm(self, deadline: float) -> None:
        if self._fence is not None:
            self._fence.cancel()
        self._fence = self.loop.call_at(deadline, self.ends, ExitReason.FENCED)


class FakeAuthState:
    """The state keeper: where the state is, and whether the store answers."""

    def __init__(self) -> None:
        self.outcome = PrepareOutcome.FRESH
        self.jid: str | None = None
        self.fell_back = ""
        """What was lost, when an older state has to do."""
        self.away = False
        self.calls: list[str] = []
        self.seq = 0
        self.on_replicated: Callable[[str, Replicated], None] = lambda _uid, _replicated: None

    async def prepare(
        self, identity: SessionIdentity, *, epoch: int, boot: str, jid: str | None, handover: Any
    ) -> Prepared:
        self.calls.append(f"prepare {epoch}")
        await asyncio.sleep(0.05)
        if self.away:
            return Prepared(PrepareOutcome.UNREACHABLE, "the store does not answer")
        startable = self.outcome in (PrepareOutcome.FRESH, PrepareOutcome.RESTORED, PrepareOutcome.LOCAL)
        database = Path("session.db") if startable else None
        return Prepared(self.outcome, self.fell_back, database, self.jid, fell_back=bool(self.fell_back))

    async def track(self, uid: str) -> None:
        self.calls.append("track")

    async def flush(self, uid: str, timeout: float) -> Replicated:
        self.calls.append("flush")
        if self.away:
            await asyncio.sleep(timeout)
            raise FlushTimeout("the store does not answer")
        await asyncio.sleep(0.05)
        return self.store(uid)

    def hurry(self, uid: str) -> None:
        self.calls.append("hurry")

    def store(self, uid: str) -> Replicated:
        self.seq += 1
        clock = VirtualClock()
        replicated = Replicated(self.seq, clock.now(), clock.monotonic(), "ab" * 32)
        self.on_replicated(uid, replicated)
        return replicated

    async def release(self, uid: str, timeout: float) -> Handover:
        self.calls.append("release")
        if self.away:
            await asyncio.sleep(timeout)
            raise FlushTimeout("the store does not answer")
        await asyncio.sleep(0.05)
        return Handover(epoch=1, seq=self.seq, sha256="ab" * 32)

    async def forget(self, uid: str) -> None:
        self.calls.append("forget")


class FakeSessions:
    """WhatsAppSession objects with resourceVersions, merge patches and a watch."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.away = False
        self.patches: list[dict[str, Any]] = []
        self.warnings: list[tuple[str, str]] = []
        self._watchers: list[asyncio.Queue[ReflectEvent]] = []
        self.silent = False
        """The watch is behind: it shows nothing of what happens now."""

    async def warn(self, session: WhatsAppSession, reason: str, message: str) -> None:
        """A Warning Event about a session."""
        self.warnings.append((reason, message))

    def put(self, name: str = "s1", *, epoch: int = 1, boot: str = "boot1", **status: Any) -> None:
        found = self.objects.get(name)
        self.version += 1
        body: dict[str, Any] = found or {
            "metadata": {"name": name, "namespace": "whatsam", "uid": f"uid-{name}", "generation": 1},
            "spec": {"tenant": "t-1"},
            "status": {},
        }
        body["metadata"]["resourceVersion"] = str(self.version)
        assignment = {
            "worker": "pod-1",
            "podUID": "pod-uid",
            "bootId": boot,
            "endpoint": "http://10.0.0.1:8080",
            "since": "2026-11-22T12:00:00Z",
        }
        body["status"] |= {"epoch": epoch, "assignment": assignment, **status}
        self.objects[name] = body
        self._tell(Changed(copy.deepcopy(body)))

    def spec(self, name: str = "s1", **changes: Any) -> None:
        self.version += 1
        self.objects[name]["spec"] |= changes
        self.objects[name]["metadata"] |= {"resourceVersion": str(self.version), "generation": 2}
        self._tell(Changed(copy.deepcopy(self.objects[name])))

    def annotate(self, key: str, value: str, name: str = "s1") -> None:
        self.version += 1
        metadata = self.objects[name]["metadata"]
        metadata |= {"resourceVersion": str(self.version), "annotations": {key: value}}
        self._tell(Changed(copy.deepcopy(self.objects[name])))

    def unassign(self, name: str = "s1") -> None:
        self.version += 1
        self.objects[name]["status"].pop("assignment")
        self.objects[name]["metadata"]["resourceVersion"] = str(self.version)
        self._tell(Removed(copy.deepcopy(self.objects[name])))

    def session(self, name: str = "s1") -> WhatsAppSession:
        return WhatsAppSession.from_wire(self.objects[name])

    async def read(self, name: str) -> WhatsAppSession:
        await self._answer()
        if name not in self.objects:
            raise NotFound("gone", status=404)
        return self.session(name)

    async def patch_status(self, name: str, patch: dict[str, Any]) -> WhatsAppSession:
        await self._answer()
        body = self.objects.get(name)
        if body is None:
            raise NotFound("gone", status=404)
        if patch["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Conflict("it changed", status=409)
        self.patches.append(patch)
        self.version += 1
        _merge(body["status"], patch["status"])
        body["metadata"]["resourceVersion"] = str(self.version)
        self._tell(Changed(copy.deepcopy(body)))
        return self.session(name)

    async def of_worker(self, pod_name: str) -> AsyncGenerator[ReflectEvent]:
        queue: asyncio.Queue[ReflectEvent] = asyncio.Queue()
        self._watchers.append(queue)
        yield Snapshot([copy.deepcopy(body) for body in self.objects.values()])
        while True:
            yield await queue.get()

    def _tell(self, event: ReflectEvent) -> None:
        if self.silent:
            return
        for watcher in self._watchers:
            watcher.put_nowait(event)

    async def _answer(self) -> None:
        await asyncio.sleep(0.01)
        if self.away:
            raise Unreachable("the API server does not answer")


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


class FakeProxies:
    """Proxies that serve, until `trouble` is set."""

    def __init__(self) -> None:
        self.trouble: ProxyUnusable | None = None
        self.asked: list[str] = []

    async def usable(self, reference: SecretKeyRef) -> str:
        self.asked.append(reference.name)
        if self.trouble is not None:
            raise self.trouble
        return f"socks5://user:password@{reference.name}:1080"


@dataclass
class EngineRoom:
    """Makes engines for the runner under test and remembers them."""

    engines: list[FakeEngine] = field(default_factory=list[FakeEngine])
    fail: list[EngineStartFailed] = field(default_factory=list[EngineStartFailed])

    async def start(
        self, session: EngineSession, deadline: float, on_event: Callable[[MemberEvent], None]
    ) -> FakeEngine:
        await asyncio.sleep(0.3)
        if self.fail:
            raise self.fail.pop(0)
        engine = FakeEngine(session, deadline, on_event)
        self.engines.append(engine)
        return engine

    @property
    def last(self) -> FakeEngine:
        return self.engines[-1]

    @property
    def living(self) -> list[FakeEngine]:
        return [engine for engine in self.engines if not engine.exited.done()]


def inbound(uid: str, at: float) -> JournalAdvanced:
    return JournalAdvanced(uid, Position(1, 100), at)
