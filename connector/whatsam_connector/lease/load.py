"""How much of its CPU and memory does this worker use? Asked at each renewal of the Lease, which carries the answer.

In a container the kernel counts for us (cgroup v2): a few small files. Elsewhere the processes below this one are
counted, against the whole machine.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from whatsam_core.lease import UNKNOWN_LOAD, Load

PERIOD = 10.0
"""Seconds between two measurements: shorter ones would show bursts, not load."""
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Reading:
    """What has been used up to a moment, and what may be used."""

    cpu_seconds: float
    cores: float
    memory: int
    """Bytes, without file caches that the kernel gives back by itself."""
    memory_limit: int


class LoadMeter:
    """One per process. Call it as often as you like; it looks every `PERIOD` seconds."""

    def __init__(self, monotonic: Callable[[], float], read: Callable[[], Reading | None] | None = None) -> None:
        self._monotonic = monotonic
        self._read = read or read_now
        self._before: tuple[float, float] | None = None
        self._load = UNKNOWN_LOAD
        self._next = monotonic()

    def __call__(self) -> Load:
        """The share of CPU since the measurement before and of memory now."""
        now = self._monotonic()
        if now < self._next:
            return self._load
        self._next = now + PERIOD
        found = self._read()
        if found is None:
            self._before, self._load = None, UNKNOWN_LOAD
            return self._load
        cpu: int | None = None
        if self._before is not None and now > self._before[0]:
            # Less than before: a process has ended and took its share with it.
            used = max(found.cpu_seconds - self._before[1], 0.0) / (now - self._before[0])
            cpu = round(100 * used / found.cores)
        self._before = (now, found.cpu_seconds)
        self._load = Load(cpu=cpu, memory=round(100 * found.memory / found.memory_limit))
        return self._load


def read_now() -> Reading | None:
    """The container's own counters, or those of the processes; None when neither can be read."""
    return read_cgroup(_CGROUP) or _read_processes()


def read_cgroup(folder: Path) -> Reading | None:
    """What the kernel counts for the container; None outside of one (the root group has no such files)."""
    try:
        usage = _table((folder / "cpu.stat").read_text())["usage_usec"]
        memory = int((folder / "memory.current").read_text())
        inactive = _table((folder / "memory.stat").read_text())["inactive_file"]
        quota, _, period = (folder / "cpu.max").read_text().partition(" ")
        limit = (folder / "memory.max").read_text().strip()
        cores = _cores() if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, KeyError):
        return None
    limited = _machine_memory() if limit == "max" else int(limit)
    if cores <= 0 or limited <= 0:
        return None
    return Reading(usage / 1e6, cores, max(memory - inactive, 0), limited)


def _read_processes() -> Reading | None:
    cpu, memory = 0.0, 0
    try:
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            try:
                times = process.cpu_times()
                cpu += times.user + times.system
                memory += process.memory_info().rss
            except psutil.Error:
                continue
    except (psutil.Error, OSError):
        return None
    return Reading(cpu, _cores(), memory, _machine_memory())


def _table(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def _cores() -> float:
    return float(os.cpu_count() or 1)


def _machine_memory() -> int:
    return psutil.virtual_memory().total
