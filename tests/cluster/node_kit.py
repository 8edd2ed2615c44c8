"""What the process node's tests share: a namespace, pods in it, and looking at them."""

import secrets
import signal as signals
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whatsam_local.driver.errors import DriverError
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.kubectl import Kubectl
from whatsam_local.node import signal as node_signal

LIMIT = 60.0
"""Seconds for anything a node does; far more than it needs, for slow machines."""


@dataclass
class Room:
    """A namespace of its own on the running cluster."""

    kubectl: Kubectl
    node_state: Path
    """The process node's state directory."""
    namespace: str = field(default_factory=lambda: f"node-{secrets.token_hex(4)}")

    def open(self) -> None:
        """Make the namespace, and wait for the account its pods run as."""
        self.kubectl.run("create", "namespace", self.namespace)
        self.until(lambda: bool(self.get("serviceaccount", "default")), "the default service account")

    def close(self) -> None:
        """Remove everything, also what a test wants to keep by a finalizer."""
        with suppress(DriverError):
            for pod in self.kubectl.json("get", "pods", "-n", self.namespace)["items"]:
                if pod["metadata"].get("finalizers"):
                    self.unfinalize(pod["metadata"]["name"])
        self.kubectl.run("delete", "namespace", self.namespace, "--wait=false")

    def run(self, *words: str, stdin: str | None = None) -> str:
        """kubectl in this namespace."""
        return self.kubectl.run("-n", self.namespace, *words, stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object."""
        return self.kubectl.json("get", kind, name, "-n", self.namespace)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects in this namespace."""
        for obj in objects:
            obj.setdefault("metadata", {})["namespace"] = self.namespace
        self.kubectl.apply(*objects)

    def pod(self, name: str, script: str | list[str], *, container: Any = None, **spec: Any) -> None:
        """A pod with one container `c` that runs a shell script."""
        command = ["sh", "-c", script] if isinstance(script, str) else script
        metadata: dict[str, Any] = {"name": name, **spec.pop("metadata", {})}
        one = {"name": "c", "image": "none", "command": command, **(container or {})}
        body = {"terminationGracePeriodSeconds": 2, "containers": [one], **spec}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body})

    def container(self, name: str) -> dict[str, Any]:
        """The status of a pod's first container; empty before there is one."""
        return (self.get("pod", name).get("status", {}).get("containerStatuses") or [{}])[0]

    def condition(self, name: str, kind: str) -> str | None:
        """A condition's status."""
        conditions = self.get("pod", name).get("status", {}).get("conditions") or []
        return next((c["status"] for c in conditions if c["type"] == kind), None)

    def until(self, condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
        """Wait for a condition."""
        eventually(condition, limit, what)

    def until_running(self, name: str) -> dict[str, Any]:
        """The container's status once it runs."""
        self.until(lambda: "running" in self.container(name).get("state", {}), f"{name} runs")
        return self.container(name)

    def until_phase(self, name: str, phase: str) -> None:
        """Wait for a phase."""
        self.until(lambda: self.get("pod", name).get("status", {}).get("phase") == phase, f"{name} is {phase}")

    def until_gone(self, name: str) -> None:
        """Wait until there is no such pod."""
        self.until(lambda: not self.run("get", "pod", name, "--ignore-not-found"), f"{name} is gone")

    def until_log(self, name: str, text: str) -> None:
        """Wait for a text in a pod's log."""
        self.until(lambda: text in self.run("logs", name), f"{name} says {text}")

    def unfinalize(self, name: str) -> None:
        """Take a pod's finalizers away."""
        self.run("patch", "pod", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')

    def signal(self, name: str, which: str, *, everything: bool = False) -> None:
        """Signal a pod's container through the runtime."""
        number = int(signals.Signals[f"SIG{which}"])
        target: dict[str, Any] = {"namespace": self.namespace, "pod": name, "container": None}
        node_signal.ask(self.node_state, "signal", **target, number=number, everything=everything)

    def link(self, name: str, *, up: bool) -> None:
        """Cut a pod's network link, or put it back."""
        node_signal.ask(self.node_state, "link", namespace=self.namespace, pod=name, up=up)
