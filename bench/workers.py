"""The processes of one worker, seen from outside: who they are, what they cost, how one of them is killed."""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import DriverError

_ENGINES = ("whatsam_connector.engine", "whatsam-engine")
"""What the command line of an engine process contains: neonize's, and that of the program in Go."""
_MIB = 2**20


class Worker:
    """A connector pod's process with everything below it: supervisor, shipper, engines."""

    def __init__(self, cluster: RunningCluster, pod: str) -> None:
        self._cluster = cluster
        self.pod = pod

    def main(self) -> psutil.Process:
        """The connector itself, as it runs now. Raises `DriverError`."""
        for process in psutil.Process(self._cluster.supervisor_pid).children(recursive=True):
            try:
                words = process.cmdline()
                if any(word.endswith("/whatsam-connector") for word in words) and "python" in words[0]:
                    environment = process.environ()
                    if environment.get("WHATSAM_POD_NAME") == self.pod:
                        return process
            except (psutil.NoSuchProcess, psutil.AccessDenied, IndexError):
                continue
        raise DriverError(f"the connector of {self.pod} does not run")

    def everything(self) -> list[psutil.Process]:
        """The connector and all its descendants."""
        main = self.main()
        return [main, *main.children(recursive=True)]

    def engines(self) -> list[psutil.Process]:
        """Engine processes, a warm spare included."""
        return [process for process in self.everything() if is_engine(process)]

    def serving(self) -> list[psutil.Process]:
        """Engine processes that have sessions: their files are open."""
        return [engine for engine in self.engines() if _has_a_session(engine)]

    def pss(self) -> float:
        """Memory of everything in MiB: pages that are shared count in parts."""
        return sum(_pss(process) for process in self.everything()) / _MIB

    def processor_seconds(self) -> float:
        """CPU time of everything that lives now."""
        total = 0.0
        for process in self.everything():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def kill_engines(self, engines: list[psutil.Process] | None = None) -> float:
        """`kill -9` of every engine process (or of these, found before); when it was done, CLOCK_MONOTONIC."""
        found = self.engines() if engines is None else engines
        at = time.monotonic()
        for engine in found:
            engine.kill()
        return at

    def journal(self, uid: str) -> "OpenFolder":
        """The journal's folder of a session; it stays readable when the connector is dead."""
        main = self.main()
        state = main.environ().get("WHATSAM_STATE_DIR", "/var/lib/whatsam")
        return OpenFolder(Path(f"/proc/{main.pid}/root{state}/sessions/{uid}/journal"))


class OpenFolder:
    """A folder that was opened once: the process through which it was found may be gone."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)

    def copy_to(self, folder: Path) -> None:
        """Copy its segments as they are now."""
        folder.mkdir(parents=True, exist_ok=True)
        for entry in Path(f"/proc/self/fd/{self._descriptor}").iterdir():
            if entry.name.endswith(".segment"):
                (folder / entry.name).write_bytes(entry.read_bytes())

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)


def is_engine(process: psutil.Process) -> bool:
    """Whether it runs sessions, or waits to."""
    try:
        return any(name in word for word in process.cmdline()[:3] for name in _ENGINES)
    except psutil.NoSuchProcess:
        return False


def _has_a_session(engine: psutil.Process) -> bool:
    # Not `open_files`: it leaves out what has no such name here, and the pod has a file system of its own.
    files = Path(f"/proc/{engine.pid}/fd")
    with suppress(OSError):  # the process is gone
        for entry in files.iterdir():
            with suppress(OSError):  # closed in this moment
                if entry.readlink().name == "session.db":
                    return True
    return False


def _pss(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0
