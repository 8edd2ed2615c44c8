"""Connectors played by hand for the operator's cluster tests: pods that never run, Leases that the test renews.

The operator under test is the one that the cluster runs; where it runs none, a process of this tree is started.
"""

import asyncio
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from whatsam_core import names
from whatsam_core.lease import LeaseRecord, LeaseState, lease_name
from whatsam_core.resources import WhatsAppSession
from whatsam_core.storage.cluster import DEPLOYMENTS, EVENTS, LEASES, PODS, POOLS, SESSIONS, Cluster, Kind, NotFound

Json = dict[str, Any]
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
LIMIT = 20.0


async def eventually(condition: Callable[[], Awaitable[Any]], what: str, within: float = LIMIT) -> Any:
    """Wait until the condition gives something true, and return it."""
    deadline = time.monotonic() + within
    while not (result := await condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.05)
    return result


def second(moment: datetime) -> str:
    """A time as the kubelet writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class HandWorker:
    """A connector pod and its present boot."""

    cluster: Cluster
    namespace: str
    name: str
    uid: str = ""
    duration: int = 15
    record: LeaseRecord | None = None
    renewing: asyncio.Task[None] | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def create(self) -> "HandWorker":
        """The pod, ready, with a first boot."""
        labels = {names.LABEL_POOL: "default", names.LABEL_COMPONENT: names.COMPONENT_CONNECTOR}
        pod = await self.cluster.create(
            PODS,
            self.namespace,
            {
                "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
                "spec": {
                    "schedulingGates": [{"name": "whatsam.io/never"}],
                    "containers": [{"name": names.CONNECTOR_CONTAINER, "image": "whatsam/none"}],
                },
            },
        )
        self.uid = pod["metadata"]["uid"]
        await self.boot()
        return self

    async def boot(self, restarts: int = 0) -> None:
        """The container runs: a new boot takes its Lease and renews it."""
        now = datetime.now(UTC)
        await self.report({"running": {"startedAt": second(now)}}, ready=True, restarts=restarts)
        boot = secrets.token_hex(5)
        self.record = LeaseRecord(
            name=lease_name("default", boot),
            namespace=self.namespace,
            pool="default",
            pod_name=self.name,
            pod_uid=self.uid,
            boot_id=boot,
            endpoint="http://10.0.0.1:8080",
            state=LeaseState.ACTIVE,
            acquired_at=now,
            renewed_at=now,
            duration_seconds=self.duration,
            engine_version="neonize-0.5.2",
        )
        stored = await self.cluster.create(LEASES, self.namespace, self.record.to_wire())
        self.record = replace(self.record, resource_version=stored["metadata"]["resourceVersion"])
        self.renewing = asyncio.create_task(self._renew_for_ever())

    async def renew(self, state: LeaseState | None = None) -> None:
        """One renewal; raises `Conflict` when the Lease was revoked."""
        assert self.record is not None
        body = self.record.renewed(datetime.now(UTC), state=state).to_wire()
        stored = await self.cluster.replace(LEASES, self.namespace, self.record.name, body)
        self.record = LeaseRecord.from_wire(stored)

    async def silence(self) -> None:
        """Renew no more."""
        if self.renewing is not None:
            self.renewing.cancel()
            await asyncio.gather(self.renewing, return_exceptions=True)

    async def die(self) -> None:
        """The container ends, and the kubelet says so: in a second that is certainly after the acquisition."""
        await self.silence()
        assert self.record is not None
        ended = max(datetime.now(UTC), self.record.acquired_at + timedelta(seconds=1))
        terminated = {"exitCode": 137, "reason": "Error", "finishedAt": second(ended)}
        await self.report({"terminated": terminated}, ready=False, restarts=0)

    async def report(self, state: Json, *, ready: bool, restarts: int) -> None:
        """What the kubelet would write into the pod's status."""
        container = {
            "name": names.CONNECTOR_CONTAINER,
            "image": "whatsam/none",
            "imageID": "",
            "ready": ready,
            "restartCount": restarts,
            "state": state,
        }
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        status = {"containerStatuses": [container], "conditions": conditions, "phase": "Running"}
        await self.cluster.merge_patch(PODS, self.namespace, self.name, {"status": status}, subresource="status")

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self.renew()


class Stage:
    """One namespace with a pool, workers by hand, and sessions."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.workers: list[HandWorker] = []

    async def add_pool(self, **spec: Any) -> None:
        """A pool without pods of its own: the test plays them."""
        metadata = {"name": "default", "namespace": self.namespace}
        await self.cluster.create(POOLS, self.namespace, {"metadata": metadata, "spec": {"replicas": 0, **spec}})

    async def add_worker(self, name: str, *, duration: int = 15) -> HandWorker:
        """A living worker."""
        worker = await HandWorker(self.cluster, self.namespace, name, duration=duration).create()
        self.workers.append(worker)
        return worker

    async def add_session(self, name: str, **spec: Any) -> None:
        """`kubectl apply`."""
        metadata = {"name": name, "namespace": self.namespace}
        body = {"metadata": metadata, "spec": {"tenant": "acme", **spec}}
        await self.cluster.create(SESSIONS, self.namespace, body)

    async def session(self, name: str) -> WhatsAppSession | None:
        """The object now, or None."""
        try:
            return WhatsAppSession.from_wire(await self.cluster.get(SESSIONS, self.namespace, name))
        except NotFound:
            return None

    async def assigned(self, name: str, epoch: int, within: float = LIMIT) -> WhatsAppSession:
        """Wait until the session is assigned under that epoch."""

        async def look() -> WhatsAppSession | None:
            found = await self.session(name)
            fits = found is not None and found.status.assignment is not None and found.status.epoch == epoch
            return found if fits else None

        return await eventually(look, f"{name} is assigned under epoch {epoch}", within)

    async def gone(self, name: str, within: float = LIMIT) -> None:
        """Wait until the object is gone."""

        async def look() -> bool:
            return await self.session(name) is None

        await eventually(look, f"{name} is gone", within)

    async def reason(self, name: str, kind: str, reason: str) -> None:
        """Wait until a condition has that reason."""

        async def look() -> bool:
            found = await self.session(name)
            known = [] if found is None else found.status.conditions
            return any(one.type.value == kind and one.reason == reason for one in known)

        await eventually(look, f"{name} has {kind} with reason {reason}")

    async def say(self, name: str, **status: Any) -> None:
        """What the holder would write into the status."""
        await self.cluster.merge_patch(SESSIONS, self.namespace, name, {"status": status}, subresource="status")

    async def change(self, name: str, **spec: Any) -> None:
        """`kubectl patch`."""
        await self.cluster.merge_patch(SESSIONS, self.namespace, name, {"spec": spec})

    async def told(self, name: str, reason: str, containing: str = "") -> str:
        """Wait for an Event about an object whose message has the text; the message."""

        async def look() -> str | None:
            selector = f"involvedObject.name={name},reason={reason}"
            found = await self.cluster.list(EVENTS, self.namespace, field_selector=selector)
            return next((one["message"] for one in found.items if containing in one["message"]), None)

        return await eventually(look, f"an Event {reason} about {name}")

    async def close(self) -> None:
        """Everything ends, so that the namespace can go: holders that live would be waited for."""
        for worker in self.workers:
            await worker.silence()
            with suppress(NotFound):
                record = worker.record
                assert record is not None
                fresh = LeaseRecord.from_wire(await self.cluster.get(LEASES, self.namespace, record.name))
                if fresh.state in (LeaseState.ACTIVE, LeaseState.DRAINING):
                    worker.record = fresh
                    await worker.renew(LeaseState.RELEASED)
        for thing in (await self.cluster.list(SESSIONS, self.namespace)).items:
            with suppress(NotFound):  # a logout would wait for a worker
                await self.change(thing["metadata"]["name"], deletionPolicy="Retain")
        for kind in (SESSIONS, POOLS):
            for thing in (await self.cluster.list(kind, self.namespace)).items:
                with suppress(NotFound):
                    await self.cluster.delete(kind, self.namespace, thing["metadata"]["name"])

        async def empty() -> bool:
            left = [(await self.cluster.list(kind, self.namespace)).items for kind in (SESSIONS, POOLS)]
            return not any(left)

        await eventually(empty, "all sessions and pools are gone", within=60)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OperatorProcess:
    """An operator of this tree as a process of this machine."""

    def __init__(self, kubeconfig: Path, log: Path, *, lease: str) -> None:
        self.port = free_port()
        environment = {**os.environ, **object_store(kubeconfig)}
        environment |= {
            "KUBECONFIG": str(kubeconfig),
            "WHATSAM_NAMESPACE": "whatsam",
            "WHATSAM_POD_NAME": f"test-{os.getpid()}-{self.port}",
            "WHATSAM_PORT": str(self.port),
            "WHATSAM_LEADER_LEASE_NAME": lease,
        }
        program = str(Path(sys.executable).with_name("whatsam-operator"))
        with log.open("wb") as output:
            self.process = subprocess.Popen([program], env=environment, stdout=output, stderr=subprocess.STDOUT)
        self.log = log

    def wait_until_it_leads(self) -> None:
        """Until /ready says that it leads."""
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, f"the operator ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"the operator does not lead: {self.log.read_text()[-2000:]}"
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{self.port}/ready").json()["leads"]:
                    return
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=30)


def object_store(kubeconfig: Path) -> dict[str, str]:
    """How to reach the cluster's object store from here: the `env` file beside the kubeconfig."""
    lines = [shlex.split(line) for line in (kubeconfig.parent / "env").read_text().splitlines()]
    pairs = (words[1].partition("=") for words in lines if len(words) == 2)
    return {name: value for name, _, value in pairs if name.startswith("WHATSAM_S3_")}


async def installation(cluster: Cluster) -> str:
    """The installation id of the cluster's parts, else the settings' default."""
    try:
        known = await cluster.get(CONFIG_MAPS, "whatsam", "whatsam-config")
    except NotFound:
        return "whatsam"
    return known["data"].get("WHATSAM_INSTALLATION_ID", "whatsam")


async def runs_in_cluster(cluster: Cluster) -> bool:
    """Whether the cluster runs an operator of its own."""
    try:
        deployment = await cluster.get(DEPLOYMENTS, "whatsam", "whatsam-operator")
    except NotFound:
        return False
    return bool(deployment.get("status", {}).get("readyReplicas"))
