"""The running cluster of this checkout, with everything that drives it from outside."""

import subprocess
import sys
from typing import Any

from whatsam_local import envfile
from whatsam_local.control import Control
from whatsam_local.driver.errors import DriverError
from whatsam_local.driver.kubectl import Kubectl
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.layout import Layout
from whatsam_local.running import read_record
from whatsam_simulator.client import SimulatorClient


class RunningCluster:
    """Doors and tools of the cluster that `make up` started. Raises `DriverError` when there is none."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.control = Control(layout)
        try:
            self.environment = envfile.read(layout.env_file.read_text())
        except FileNotFoundError:
            raise DriverError("no cluster of this checkout runs: `make up` starts one") from None
        self.kubectl = Kubectl(layout.kubeconfig)

    def simulator(self) -> SimulatorClient:
        """The simulated phones and contacts."""
        url = self.environment.get("WHATSAM_SIMULATOR_URL")
        if url is None:
            raise DriverError("this cluster was started for the genuine WhatsApp; start it without WHATSAPP=real")
        return SimulatorClient(url)

    def user(self, name: str) -> WhatsamClient:
        """A new tenant."""
        return WhatsamClient.register(self.environment["WHATSAM_API_URL"], name)

    @property
    def supervisor_pid(self) -> int:
        """The process from which everything in the cluster descends."""
        record = read_record(self.layout.supervisor_record)
        if record is None or not record.runs():
            raise DriverError("the cluster's supervisor does not run")
        return record.pid

    def part(self, verb: str, name: str) -> dict[str, Any]:
        """start, stop, kill, freeze or thaw a part of the cluster."""
        return self.control.part(verb, name)

    def signal(self, pod: str, signal: str, *, everything: bool = False) -> None:
        """Send KILL, STOP or CONT to a pod's main process, or to every process of its container."""
        command = [sys.executable, "-m", "whatsam_local.cli", "signal", "--pod", pod, "--signal", signal]
        command += ["--namespace", "whatsam", *(["--all"] if everything else [])]
        done = subprocess.run(
            command, cwd=self.layout.checkout, capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode != 0:
            raise DriverError(f"signal {signal} to {pod}: {done.stderr or done.stdout}")
