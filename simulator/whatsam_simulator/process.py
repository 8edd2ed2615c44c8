"""Starts a simulator as a process of its own and ends it. Used by the pytest plugin and by anybody's test rig."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.control.models import Started
from whatsam_simulator.environment import hook_environment
from whatsam_simulator.errors import SimulatorError

START_SECONDS = 60
STOP_SECONDS = 10


class SimulatorProcess:
    """A running simulator; `client` talks to it. What it logs goes to `simulator.log` in its state directory."""

    def __init__(self, state: Path, *, host: str = "127.0.0.1", ports: tuple[int, int, int] = (0, 0, 0)) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._log = state / "simulator.log"
        names = ("--tls-port", "--proxy-port", "--control-port")
        arguments = [word for name, port in zip(names, ports, strict=True) for word in (name, str(port))]
        command = [sys.executable, "-m", "whatsam_simulator", "serve", "--json", "--host", host, "--state", str(state)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=log)
        try:
            started = Started.model_validate_json(self._first_line())
            self.client = SimulatorClient(started.control_url)
            self.info = self.client.info()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _first_line(self) -> bytes:
        out = self._process.stdout
        deadline, line = time.monotonic() + START_SECONDS, b""
        while out is not None and not line.endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0, deadline - time.monotonic()))
            read = os.read(out.fileno(), 65536) if ready else b""
            if not read:
                raise SimulatorError(f"the simulator did not start: {self._log.read_text()[-2000:]}")
            line += read
        return line

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ports(self) -> tuple[int, int, int]:
        """TLS, proxy, control: for a restart on the same ports."""
        return self.info.tls_port, self.info.proxy_port, self.info.control_port

    def environment(self) -> dict[str, str]:
        """A complete environment for a process that runs neonize."""
        base = dict(os.environ)
        return {**base, **hook_environment(self.info, python_path=base.get("PYTHONPATH", ""))}

    def stop(self) -> int:
        """Ends it orderly; returns its exit code."""
        self.client.close()
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """Ends it as a crash would."""
        self.client.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
