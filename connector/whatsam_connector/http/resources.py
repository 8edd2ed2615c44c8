"""What the worker uses: CPU and memory of the supervisor and all processes below it. Asked for by health."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """Of the whole worker."""

    cpu_percent: float | None
    """Of one core, since the question before; None for the first one."""
    memory_mib: float
    """Resident, with what the processes share counted for each of them."""
    memory_limit_mib: float
    """What the pod may use; the machine's memory where no limit is set."""
    processes: int
    file_descriptors: int
    threads: int


class Resources:
    """Keeps what the last question found, to tell the CPU used since."""

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None

    def usage(self) -> Usage:
        """Look at /proc now. Blocks for some milliseconds."""
        cpu, memory, descriptors, threads, processes = 0.0, 0, 0, 0, 0
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    cpu += times.user + times.system
                    memory += process.memory_info().rss
                    threads += process.num_threads()
                descriptors += process.num_fds()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            processes += 1
        now = time.monotonic()
        percent = None
        if self._before is not None and now > self._before[0]:
            # Less than before: a process has ended and took its share with it.
            percent = round(max(100 * (cpu - self._before[1]) / (now - self._before[0]), 0.0), 1)
        self._before = (now, cpu)
        return Usage(percent, round(memory / _MIB, 1), round(_limit() / _MIB, 1), processes, descriptors, threads)


def _limit() -> int:
    try:
        return int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):
        return psutil.virtual_memory().total
