"""kubectl as a person would call it, against one kubeconfig."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from whatsam_core import names
from whatsam_local.driver.errors import KubectlError

TIMEOUT = 60
"""Seconds for one call."""


def kubectl_program() -> str:
    """The kubectl that was installed with this project, else the one on the PATH."""
    own = Path(sys.executable).parent / "kubectl"
    return str(own) if own.exists() else "kubectl"


class Kubectl:
    """Runs kubectl; every failure raises `KubectlError` with what it said."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def command(self, *arguments: str) -> list[str]:
        """The command line, for those who run it themselves."""
        return [kubectl_program(), "--kubeconfig", str(self.kubeconfig), *arguments]

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = TIMEOUT) -> str:
        """Run it and return what it printed."""
        done = subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip() or f"kubectl ended with {done.returncode}")
        return done.stdout

    def json(self, *arguments: str) -> dict[str, Any]:
        """Run `get` or the like with `-o json`."""
        return json.loads(self.run(*arguments, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> str:
        """Apply objects from standard input."""
        return self.run("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def token(self, account: str, pod: str, pod_uid: str) -> str:
        """A token of a service account that is bound to a pod, as the pod itself has one."""
        bound = ("--bound-object-kind", "Pod", "--bound-object-name", pod, "--bound-object-uid", pod_uid)
        return self.run("create", "token", account, *bound).strip()


def session_manifest(name: str, tenant: str, **spec: Any) -> dict[str, Any]:
    """A `WhatsAppSession` as somebody would write it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.SESSION_KIND,
        "metadata": {"name": name},
        "spec": {"tenant": tenant, **spec},
    }


def pool_manifest(name: str, replicas: int, **spec: Any) -> dict[str, Any]:
    """A `WorkerPool` as somebody would write it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.POOL_KIND,
        "metadata": {"name": name},
        "spec": {"replicas": replicas, **spec},
    }
