"""The runtime's operations: containers and sandboxes of one node. Single-threaded; `runtime_server.py` is its door.

`unshare(NEW_PID)` makes this process's next child the first of a new pid namespace. It must be undone with `setns`
before the next one, and no thread may be made in between: hence one thread.
"""

import logging
import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from whatsam_local.node import cgroups, linux, processes
from whatsam_local.node.container import START_FAILED, Surroundings, become_container
from whatsam_local.node.errors import NoSuchPod, RuntimeRefused
from whatsam_local.node.kinds import Json
from whatsam_local.node.protocol import ContainerRecord, ContainerSpec, ExitRecord, Labels, SandboxRecord
from whatsam_local.node.sandbox import Sandbox, create_network, link_name, set_link

log = logging.getLogger("runtime")


@dataclass
class Container:
    """A container that runs or has ended; it stays until the node says it may be forgotten."""

    record: ContainerRecord
    groups: Sequence[Path]
    forget_at_exit: bool = False


@dataclass
class Runtime:
    """All containers of one node."""

    state: Path
    name: str
    bridge: str
    visible: Sequence[str]
    containers: dict[str, Container] = field(default_factory=dict[str, Container])
    sandboxes: dict[str, Sandbox] = field(default_factory=dict[str, Sandbox])

    def __post_init__(self) -> None:
        # volumes in memory are mounted here; in a mount namespace of this process they vanish with it
        linux.unshare(linux.NEW_MOUNT)
        linux.make_slave()
        self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self._by_pid: dict[int, str] = {}
        self._staging = self.state / "root"
        self._staging.mkdir(parents=True, exist_ok=True)
        self._groups = cgroups.ControlGroups(self.name)
        self._groups.sweep()

    # --- sandboxes ----------------------------------------------------------------------------------------------

    def sandbox(  # noqa: PLR0917 - called by name, with the arguments of the protocol
        self, uid: str, namespace: str, pod: str, address: str, gateway: str, prefix: int, memory: dict[str, int | None]
    ) -> Json:
        """A pod's network and its volumes in memory {directory: size}; does nothing where it exists already."""
        if uid in self.sandboxes:
            return {}
        record = SandboxRecord(namespace=namespace, pod=pod, address=address, link=link_name(uid))
        sandbox = Sandbox(create_network(record, gateway, prefix, self.bridge), record, [])
        self.sandboxes[uid] = sandbox
        try:
            for directory, size in memory.items():
                Path(directory).mkdir(parents=True, exist_ok=True)
                linux.mount_tmpfs(directory, 0o777, size)
                sandbox.memory_volumes.append(directory)
        except OSError:
            self.remove_pod(uid)
            raise
        return {}

    def remove_pod(self, uid: str) -> Json:
        """Everything of a pod: processes that still run, records, network, volumes in memory."""
        for identifier, container in list(self.containers.items()):
            if container.record["labels"]["uid"] == uid:
                self.kill(identifier, signal.SIGKILL)
                self.forget(identifier)
        if sandbox := self.sandboxes.pop(uid, None):
            os.close(sandbox.descriptor)
            for directory in sandbox.memory_volumes:
                linux.detach(directory)
        return {}

    def link(self, namespace: str, pod: str, up: bool) -> Json:
        """Cut a pod's link, or put it back."""
        records = [
            s.record for s in self.sandboxes.values() if (s.record["namespace"], s.record["pod"]) == (namespace, pod)
        ]
        if not records:
            raise NoSuchPod(f"no pod {namespace}/{pod} on node {self.name}")
        set_link(records[-1], up=up)  # the youngest: its predecessor of the same name may still be ending
        return {"link": records[-1]["link"]}

    # --- containers ---------------------------------------------------------------------------------------------

    def start(self, identifier: str, spec: ContainerSpec, labels: Labels) -> Json:
        """Start a container; returns once its command runs. Raises `RuntimeRefused` with what went wrong."""
        sandbox = self.sandboxes[spec["sandbox"]] if spec["sandbox"] else None
        groups = self._groups.create(identifier, spec["limits"])
        log_file = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        hidden = [str(self.state)]
        around = Surroundings(
            sandbox.descriptor if sandbox else None, log_file, groups, str(self._staging), self.visible, hidden
        )
        try:
            pid = self._fork(spec, around)
        except BaseException:
            for group in groups:
                cgroups.remove(group)
            raise
        finally:
            os.close(log_file)
        self._by_pid[pid] = identifier
        record = ContainerRecord(pid=pid, labels=labels, env=spec["env"], started=time.time(), exit=None)
        self.containers[identifier] = Container(record, groups)
        return {"pid": pid, "started": record["started"]}

    def _fork(self, spec: ContainerSpec, around: Surroundings) -> int:
        reading, writing = os.pipe()
        linux.unshare(linux.NEW_PID)
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    os.close(reading)
                    become_container(spec, around, writing)
                except BaseException as error:  # noqa: BLE001 - a forked child must never return into the runtime's loop
                    os.write(writing, (str(error) or repr(error)).encode()[:2000])
                finally:
                    os._exit(START_FAILED)
        finally:
            linux.enter_namespace(self._own_pid_namespace, linux.NEW_PID)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            error = pipe.read()  # ends without a byte when the pipe closes on exec
        if error:
            os.waitpid(pid, 0)
            raise RuntimeRefused(error.decode(errors="replace"))
        return pid

    def kill(self, identifier: str, number: int) -> Json:
        """Signal a container's first process."""
        container = self.containers.get(identifier)
        if container and container.record["exit"] is None:
            os.kill(container.record["pid"], number)
        return {}

    def signal(self, namespace: str, pod: str, container: str | None, number: int, everything: bool) -> Json:
        """Signal the first process, or all processes, of a pod's running container. For breaking things on purpose."""
        found = [
            c.record
            for c in self.containers.values()
            if (c.record["labels"]["namespace"], c.record["labels"]["pod"]) == (namespace, pod)
        ]
        if not found:
            raise NoSuchPod(f"no pod {namespace}/{pod} on node {self.name}")
        youngest = found[-1]["labels"]["uid"]
        alive = [r for r in found if r["exit"] is None and r["labels"]["uid"] == youngest]
        chosen = [r for r in alive if container in (None, r["labels"]["container"])]
        if not chosen:
            running = ", ".join(sorted(r["labels"]["container"] for r in alive)) or "nothing"
            what = f"container {container} does not run" if container else "no container runs"
            raise NoSuchPod(f"pod {namespace}/{pod}: {what} (running: {running})")
        if len(chosen) > 1:
            names = ", ".join(sorted(r["labels"]["container"] for r in chosen))
            raise NoSuchPod(f"pod {namespace}/{pod} runs several containers, name one: {names}")
        pid = chosen[0]["pid"]
        if everything and number != signal.SIGKILL:  # the end of the first process is the end of all
            return {"pids": processes.signal_namespace(pid, number)}
        os.kill(pid, number)
        return {"pids": [pid]}

    def list(self) -> Json:
        """All that is known, for a node that has just started."""
        return {
            "containers": {i: c.record for i, c in self.containers.items() if not c.forget_at_exit},
            "sandboxes": {uid: s.record for uid, s in self.sandboxes.items()},
        }

    def forget(self, identifier: str) -> Json:
        """Drop an ended container's record and groups; of a running one as soon as it has ended."""
        container = self.containers.get(identifier)
        if container and container.record["exit"] is None:
            container.forget_at_exit = True
        elif container:
            del self.containers[identifier]
            for group in container.groups:
                cgroups.remove(group)
        return {}

    def reap(self) -> Iterable[tuple[str, ExitRecord]]:
        """Collect the children that have ended; returns the containers among them."""
        ended: list[tuple[str, ExitRecord]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            identifier = self._by_pid.pop(pid, None)
            if identifier is None:
                continue
            container = self.containers[identifier]
            code = os.waitstatus_to_exitcode(status)
            end = ExitRecord(
                code=128 - code if code < 0 else code,
                signal=max(0, -code),
                at=time.time(),
                oom_killed=any(cgroups.oom_killed(group) for group in container.groups),
            )
            container.record["exit"] = end
            if container.forget_at_exit:
                self.forget(identifier)
            ended.append((identifier, end))

    def kill_all(self, limit: float) -> None:
        """End every container and remove what belongs to it, within `limit` seconds."""
        for pid in list(self._by_pid):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + limit
        while self._by_pid and time.monotonic() < deadline:
            self.reap()
            time.sleep(0.01)
        for identifier in list(self.containers):
            self.forget(identifier)
        self._groups.sweep()
