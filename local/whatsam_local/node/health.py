"""A container's probes at work: what makes it started, ready, and restarted. Used by `container_worker.py`."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from whatsam_local.node.context import PodContext
from whatsam_local.node.kinds import Json
from whatsam_local.node.probe_counter import Verdict

if TYPE_CHECKING:
    from whatsam_local.node.container_worker import ContainerWorker


class Health:
    """Startup, readiness and liveness of one container; begins anew with every attempt."""

    def __init__(self, pod: PodContext, container: "ContainerWorker") -> None:
        self.ready = False
        self.started = False
        self.was_ready = False
        """What the API server said before this node started."""
        self._pod = pod
        self._container = container
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping: asyncio.Task[None] | None = None

    def begin(self, *, adopted: bool) -> None:
        """The container runs. An adopted one keeps its readiness until a probe says otherwise.

        Without that a restart of the node would empty every Service.
        """
        spec = self._container.spec
        self.started = adopted or not spec.get("startupProbe")
        self.ready = self.started and (not spec.get("readinessProbe") or (adopted and self.was_ready))
        self._stopping = None
        self._tasks = [asyncio.create_task(self._watch(adopted))]
        if not adopted:
            self._tasks.append(asyncio.create_task(self._container.post_start()))

    def end(self) -> None:
        """The container has ended."""
        for task in self._tasks:
            task.cancel()
        self.ready = self.started = False

    async def _watch(self, adopted: bool) -> None:
        spec = self._container.spec
        if (startup := spec.get("startupProbe")) and not adopted:
            await self._until_started(startup)
        async with asyncio.TaskGroup() as group:
            if readiness := spec.get("readinessProbe"):
                group.create_task(self._repeat(readiness, self._on_readiness))
            if liveness := spec.get("livenessProbe"):
                group.create_task(self._repeat(liveness, lambda v, m: self._on_liveness("Liveness", liveness, v, m)))

    async def _repeat(self, probe: Json, act: Callable[[Verdict, str], None]) -> None:
        await self._pod.node.prober.repeat(probe, self._container.target(), act)

    async def _until_started(self, probe: Json) -> None:
        healthy = asyncio.Event()

        def act(verdict: Verdict, message: str) -> None:
            if verdict is Verdict.HEALTHY:
                healthy.set()
            else:
                self._on_liveness("Startup", probe, verdict, message)

        probing = asyncio.create_task(self._repeat(probe, act))
        try:
            await healthy.wait()
        finally:
            probing.cancel()
        self.started = True
        self.ready = not self._container.spec.get("readinessProbe")
        self._pod.publisher.touch()

    def _on_readiness(self, verdict: Verdict, message: str) -> None:
        healthy = verdict is Verdict.HEALTHY
        if not healthy:
            self._pod.event("Warning", "Unhealthy", f"Readiness probe failed: {message}")
        if self.ready != healthy and self._container.running:
            self.ready = healthy
            self._pod.publisher.touch()

    def _on_liveness(self, kind: str, probe: Json, verdict: Verdict, message: str) -> None:
        """Stop an unhealthy container, once per attempt; its worker restarts it."""
        if verdict is Verdict.HEALTHY or self._stopping is not None or self._pod.deadline is not None:
            return
        self._pod.event("Warning", "Unhealthy", f"{kind} probe failed: {message}")
        name = self._container.name
        self._pod.event("Normal", "Killing", f"Container {name} failed {kind.lower()} probe, will be restarted")
        until = time.monotonic() + probe.get("terminationGracePeriodSeconds", self._pod.grace)

        def deadline() -> float:
            return until if self._pod.deadline is None else min(until, self._pod.deadline)

        self._stopping = asyncio.create_task(self._container.stop(deadline))
