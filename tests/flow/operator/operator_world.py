"""A whole small installation in virtual time: API server, connectors that renew, fence and run, and operators.

The connectors are honest in what the safety rests on (they stop at the hard fence, they run only what names their own
boot) and are killed, frozen and cut off by the tests. The world itself is the witness: it fails the test at the moment
in which two boots run one session, or an epoch does not grow.
"""

import asyncio
import itertools
import json
import random
from dataclasses import dataclass, field
from typing import Any, cast

from operator_cluster import ApiServer, Client, Faults, Json, LaggingWatch, Store, clock, eventually, stamp
from prometheus_client import CollectorRegistry

from whatsam_core import names
from whatsam_core.lease import LeaseRecord, LeaseState, LeaseTimings, lease_name
from whatsam_core.storage.cluster import (
    DEPLOYMENTS,
    LEASES,
    PODS,
    POOLS,
    SESSIONS,
    Cluster,
    ClusterError,
    Conflict,
    NotFound,
)
from whatsam_core.storage.objects import ObjectStore
from whatsam_operator.errors import NotLeader
from whatsam_operator.factory import Context, make_term
from whatsam_operator.planning.election import ElectionTimings
from whatsam_operator.services.leadership import Leadership
from whatsam_operator.services.metrics import OperatorMetrics
from whatsam_operator.settings import OperatorSettings
from whatsam_operator.storage.leader_lease import LeaderLease

NAMESPACE = "ns"
TIMINGS = LeaseTimings()


def settings(**changes: Any) -> OperatorSettings:
    """Settings as a pod would have them."""
    values: dict[str, Any] = {
        "namespace": "system",
        "pod_name": "operator",
        "s3_url": "http://store:8333",
        "s3_access_key": "a",
        "s3_secret_key": "s",
        "sweep_period": 20.0,
        "resync_period": 5.0,
        **changes,
    }
    return OperatorSettings(**values)


class Witness:
    """Who runs which session now."""

    def __init__(self) -> None:
        self.running: dict[str, str] = {}
        self.history: list[tuple[float, str, str, str]] = []

    def started(self, session: str, boot: str) -> None:
        assert session not in self.running, (
            f"two holders of {session}: {self.running[session]} and {boot}\n" + "\n".join(map(str, self.history[-30:]))
        )
        self.running[session] = boot
        self.history.append((asyncio.get_running_loop().time(), "start", session, boot))

    def gaps(self, session: str) -> list[float]:
        """How long nobody ran the session, each time."""
        ends = [at for at, what, name, _ in self.history if name == session and what == "stop"]
        starts = [at for at, what, name, _ in self.history if name == session and what == "start"]
        return [start - end for end, start in zip(ends, starts[1:], strict=False)]

    def stopped(self, session: str, boot: str) -> None:
        if self.running.get(session) == boot:
            del self.running[session]
            self.history.append((asyncio.get_running_loop().time(), "stop", session, boot))


@dataclass
class Boot:
    """One run of a connector's container."""

    world: "World"
    pod: "Pod"
    boot_id: str
    version: str = ""
    renewed_at: float = 0.0
    over: bool = False
    frozen: bool = False
    held: dict[str, int] = field(default_factory=dict)
    """Session name to epoch."""
    slow: float = 0.3
    """Seconds that it needs to prepare itself for a session of another boot."""
    preparing: set[str] = field(default_factory=set)
    ended: set[tuple[str, int]] = field(default_factory=set)
    """Sessions and epochs that it has handed over: they never start again."""
    state: LeaseState = LeaseState.ACTIVE

    async def live(self) -> None:
        """Acquire, then renew and follow the assignments until the end."""
        loop = asyncio.get_running_loop()
        record = self._record()
        try:
            stored = await self._client.create(LEASES, NAMESPACE, record.to_wire())
        except ClusterError:
            self.over = True
            return
        self.version, self.renewed_at = stored["metadata"]["resourceVersion"], loop.time()
        fence = asyncio.create_task(self._fence())
        try:
            while not self.over:
                await self._follow()
                await asyncio.sleep(0.2 if loop.time() - self.renewed_at < 1.8 else 0.05)
                if self.frozen or self.over:
                    continue
                if loop.time() - self.renewed_at >= TIMINGS.renew_period:
                    await self._renew()
        finally:
            fence.cancel()

    async def drain(self, patience: float = 15.0, last_call: float = 40.0) -> None:
        """SIGTERM: give each session to its successor (`_follow` does), then let go of the rest, release, end."""
        self.state = LeaseState.DRAINING
        await self._renew()
        began = asyncio.get_running_loop().time()
        while self.held and not self.over:
            waited = asyncio.get_running_loop().time() - began
            for name, epoch in list(self.held.items()):
                expected = self.world.status(name).get("next") is not None
                if waited >= last_call or (waited >= patience and not expected):
                    await self._hand_over(name, epoch)
            await asyncio.sleep(0.2)
        if not self.over:
            self.state = LeaseState.RELEASED
            await self._renew()
            self.end()

    def end(self) -> None:
        """The process is gone, with its engines."""
        self.over = True
        for name in list(self.held):
            self._stop(name)

    @property
    def _client(self) -> Client:
        return self.world.connectors

    def _record(self) -> LeaseRecord:
        now = clock().wall
        return LeaseRecord(
            name=lease_name("default", self.boot_id),
            namespace=NAMESPACE,
            pool="default",
            pod_name=self.pod.name,
            pod_uid=self.pod.uid,
            boot_id=self.boot_id,
            endpoint="http://10.0.0.9:8080",
            state=self.state,
            acquired_at=now,
            renewed_at=now,
            duration_seconds=15,
            engine_version="neonize-0.5.2",
            resource_version=self.version,
        )

    async def _renew(self) -> None:
        started = asyncio.get_running_loop().time()
        record = self._record()
        body = record.to_wire()
        old = self.world.server.objects[LEASES].get((NAMESPACE, record.name))
        if old is not None:
            body["spec"]["acquireTime"] = old["spec"]["acquireTime"]
        try:
            stored = await self._client.replace(LEASES, NAMESPACE, record.name, body)
        except (Conflict, NotFound):
            self.end()  # revoked
            return
        except ClusterError:
            return
        self.version, self.renewed_at = stored["metadata"]["resourceVersion"], started

    async def _fence(self) -> None:
        """The kernel's timer: it fires for a frozen process, too."""
        loop = asyncio.get_running_loop()
        while not self.over:
            left = self.renewed_at + TIMINGS.hard_fence - loop.time()
            if left <= 0:
                for name in list(self.held):
                    self._stop(name)
            await asyncio.sleep(max(left, 0.1))

    async def _follow(self) -> None:
        if self.frozen or self.over:
            return
        loop = asyncio.get_running_loop()
        fenced = loop.time() - self.renewed_at >= TIMINGS.soft_fence
        await asyncio.sleep(self.world.chance.random() * 0.05)  # a watch that lags
        if self.over or self.frozen:
            return
        for (_, name), thing in list(self.world.server.objects[SESSIONS].items()):
            status = thing.get("status", {})
            mine = status.get("assignment", {}).get("bootId") == self.boot_id
            if name in self.held and (not mine or fenced or self.held[name] != status["epoch"]):
                self._stop(name)
            await self._moves(name, thing, fenced=fenced)
            said = status.get("handover", {}).get("epoch") == status.get("epoch")
            if mine and not said and (name, status["epoch"]) in self.ended:
                await self._hand_over(name, status["epoch"])  # it could not be written before
                continue
            wanted = mine and not fenced and not said
            leaving = thing["spec"].get("desiredState") == "Stopped" or "deletionTimestamp" in thing["metadata"]
            if wanted and leaving:
                await self._let_go(name, thing)
            elif wanted and name not in self.held and self.state is LeaseState.ACTIVE:
                self.held[name] = status["epoch"]
                self.world.witness.started(name, self.boot_id)
                if name in self.world.poison:
                    self.world.spawn(self.pod.crash())
                    return
                await self._report(name, status)
        for name in list(self.held):
            if (NAMESPACE, name) not in self.world.server.objects[SESSIONS]:
                self._stop(name)

    async def _moves(self, name: str, thing: Json, *, fenced: bool) -> None:
        """Make way for a successor that is ready, or be one."""
        status = thing.get("status", {})
        successor = status.get("next") or {}
        if self.held.get(name) == status.get("epoch") and "preparedAt" in successor and not fenced:
            await self._hand_over(name, status["epoch"])
        named = successor.get("bootId") == self.boot_id and "preparedAt" not in successor
        if named and self.state is LeaseState.ACTIVE and not fenced and name not in self.preparing:
            self.preparing.add(name)
            self.world.spawn(self._prepare(name))

    async def _prepare(self, name: str) -> None:
        try:
            await asyncio.sleep(self.slow)
            known = await self._client.get(SESSIONS, NAMESPACE, name)
            if self.over or self.frozen or (known["status"].get("next") or {}).get("bootId") != self.boot_id:
                return
            version = known["metadata"]["resourceVersion"]
            patch = {"metadata": {"resourceVersion": version}, "status": {"next": {"preparedAt": stamp()}}}
            await self._client.merge_patch(SESSIONS, NAMESPACE, name, patch, subresource="status")
        except ClusterError:
            pass  # seen again with the next look
        finally:
            self.preparing.discard(name)

    async def _hand_over(self, name: str, epoch: int) -> None:
        self._stop(name)
        self.ended.add((name, epoch))
        await self._status(name, epoch, {"handover": {"epoch": epoch, "seq": 1, "sha256": "x"}})

    async def _let_go(self, name: str, thing: Json) -> None:
        self._stop(name)
        epoch = thing["status"]["epoch"]
        status: Json = {"handover": {"epoch": epoch, "seq": 1, "sha256": "x"}, "phase": "Disconnected"}
        if "deletionTimestamp" in thing["metadata"] and thing["spec"].get("deletionPolicy") == "Logout":
            status["phase"] = "LoggedOut"
        await self._status(name, epoch, status)

    async def _report(self, name: str, status: Json) -> None:
        if self.world.pairs:
            jid = status.get("jid") or f"{name}@s.whatsapp.net"
            await self._status(name, status["epoch"], {"phase": "Connected", "jid": jid, "phoneNumber": "491510000001"})
            prefix = f"whatsam/auth/{NAMESPACE}/{name}/"
            key = b'{"keyId":"k1","wrapped":"x","tenant":"acme","createdAt":"2026-01-01T00:00:00Z"}'
            self.world.bucket.setdefault(f"{prefix}key", key)
            self.world.bucket[f"{prefix}e{status['epoch']:010d}-{self.boot_id}/base-0000000001"] = b"state"

    async def _status(self, name: str, epoch: int, status: Json) -> None:
        for _ in range(5):
            try:
                known = await self._client.get(SESSIONS, NAMESPACE, name)
                held_by = known.get("status", {}).get("assignment", {}).get("bootId")
                if held_by != self.boot_id or known["status"]["epoch"] != epoch or self.over:
                    return
                version = known["metadata"]["resourceVersion"]
                patch = {"metadata": {"resourceVersion": version}, "status": status}
                await self._client.merge_patch(SESSIONS, NAMESPACE, name, patch, subresource="status")
                return
            except ClusterError:
                await asyncio.sleep(0.05)

    def _stop(self, name: str) -> None:
        self.held.pop(name, None)
        self.world.witness.stopped(name, self.boot_id)


class Pod:
    """A connector pod: it starts boots one after another, and the kubelet reports what happens."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.boot: Boot | None = None
        self.gone = False
        self.restarts = 0
        self.template = world.template()
        labels = {names.LABEL_POOL: "default", names.LABEL_COMPONENT: names.COMPONENT_CONNECTOR}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels, "annotations": self.template}
        made = world.server.create(PODS, {"metadata": metadata})
        self.uid = made["metadata"]["uid"]

    def start(self) -> Boot:
        """A new run of the container."""
        self.boot = Boot(self.world, self, f"boot{next(self.world.boot_ids):06d}")
        self._started = stamp()
        self._report({"running": {"startedAt": self._started}}, ready=True)
        self.world.spawn(self.boot.live())
        return self.boot

    async def crash(self, *, restart_after: float | None = 2.0, seen_after: float = 1.0) -> None:
        """kill -9: the kubelet reports it a little later, and starts the container again."""
        if self.boot is None or self.boot.over:
            return
        self.boot.end()
        finished = stamp()
        await asyncio.sleep(seen_after)
        if self.gone:
            return
        ended = {"exitCode": 137, "reason": "Error", "startedAt": self._started, "finishedAt": finished}
        self._report({"terminated": ended}, ready=False)
        if restart_after is None:
            return
        await asyncio.sleep(restart_after)
        if self.gone:
            return
        self.restarts += 1
        self._last = {"terminated": ended}
        self.start()

    async def evict(self) -> None:
        """An orderly end, as by a drain of its node or a rollout: the object stays until the process has ended."""
        self.world.server.terminate(PODS, (NAMESPACE, self.name))
        if self.boot is not None:
            await self.boot.drain()
        self.force_delete()

    def force_delete(self) -> None:
        """The object is gone; the process knows nothing of it and is killed some time later."""
        self.gone = True
        self.world.server.delete(PODS, (NAMESPACE, self.name))

    _last: Json | None = None
    _started = ""

    def _report(self, state: Json, *, ready: bool) -> None:
        container: Json = {"name": names.CONNECTOR_CONTAINER, "state": state, "restartCount": self.restarts}
        if self._last is not None:
            container["lastState"] = self._last
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        patch = {"status": {"containerStatuses": [container], "conditions": [condition]}}
        self.world.server.patch(PODS, (NAMESPACE, self.name), patch, "status")


class World:
    """Everything, and the rules that must never be broken."""

    def __init__(self, seed: int = 0, *, workers: int = 3, sessions_per_worker: int = 10, pairs: bool = True) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - faults, not secrets
        self.server = ApiServer()
        self.server.before_status = self._check_status
        self.witness = Witness()
        self.bucket: dict[str, bytes] = {}
        self.connectors = Client(self.server)
        self.boot_ids = itertools.count(1)
        self.pairs = pairs
        self.poison: set[str] = set()
        """Sessions whose start ends the worker."""
        self.assignments: list[tuple[str, int, str]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.limit = sessions_per_worker
        spec = {"replicas": workers, "sessionsPerWorker": sessions_per_worker}
        self.server.create(POOLS, {"metadata": {"name": "default", "namespace": NAMESPACE}, "spec": spec})
        self.pods = [Pod(self, f"w{number}") for number in range(workers)]
        for pod in self.pods:
            pod.start()
        self._stamped = False
        self.server.watchers.append(self._stamp)

    def template(self) -> dict[str, str]:
        """The annotations that the Deployment gives to new pods now."""
        known = self.server.objects[DEPLOYMENTS].get((NAMESPACE, "default"))
        return {} if known is None else dict(known["spec"]["template"].get("metadata", {}).get("annotations") or {})

    def _stamp(self, kind: Any, thing: Json, removed: bool) -> None:
        """The first pods are there before their Deployment: they are made from its template all the same."""
        if kind is not DEPLOYMENTS or removed or self._stamped:
            return
        self._stamped = True
        for pod in self.pods:
            pod.template = self.template()
            self.server.patch(PODS, (NAMESPACE, pod.name), {"metadata": {"annotations": pod.template}}, None)

    def add_pod(self, name: str) -> "Pod":
        """What the ReplicaSet controller does."""
        pod = Pod(self, name)
        self.pods.append(pod)
        pod.start()
        return pod

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """Run in the background, until `close`."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        return task

    async def close(self) -> None:
        """End everything; errors of the background become the test's."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    def add_session(self, name: str, **spec: Any) -> Json:
        """`kubectl apply`."""
        body = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"tenant": "acme", **spec}}
        return self.server.create(SESSIONS, body)

    def session(self, name: str) -> Json:
        """The object as it is now."""
        return self.server.objects[SESSIONS].get((NAMESPACE, name), {})

    def status(self, name: str) -> Json:
        """Its status."""
        return self.session(name).get("status", {})

    @property
    def states(self) -> dict[str, bytes]:
        """What lies in the bucket, without the mark that the operator renews."""
        return {key: data for key, data in self.bucket.items() if key != "whatsam/owner"}

    def all_running(self) -> bool:
        """Whether each session that shall run is run by the boot that it is assigned to."""
        return all(
            self.witness.running.get(name, "-") == thing.get("status", {}).get("assignment", {}).get("bootId")
            for (_, name), thing in self.server.objects[SESSIONS].items()
        )

    async def settled(self, within: float = 90.0) -> None:
        """Wait until all run."""
        await eventually(self.all_running, within, f"all sessions run: {self.witness.running}")

    def reason(self, name: str, kind: str = "Scheduled") -> str:
        """The reason of a condition."""
        return next((c["reason"] for c in self.status(name).get("conditions", []) if c["type"] == kind), "")

    def expire_tombstone(self, name: str) -> None:
        """As if 72 h had passed."""
        key = f"whatsam/tombstones/{NAMESPACE}/{name}"
        tombstone = json.loads(self.bucket[key])
        assert tombstone["expiresAt"] > "2026-01-04"
        self.bucket[key] = json.dumps({**tombstone, "expiresAt": "2026-01-01T00:00:00Z"}).encode()

    def _check_status(self, old: Json, new: Json) -> None:
        before, after = old.get("status", {}), new.get("status", {})
        assert after.get("epoch", 0) >= before.get("epoch", 0), "an epoch went back"
        if after.get("assignment") and after.get("assignment") != before.get("assignment"):
            assert after["epoch"] > before.get("epoch", 0), "an assignment without a new epoch"
            boot = after["assignment"]["bootId"]
            self.assignments.append((new["metadata"]["name"], after["epoch"], boot))
            held = sum(
                1
                for thing in self.server.objects[SESSIONS].values()
                if thing.get("status", {}).get("assignment", {}).get("bootId") == boot
                and thing["metadata"]["uid"] != new["metadata"]["uid"]
            )
            assert held < self.limit, f"{boot} gets more than its capacity"


class Operator:
    """One operator process: a term without an election, or the whole of it with one."""

    def __init__(
        self, world: World, faults: Faults | None = None, *, elected: str | None = None, **changes: Any
    ) -> None:
        self.client = Client(world.server, faults)
        self.store = Store(faults, world.bucket)
        chosen = settings(**changes)
        self.metrics = OperatorMetrics(CollectorRegistry())
        self._world = world
        lease = LeaderLease(cast("Cluster", self.client), ("system", "whatsam-operator"), 2.0)
        self.leadership = Leadership(lease, elected or "only", ElectionTimings(), clock)
        if elected is None:
            self.leadership = cast("Leadership", _Always())
        self.context = Context(
            settings=chosen,
            cluster=cast("Cluster", self.client),
            store=cast("ObjectStore", self.store),
            metrics=self.metrics,
            clock=clock,
            leadership=self.leadership,
        )
        self.terms = 0
        work = self._term() if elected is None else self.leadership.run(self._term, leading=lambda _: None)
        self.task = world.spawn(work)

    async def _term(self) -> None:
        self.terms += 1
        chance = self._world.chance
        server = self._world.server

        def watch(feed: Any, interrupted: Any) -> LaggingWatch:
            return LaggingWatch(server, feed, chance)

        await make_term(self.context, watch).run()

    async def kill(self) -> None:
        """kill -9: nothing is released, nothing more is written."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def told(self, session: str) -> list[str]:
        """The reasons of the Events about a session, in order."""
        return [reason for name, reason, _ in self.client.events if name == session]


class _Always:
    """A leader that never doubts: what a second leader at the same time would be."""

    leads = True
    off = False

    def require(self) -> None:
        if self.off:
            raise NotLeader("off")
