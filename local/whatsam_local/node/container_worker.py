"""One container of a pod: start, wait for its end, restart by policy, stop. Its probes are in `health.py`."""

import asyncio
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from whatsam_local.node import status
from whatsam_local.node.api import NETWORK_ERRORS
from whatsam_local.node.container_spec import build_spec
from whatsam_local.node.context import PodContext
from whatsam_local.node.errors import ApiError, ConfigError, ImageError, RuntimeRefused
from whatsam_local.node.health import Health
from whatsam_local.node.kinds import Json
from whatsam_local.node.probes import Command, Target
from whatsam_local.node.protocol import ContainerRecord, Labels
from whatsam_local.node.restarts import Restart, RestartPolicy, next_restart, policy_for, runs_again
from whatsam_local.node.status import ContainerView, Exit

log = logging.getLogger("container")

_STATUS_SECONDS = 2.0
"""How long a restart waits for the status that tells of the end. Pods go on while the API server is away."""
_BLOCKED_SECONDS = 5.0
"""Between two looks at whether a missing ConfigMap, Secret or image has come."""
_HOOK_SECONDS = 3600.0
_AFTER_HOOK_SECONDS = 2.0
"""What a container has left after its preStop hook, even when the hook used up the whole grace (kubelet's value)."""


class ContainerWorker:
    """The life of one container, over all its restarts."""

    def __init__(self, pod: PodContext, spec: Json, *, init: bool) -> None:
        self.pod = pod
        self.spec = spec
        self.init = init
        self.name: str = spec["name"]
        self.state = status.waiting("ContainerCreating" if init else "PodInitializing")
        self.last_state: Json = {}
        self.attempt = 0
        self.pid: int | None = None
        self.health = Health(pod, self)
        self._identifier: str | None = None
        self._environment: dict[str, str] = {}
        self._exited: asyncio.Future[Exit] | None = None
        self._started_at = 0.0
        self._next_wait = 0.0
        self._ended: list[str] = []

    # --- what others ask ----------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether its first process is alive, as far as the node knows."""
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        """The exit code when it has ended and waits for nothing."""
        return self.state.get("terminated", {}).get("exitCode")

    @property
    def identifier(self) -> str | None:
        """The runtime's name of the present, or last, attempt."""
        return self._identifier

    def view(self) -> ContainerView:
        """This moment, for the status."""
        return ContainerView(
            name=self.name,
            image=self.spec["image"],
            init=self.init,
            state=self.state,
            last_state=self.last_state,
            restarts=self.attempt,
            ready=self.health.ready,
            started=self.health.started,
            container_id=self._identifier,
            has_run=self._started_at > 0,
        )

    def inside(self, argv: list[str]) -> Command:
        """How to run a command inside the container, from outside."""
        enter = [self.pod.node.nsenter, "-t", str(self.pid), "-m", "-u", "-i", "-p", "-n", "-r", "-w", "--"]
        return Command([*enter, *argv], self._environment)

    def target(self) -> Target:
        """What probes and hooks need to know."""
        return Target(self.spec, self.pod.address or "", self.inside)

    # --- life ---------------------------------------------------------------------------------------------------

    def restore(self, known: Json, *, adopted: bool) -> None:
        """Take over what the API server knew before this node started; `adopted`: the runtime knows it too."""
        self.attempt = known.get("restartCount", 0)
        self.last_state = known.get("lastState", {})
        self.health.was_ready = bool(known.get("ready"))
        if known.get("state", {}).get("terminated"):
            self.state = known["state"]
        elif known.get("containerID") and not adopted:
            self.attempt += 1
            self.last_state = status.lost(known, time.time())

    async def run(self, record: tuple[str, ContainerRecord] | None) -> None:
        """Start (or adopt) it and keep it running; returns when it will not run again."""
        policy = policy_for(RestartPolicy(self.pod.obj["spec"].get("restartPolicy", "Always")), init=self.init)
        if record is None and self.exit_code is not None and not runs_again(policy, self.exit_code):
            return
        while True:
            try:
                if record:
                    self.adopt(*record)
                    record = None
                else:
                    await self._start()
                await self.wait_for_end()
            except ConfigError as error:
                await self._blocked(error)
                continue
            except (RuntimeRefused, OSError) as error:
                self.pod.event("Warning", "Failed", f"Error: {error}")
                self.state = status.start_failed(str(error), time.time(), self._identifier)
                self._started_at = time.time()
            self.pod.publisher.touch()
            # an end that is followed by a restart at once would otherwise never be seen as `terminated`
            await self.pod.publisher.flush(_STATUS_SECONDS)
            if self.exit_code is not None and not runs_again(policy, self.exit_code):
                return
            await self._wait_to_restart(
                next_restart(self._next_wait, time.time() - self._started_at, self.pod.node.options.backoff)
            )

    async def _wait_to_restart(self, restart: Restart) -> None:
        self._next_wait = restart.next_wait
        self.last_state = self.state
        if restart.wait:
            where = f"container={self.name} pod={self.pod.name}_{self.pod.namespace}({self.pod.uid})"
            message = f"back-off {restart.wait:g}s restarting failed {where}"
            self.state = status.waiting("CrashLoopBackOff", message)
            self.pod.event("Warning", "BackOff", f"Back-off restarting failed container {self.name}")
            self.pod.publisher.touch()
            await asyncio.sleep(restart.wait)
        self.attempt += 1

    async def _blocked(self, error: ConfigError) -> None:
        """Wait for what is missing."""
        reason = "ImagePullBackOff" if isinstance(error, ImageError) else "CreateContainerConfigError"
        self.pod.event("Warning", "Failed", f"Error: {error}")
        self.state = status.waiting(reason, str(error))
        self.pod.publisher.touch()
        await asyncio.sleep(_BLOCKED_SECONDS)
        with suppress(ApiError, *NETWORK_ERRORS):
            await self.pod.volumes.fetch()

    async def _start(self) -> None:
        """Raises `ConfigError` when something is missing, `RuntimeRefused` when the runtime could not do it."""
        pod, node = self.pod, self.pod.node
        spec = build_spec(pod, self.spec, self.attempt, init=self.init)
        self._identifier = f"{pod.uid[:8]}-{self.name}-{self.attempt}-{secrets.token_hex(3)}"
        labels = Labels(uid=pod.uid, namespace=pod.namespace, pod=pod.name, container=self.name, attempt=self.attempt)
        self._environment = spec["env"]
        call = asyncio.ensure_future(node.runtime.call("start", identifier=self._identifier, spec=spec, labels=labels))
        try:
            answer = await asyncio.shield(call)
        except asyncio.CancelledError:
            # the pod is being deleted: a container that is on its way must be known, or nobody would stop it
            with suppress(RuntimeRefused):
                self._began(await call)
            raise
        self._began(answer)
        pod.event("Normal", "Started", f"Started container {self.name}")
        await self._forget_ended()

    def adopt(self, identifier: str, record: ContainerRecord) -> None:
        """Take over a container that the runtime has kept, running or ended."""
        self._identifier = identifier
        self.attempt = record["labels"]["attempt"]
        self._environment = record["env"]
        if record["exit"]:
            self.pod.node.exits.report(identifier, Exit(**record["exit"]))
        self._began({"pid": record["pid"], "started": record["started"]}, adopted=True)

    def _began(self, answer: Json, *, adopted: bool = False) -> None:
        assert self._identifier is not None  # noqa: S101 - set by both callers, told to the type checker
        self.pid = answer["pid"]
        self._started_at = answer["started"]
        self.state = status.running(self._started_at)
        self._exited = self.pod.node.exits.expect(self._identifier)
        self.health.begin(adopted=adopted)
        self.pod.publisher.touch()

    async def wait_for_end(self) -> None:
        """Until the container has ended; then its state says how."""
        if self._exited is None:
            return
        end = await asyncio.shield(self._exited)
        if not self.running:
            return
        self.health.end()
        self.state = status.terminated(end, self._started_at, self._identifier)
        if self._identifier:
            self._ended.append(self._identifier)
        self.pid = None
        self.pod.publisher.touch()

    async def _forget_ended(self) -> None:
        """The runtime keeps ended containers until a successor runs: a node that restarts finds their exit codes."""
        while self._ended:
            identifier = self._ended.pop()
            self.pod.node.exits.forget(identifier)
            await self.pod.node.runtime.call("forget", identifier=identifier)

    # --- the end ------------------------------------------------------------------------------------------------

    async def stop(self, deadline: Callable[[], float]) -> None:
        """preStop, TERM, and KILL at the deadline (monotonic; a function: a later deletion may bring it forward)."""
        if not self.running or self._exited is None or self._identifier is None:
            return
        exited, identifier, runtime = self._exited, self._identifier, self.pod.node.runtime
        floor = 0.0
        if hook := self.spec.get("lifecycle", {}).get("preStop"):
            left = max(0.1, deadline() - time.monotonic())
            result = await self.pod.node.prober.attempt(hook, self.target(), left)
            if not result.ok:
                self.pod.event("Warning", "FailedPreStopHook", result.message)
            floor = time.monotonic() + _AFTER_HOOK_SECONDS
        await runtime.call("kill", identifier=identifier, number=int(signal.SIGTERM))
        while not exited.done():
            left = max(floor, deadline()) - time.monotonic()
            if left <= 0:
                await runtime.call("kill", identifier=identifier, number=int(signal.SIGKILL))
                await asyncio.shield(exited)
                return
            self.pod.hurry.clear()
            hurried = asyncio.ensure_future(self.pod.hurry.wait())
            await asyncio.wait({exited, hurried}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()

    async def post_start(self) -> None:
        """Run the postStart hook; a failure is told, the container goes on."""
        if hook := self.spec.get("lifecycle", {}).get("postStart"):
            result = await self.pod.node.prober.attempt(hook, self.target(), _HOOK_SECONDS)
            if not result.ok:
                self.pod.event("Warning", "FailedPostStartHook", result.message)

    def log_file(self, *, previous: bool) -> str | None:
        """The log that `kubectl logs` is to show, or None. While a container waits, its last attempt's is shown."""
        attempts = [self.attempt - 1] if previous else [self.attempt, self.attempt - 1]
        for attempt in attempts:
            path = self.pod.logs(self.name) / f"{attempt}.log"
            if os.path.exists(path):  # noqa: PTH110 - a str is returned to the caller either way
                return str(path)
        return None
