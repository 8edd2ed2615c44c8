"""kubectl as `up` needs it: its calls end when `up` is killed. A running cluster is driven by `driver/kubectl.py`."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whatsam_local import commands
from whatsam_local.driver.kubectl import kubectl_program
from whatsam_local.errors import LocalError
from whatsam_local.layout import Layout


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl as the cluster's administrator, through the door on 127.0.0.1."""

    kubeconfig: Path

    @classmethod
    def of(cls, layout: Layout) -> "Kubectl":
        return cls(layout.kubeconfig)

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 180.0) -> str:
        """Its standard output. Raises LocalError with what it complained about."""
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return commands.run([kubectl_program(), *arguments], env=env, stdin=stdin, timeout=timeout)

    def apply(self, objects: Sequence[object]) -> None:
        """Server-side apply of objects, all of which the API server knows the kinds of."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(listed))

    def explain_deployment(self, name: str) -> str:
        """Why a Deployment is not available: its pods and their last events, for an error message."""
        told: list[str] = []
        for arguments in (
            ("get", "pods", "-o", "wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
            ("logs", f"deployment/{name}", "--tail=15", "--all-containers"),
        ):
            try:
                told += self.run(*arguments, timeout=20).splitlines()[-15:]
            except LocalError as error:
                told.append(str(error))
        return "\n".join(f"    {line}" for line in told)
