"""A container runtime in namespaces of its own, and short ways to use it. For the tests in this folder."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whatsam_local.node.protocol import VolumeMount
from whatsam_local.node.signal import ask

LIMIT = 20.0
"""Seconds any single thing may take before a test gives up."""

SETUP = """
ip link set lo up && ip link add cni0 type bridge && ip addr add 10.88.0.1/16 dev cni0 && ip link set cni0 up &&
exec {python} -m whatsam_local.node.runtime_server --state {state} --name node-test-{pid} --bridge cni0 --linger 60 \
  --visible {prefix} --visible {base} --visible {checkout} --visible {around}
"""

MODES = {"root": ["-mpf"], "user": ["-Urmpf"]}


def works(flags: list[str]) -> bool:
    if not all(shutil.which(tool) for tool in ("unshare", "ip", "nsenter")):
        return False
    command = ["unshare", *flags, "--mount-proc", "-n", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def eventually(condition: Callable[[], Any], limit: float = LIMIT) -> Any:
    """The condition's value as soon as it is true."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
    return value


@dataclass
class Box:
    """One runtime, and short ways to use it."""

    state: Path
    process: subprocess.Popen[bytes]
    count: int = 0
    logs: dict[str, Path] = field(default_factory=dict[str, Path])

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return ask(self.state, operation, **arguments)

    def sandbox(self, uid: str = "uid-1", pod: str = "pod", memory: dict[str, int | None] | None = None) -> None:
        self.count += 1
        address = f"10.88.1.{self.count}"
        self.ask(
            "sandbox",
            uid=uid,
            namespace="ns",
            pod=pod,
            address=address,
            gateway="10.88.0.1",
            prefix=16,
            memory=memory or {},
        )

    def volume(self, name: str) -> Path:
        path = self.state / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def start(self, script: str | list[str], *mounts: VolumeMount, **spec: Any) -> str:
        """Start a shell script in a container of the pod; returns the container's id."""
        self.count += 1
        identifier = f"container-{self.count}"
        log = self.state / f"{identifier}.log"
        self.logs[identifier] = log
        full = {
            "argv": ["sh", "-c", script] if isinstance(script, str) else script,
            "env": {"PATH": os.environ["PATH"], "HOME": "/root"},
            "cwd": "",
            "log": str(log),
            "sandbox": None,
            "hostname": "pod",
            "mounts": list(mounts),
            "read_only_root": False,
            "limits": {},
            **spec,
        }
        labels = {
            "uid": spec.get("sandbox") or "uid-1",
            "namespace": "ns",
            "pod": "pod",
            "container": spec.pop("name", "c"),
            "attempt": 0,
        }
        full.pop("name", None)
        self.ask("start", identifier=identifier, spec=full, labels=labels)
        return identifier

    def record(self, identifier: str) -> dict[str, Any]:
        return self.ask("list")["containers"][identifier]

    def end(self, identifier: str) -> dict[str, Any]:
        """How the container ended."""
        return eventually(lambda: self.record(identifier)["exit"])

    def output(self, script: str | list[str], *mounts: VolumeMount, **spec: Any) -> str:
        """What a script prints; it must succeed."""
        identifier = self.start(script, *mounts, **spec)
        end = self.end(identifier)
        text = self.logs[identifier].read_text()
        assert end["code"] == 0, text
        return text

    def wait_for(self, identifier: str, text: str) -> None:
        eventually(lambda: text in self.logs[identifier].read_text())

    def runtime_pid(self) -> int:
        """The runtime's pid as seen from here."""
        child = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child[0])

    def descendants(self) -> list[int]:
        """Pids, as seen from here, of everything the runtime has started."""
        found: list[int] = []
        waiting = [self.runtime_pid()]
        while waiting:
            pid = waiting.pop()
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
            found += map(int, children)
            waiting += map(int, children)
        return found


def mount(source: Path, destination: str, **changes: Any) -> VolumeMount:
    """A volume for a container."""
    made: dict[str, Any] = {
        "source": str(source),
        "sub_path": "",
        "destination": destination,
        "read_only": False,
        "directory": True,
        **changes,
    }
    return VolumeMount(**made)
