"""One pod on this node, from its first sight to its final deletion: what kubelet's pod worker does."""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from whatsam_local.node import status
from whatsam_local.node.api import NETWORK_ERRORS
from whatsam_local.node.container_worker import ContainerWorker
from whatsam_local.node.context import NodeContext, PodContext
from whatsam_local.node.errors import ApiError, ConfigError, RuntimeRefused
from whatsam_local.node.kinds import Json
from whatsam_local.node.pod_files import hosts_file, resolver_file
from whatsam_local.node.protocol import ContainerRecord
from whatsam_local.node.publisher import StatusPublisher
from whatsam_local.node.restarts import RestartPolicy
from whatsam_local.node.status import OWN_CONDITIONS, PodView
from whatsam_local.node.volumes import Volumes, memory_volumes

log = logging.getLogger("pod")

Records = Mapping[str, tuple[str, ContainerRecord]]
"""{container: (identifier, record)} of what the runtime has kept of a pod."""

TERMINAL = ("Succeeded", "Failed")
_RETRY_SECONDS = 2.0
_DELETE_RETRY_SECONDS = 0.5
_SHORTEST_GRACE = 1.0
"""Seconds; kubelet gives no pod less, not even one that was deleted by force."""
_PREFIX_LENGTH = 16
_GONE = (404, 409)


class Pod:
    """The worker of one pod."""

    def __init__(self, node: NodeContext, obj: Json, records: Records, on_gone: Callable[[str], None]) -> None:
        """`records` are adopted; `on_gone` is called with the uid when nothing is left of the pod."""
        metadata = obj["metadata"]
        self._node = node
        self._records = records
        self._on_gone = on_gone
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        directory = node.options.state / "pods" / metadata["uid"]
        self.context = PodContext(
            node=node,
            obj=obj,
            directory=directory,
            volumes=Volumes(node.api, obj, directory / "volumes", node.options.allocatable),
            publisher=StatusPublisher(node.api, self._path, metadata["uid"], self._status),
            address=node.addresses.known(metadata["uid"]),
            deadline=None,
            hurry=asyncio.Event(),
        )
        spec = obj["spec"]
        self.init_containers = [ContainerWorker(self.context, c, init=True) for c in spec.get("initContainers", [])]
        self.containers = [ContainerWorker(self.context, c, init=False) for c in spec["containers"]]
        self._policy = RestartPolicy(spec.get("restartPolicy", "Always"))
        self._deleted = asyncio.Event()
        self._start_time: str = obj.get("status", {}).get("startTime") or status.timestamp(time.time())
        self._conditions: dict[str, Json] = {}
        self._restore()
        # a pod that has ended is only kept for its logs and its deletion
        self._finished = self._was_terminal = obj.get("status", {}).get("phase") in TERMINAL
        self._tasks = [asyncio.create_task(self.context.publisher.run())]
        self._life = asyncio.create_task(self._ended() if self._finished else self._run())

    # --- what happens to it -------------------------------------------------------------------------------------

    def update(self, obj: Json) -> None:
        """The object has changed, or was listed again."""
        pod_status = {**obj.get("status", {}), **self._addresses()}
        self.context.obj = self.context.volumes.pod = {**obj, "status": pod_status}
        if self._finished and self.context.deadline is None and "deletionTimestamp" not in obj["metadata"]:
            return
        if status.overwritten(obj.get("status", {}).get("conditions", []), self._conditions):
            self.context.publisher.send_again()
        if "deletionTimestamp" in obj["metadata"]:
            self._stop_within(obj["metadata"].get("deletionGracePeriodSeconds", 30))
        self.context.publisher.touch()

    def gone(self) -> None:
        """The object is no more while the containers run: a forced deletion."""
        self._deleted.set()
        self._stop_within(0)

    def _stop_within(self, grace: float) -> None:
        deadline = time.monotonic() + max(_SHORTEST_GRACE, grace)
        if self.context.deadline is None:
            self.context.deadline = deadline
            before, self._life = self._life, asyncio.create_task(self._terminate(self._life))
            before.cancel()
        elif deadline < self.context.deadline:  # a later deletion may only shorten it
            self.context.deadline = deadline
            self.context.hurry.set()

    def _addresses(self) -> Json:
        if not self.context.address:
            return {}
        return {"podIP": self.context.address, "hostIP": self._node.options.ip}

    # --- life ---------------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        """What the API server knew about this pod before this node (re)started."""
        known = self.context.obj.get("status", {})
        self._conditions = {c["type"]: c for c in known.get("conditions", []) if c["type"] in OWN_CONDITIONS}
        entries = {s["name"]: s for s in [*known.get("containerStatuses", []), *known.get("initContainerStatuses", [])]}
        for container in [*self.init_containers, *self.containers]:
            if container.name in entries:
                container.restore(entries[container.name], adopted=container.name in self._records)

    async def _run(self) -> None:
        try:
            await self._prepare()
            for container in self.init_containers:
                await container.run(self._records.get(container.name))
                if container.exit_code != 0:
                    return
            for container in self.containers:
                if "waiting" in container.state:
                    container.state = status.waiting("ContainerCreating")
            async with asyncio.TaskGroup() as group:
                for container in self.containers:
                    group.create_task(container.run(self._records.get(container.name)))
            self._finished = True
            self.context.publisher.touch()
        except Exception:
            log.exception("pod %s/%s", self.context.namespace, self.context.name)

    async def _ended(self) -> None:
        """The life of a pod that had ended before this node started."""
        for container in [*self.init_containers, *self.containers]:
            if container.name in self._records:
                container.adopt(*self._records[container.name])
                await container.wait_for_end()

    async def _prepare(self) -> None:
        """Network, volumes, files; tried until they are there."""
        context, options = self.context, self._node.options
        while True:
            try:
                address = await self._sandbox()
                refresh = await context.volumes.sync()
                break
            except (ConfigError, ApiError, RuntimeRefused, *NETWORK_ERRORS) as error:
                context.event("Warning", "FailedMount", str(error) or repr(error))
                await asyncio.sleep(_RETRY_SECONDS)
        (context.directory / "hosts").write_text(hosts_file(context.obj, address))
        (context.directory / "resolv.conf").write_text(resolver_file(context.obj, options.dns_ip))
        self._tasks.append(asyncio.create_task(self._keep_volumes(refresh)))

    async def _sandbox(self) -> str:
        """The pod's network and volumes in memory; returns the address."""
        context, options = self.context, self._node.options
        if context.obj["spec"].get("hostNetwork"):
            raise ConfigError("hostNetwork is not supported by the process node")
        address = context.address = self._node.addresses.take(context.uid)
        await self._node.runtime.call(
            "sandbox",
            uid=context.uid,
            namespace=context.namespace,
            pod=context.name,
            address=address,
            gateway=options.ip,
            prefix=_PREFIX_LENGTH,
            memory=memory_volumes(context.obj, context.volumes.directory),
        )
        context.obj["status"] = {**context.obj.get("status", {}), **self._addresses()}
        return address

    async def _keep_volumes(self, refresh: float) -> None:
        while True:
            await asyncio.sleep(refresh)
            try:
                refresh = await self.context.volumes.sync()
            except (ConfigError, ApiError, *NETWORK_ERRORS) as error:
                log.warning("volumes of %s/%s: %s", self.context.namespace, self.context.name, error)
                refresh = _RETRY_SECONDS

    # --- the end ------------------------------------------------------------------------------------------------

    async def _terminate(self, before: asyncio.Task[None]) -> None:
        await asyncio.gather(before, return_exceptions=True)
        try:
            everything = [*self.containers, *self.init_containers]
            for container in everything:  # deleted while this node was away
                if container.identifier is None and container.name in self._records:
                    container.adopt(*self._records[container.name])
            running = [container for container in everything if container.running]
            if running:
                names = ", ".join(container.name for container in running)
                self.context.event("Normal", "Killing", f"Stopping container {names}")
            await asyncio.gather(*(self._stop(container) for container in running))
            self._finished = True
            if not self._deleted.is_set():
                if not self._was_terminal:  # that pod's last word has been said, by this node or by somebody else
                    await self._tell_end()
                await self._delete_object()
        except Exception:
            log.exception("end of pod %s/%s", self.context.namespace, self.context.name)
        await self._clean_up()

    async def _stop(self, container: ContainerWorker) -> None:
        try:
            await container.stop(lambda: self.context.deadline or 0.0)
        except RuntimeRefused as error:
            log.warning("stop %s of %s: %s", container.name, self.context.name, error)
        await container.wait_for_end()

    async def _tell_end(self) -> None:
        """`terminated` must be with the API server before the object goes, however long that takes."""
        self.context.publisher.touch()
        told = asyncio.create_task(self.context.publisher.flush(None))
        gone = asyncio.create_task(self._deleted.wait())
        await asyncio.wait({told, gone}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        gone.cancel()

    async def _delete_object(self) -> None:
        """The last deletion, which removes the object. The uid keeps a replacement of the same name from harm."""
        body: Json = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.context.uid}}
        while not self._deleted.is_set():
            try:
                await self._node.api.delete(self._path, body)
                return
            except ApiError as error:
                if error.status in _GONE:
                    return
                log.warning("delete %s: %s", self._path, error)
            except NETWORK_ERRORS as error:
                log.info("delete %s: %r", self._path, error)
            await asyncio.sleep(_DELETE_RETRY_SECONDS)

    async def _clean_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        with suppress(RuntimeRefused):
            await self._node.runtime.call("remove_pod", uid=self.context.uid)
        self._node.addresses.release(self.context.uid)
        shutil.rmtree(self.context.directory, ignore_errors=True)
        self._on_gone(self.context.uid)

    # --- status -------------------------------------------------------------------------------------------------

    def _status(self) -> Json:
        obj = self.context.obj
        known = obj.get("status", {})
        view = PodView(
            containers=[container.view() for container in self.containers],
            init_containers=[container.view() for container in self.init_containers],
            policy=self._policy,
            finished=self._finished,
            address=self.context.address,
            host_address=self._node.options.ip,
            generation=obj["metadata"].get("generation", 1),
            start_time=self._start_time,
            qos_class=known.get("qosClass", "BestEffort"),
            readiness_gates=[gate["conditionType"] for gate in obj["spec"].get("readinessGates", [])],
            others={c["type"]: c["status"] for c in known.get("conditions", [])},
        )
        now = status.timestamp(time.time())
        self._conditions = status.conditions(view, status.phase_of(view), self._conditions, now)
        return status.pod_status(view, self._conditions)
