"""Which processes of this checkout run: records on disk that can never point at a foreign process.

A record holds the pid, the process's start time in kernel ticks and the boot id of the machine. A number that was
given to another process since has another start time; so a stale record is recognised, whatever the number means now.
Processes are signalled through a pidfd, so that nothing can slip in between check and signal.
"""

import fcntl
import json
import os
import select
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.layout import Layout, write_atomically

_START_TIME_FIELD = 22  # of /proc/<pid>/stat, counted from 1: proc(5)


@dataclass(frozen=True)
class ProcessRecord:
    """One process, told apart from every other that ever had its number."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "ProcessRecord":
        """The process that has this number now. Raises OSError when there is none."""
        return cls(pid, _start_ticks(pid), _boot_id())

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(self.__dict__) + "\n")

    def runs(self) -> bool:
        """Whether this very process still exists (a zombie does not count)."""
        return self.open() is not None

    def open(self) -> "Handle | None":
        """A handle on this very process, or None when it is gone."""
        if self.boot_id != _boot_id():
            return None
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return None
        handle = Handle(self.pid, descriptor)
        try:
            # Read after the pidfd exists: if the number was given away before, the start time shows it.
            if _start_ticks(self.pid) == self.start_ticks and not handle.ended(0):
                return handle
        except OSError:
            pass
        handle.close()
        return None


class Handle:
    """A pidfd: signals reach the process it was opened for, or nobody."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    def signal(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            return

    def ended(self, timeout: float) -> bool:
        """Whether it ends within `timeout` seconds. For pid 1 of a pid namespace: after all its processes have."""
        readable, _, _ = select.select([self._descriptor], [], [], timeout)
        return bool(readable)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()


def read_record(path: Path) -> ProcessRecord | None:
    """The record in that file; None when there is none or it is unreadable."""
    try:
        fields = json.loads(path.read_text())
        return ProcessRecord(int(fields["pid"]), int(fields["start_ticks"]), str(fields["boot_id"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _start_ticks(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text()
    # The second field is the program's name in parentheses and may contain anything, blanks and parentheses included.
    return int(text.rpartition(")")[2].split()[_START_TIME_FIELD - 3])


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@contextmanager
def launch_lock(layout: Layout) -> Generator[int]:
    """Held while a supervisor is being launched: by `up`, and on by the launcher if `up` is killed."""
    descriptor = _locked(layout.launch_lock)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    """An exclusive lock on the file that has this name; `down` removes it under the lock."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # of a file that was removed while we waited: nobody else would meet us there
