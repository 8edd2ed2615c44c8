"""Runs the baseline gateway against a simulator of its own, beside the measurement of ours."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from whatsam_local.driver.errors import DriverError
from whatsam_simulator.process import SimulatorProcess

_ROOT = Path(__file__).resolve().parents[1]
_READY = 120.0
"""Seconds within which all sessions must be connected."""


class BareGateway:
    """The baseline with its sessions: paired at the first start, restored at each further one."""

    def __init__(self, simulator: SimulatorProcess, folder: Path, sessions: int, first_phone: int) -> None:
        self.simulator = simulator.client
        self.phones = [str(first_phone + number) for number in range(sessions)]
        self.contacts = [str(first_phone + 5_000 + number) for number in range(sessions)]
        self.port = 0
        self._environment = simulator.environment()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._connected: set[int] = set()
        self._changed = threading.Condition()
        self._problem: str | None = None
        for contact in self.contacts:
            self.simulator.contact(contact)

    def start(self) -> float:
        """Start the process; the seconds until every session is connected."""
        self.port, self._connected = 0, set()
        began = time.monotonic()
        read, write = os.pipe()
        command = [sys.executable, "-m", "bench.bare_neonize", str(self._folder), str(len(self.phones)), str(write)]
        self._process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env=self._environment,
            pass_fds=(write,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        threading.Thread(target=self._listen, args=(read,), daemon=True).start()
        with self._changed:
            there = self._changed.wait_for(
                lambda: self._problem or (self.port and len(self._connected) == len(self.phones)), _READY
            )
        if not there or self._problem:
            raise DriverError(f"the baseline did not come up: {self._problem or f'{len(self._connected)} connected'}")
        return time.monotonic() - began

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def received(self, number: int) -> list[str]:
        """Texts that session `number` has handed on."""
        try:
            return (self._folder / f"{number}.in").read_text().splitlines()
        except FileNotFoundError:
            return []

    def memory(self) -> float:
        """PSS of the process in MiB."""
        assert self._process is not None
        return psutil.Process(self._process.pid).memory_full_info().pss / 2**20

    def processor_seconds(self) -> float:
        """CPU time of the process so far."""
        assert self._process is not None
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    def _listen(self, descriptor: int) -> None:
        with os.fdopen(descriptor) as events:
            for line in events:
                try:
                    self._heard(json.loads(line))
                except Exception as error:  # noqa: BLE001 - told to whoever waits
                    self._problem = repr(error)
                with self._changed:
                    self._changed.notify_all()

    def _heard(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "qr":
                self.simulator.scan(self.phones[event["session"]], event["code"])
            case "connected":
                self._connected.add(event["session"])
            case _:
                self.port = event["port"]


@contextmanager
def bare_gateway(sessions: int) -> Generator[BareGateway]:
    """A baseline whose sessions are paired and connected; everything of it is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="whatsam-bench-"))
    simulator = SimulatorProcess(folder / "simulator")
    try:
        gateway = BareGateway(simulator, folder, sessions, 491_580_000_000)
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.kill()
    finally:
        simulator.stop()
        shutil.rmtree(folder, ignore_errors=True)
