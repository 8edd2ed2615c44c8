"""The node agent: gives every pod that is bound to this node a worker. Called by `__main__.py`."""

import asyncio
import logging
import shutil
import signal
from enum import Enum
from pathlib import Path

from whatsam_local.node import kubelet_api
from whatsam_local.node.address_book import AddressBook
from whatsam_local.node.api import Api
from whatsam_local.node.context import NodeContext
from whatsam_local.node.errors import RuntimeRefused
from whatsam_local.node.events import EventRecorder
from whatsam_local.node.exits import ExitRegistry
from whatsam_local.node.images import ImageTable
from whatsam_local.node.kinds import Json
from whatsam_local.node.options import NodeOptions
from whatsam_local.node.pod import Pod
from whatsam_local.node.probes import Prober
from whatsam_local.node.protocol import ContainerRecord
from whatsam_local.node.registration import Registration, facts_of
from whatsam_local.node.requirements import try_container
from whatsam_local.node.runtime_client import RuntimeClient, RuntimeOptions

log = logging.getLogger("node")


class Outcome(Enum):
    """Why the node stopped."""

    ASKED = "end the process"
    RUNTIME_LOST = "start over: the runtime is gone, and with it every container"


class Node:
    """All pods of this node."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self.pods: dict[str, Pod] = {}
        self._found: dict[str, dict[str, tuple[str, ContainerRecord]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._swept = False

    def found(self, identifier: str, record: ContainerRecord) -> None:
        """The runtime has kept this container; the newest attempt of each is adopted."""
        of_pod = self._found.setdefault(record["labels"]["uid"], {})
        name = record["labels"]["container"]
        if name not in of_pod or of_pod[name][1]["labels"]["attempt"] <= record["labels"]["attempt"]:
            of_pod[name] = (identifier, record)

    def on_list(self, items: list[Json]) -> None:
        """All pods of this node, after a (re)connection."""
        uids = {obj["metadata"]["uid"] for obj in items}
        for obj in items:
            self.on_event("MODIFIED", obj)
        for uid in [uid for uid in self.pods if uid not in uids]:
            self.pods[uid].gone()
        for uid in [uid for uid in self._found if uid not in uids and uid not in self.pods]:
            task = asyncio.create_task(self._remove_orphan(uid))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not self._swept:
            self._sweep(uids | self._found.keys())
            self._swept = True

    def on_event(self, kind: str, obj: Json) -> None:
        """One pod has changed."""
        uid: str = obj["metadata"]["uid"]
        if kind == "DELETED":
            if uid in self.pods:
                self.pods[uid].gone()
            return
        if uid not in self.pods:
            self.pods[uid] = Pod(self._context, obj, self._found.pop(uid, {}), self._forget)
        self.pods[uid].update(obj)

    def _forget(self, uid: str) -> None:
        self.pods.pop(uid, None)

    async def _remove_orphan(self, uid: str) -> None:
        """A pod that was deleted while this node was away."""
        log.info("pod %s is gone: ending what is left of it", uid)
        records = self._found.pop(uid, {}).values()
        running = [identifier for identifier, record in records if record["exit"] is None]
        ends = [self._context.exits.expect(identifier) for identifier in running]
        await self._context.runtime.call("remove_pod", uid=uid)
        await asyncio.gather(*ends)
        self._context.addresses.release(uid)
        shutil.rmtree(self._context.options.state / "pods" / uid, ignore_errors=True)

    def _sweep(self, known: set[str]) -> None:
        """Directories of pods that nobody knows any more: an earlier node was killed before it could remove them."""
        for directory in (self._context.options.state / "pods").glob("*/"):
            if directory.name not in known:
                shutil.rmtree(directory, ignore_errors=True)


async def run_node(options: NodeOptions, nsenter: str) -> Outcome:
    """Be the node until told to end, or until the runtime is lost."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    api, prober = Api(options.kubeconfig), Prober()
    exits = ExitRegistry(options.exit_delay)
    runtime, adopted = await RuntimeClient.connect(
        RuntimeOptions(options.state, options.name, options.bridge, options.linger, options.visible)
    )
    await runtime.attach(exits.report)
    if not adopted:
        await _try(runtime, options.state)
    kept = await runtime.call("list")
    addresses = {uid: sandbox["address"] for uid, sandbox in kept["sandboxes"].items()}
    book = AddressBook(options.pod_net, options.state / "next-address", addresses)
    context = NodeContext(
        options=options,
        api=api,
        runtime=runtime,
        images=ImageTable(options.images),
        exits=exits,
        events=EventRecorder(api, options.name),
        prober=prober,
        addresses=book,
        nsenter=nsenter,
    )
    node = Node(context)
    for identifier, record in kept["containers"].items():
        node.found(identifier, record)
    log.info("runtime %s, %d containers", "adopted" if adopted else "started", len(kept["containers"]))
    await kubelet_api.serve(node, options)
    registration = Registration(api, facts_of(options), options.labels, options.heartbeat)
    tasks = [
        asyncio.create_task(stop.wait()),
        asyncio.create_task(runtime.lost.wait()),
        asyncio.create_task(_work(options, api, node, registration)),
    ]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if tasks[2] in done:
        await tasks[2]  # it never ends by itself: this raises its error
    if runtime.lost.is_set() and not stop.is_set():
        return Outcome.RUNTIME_LOST
    if not options.keep:
        asyncio.ensure_future(runtime.call("shutdown"))  # noqa: RUF006 - never answered; the wait is below
        await runtime.lost.wait()
    return Outcome.ASKED


async def _try(runtime: RuntimeClient, state: Path) -> None:
    """A new runtime shows once that it can start containers here; a machine that cannot is told why at once."""
    try:
        await try_container(runtime, state)
    except RuntimeRefused:
        asyncio.ensure_future(runtime.call("shutdown"))  # noqa: RUF006 - never answered; the wait is below
        await runtime.lost.wait()
        raise


async def _work(options: NodeOptions, api: Api, node: Node, registration: Registration) -> None:
    await registration.register()
    async with asyncio.TaskGroup() as group:
        group.create_task(registration.keep())
        selector = {"fieldSelector": f"spec.nodeName={options.name}"}
        group.create_task(api.reflect("/api/v1/pods", selector, node.on_list, node.on_event))
