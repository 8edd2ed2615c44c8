"""Whether an engine process holds more than its sessions explain. Reads /proc; the judgement is pure. Used by the pool.

neonize never closes a store, leaves two threads behind for each session that has left, and Go gives memory back late.
A process that has grown beyond these limits is replaced in a planned way, before the kernel ends it in another.
"""

import enum
import os
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """What a process holds."""

    descriptors: int
    threads: int
    memory_mib: float
    """Resident."""


@dataclass(frozen=True, kw_only=True)
class UsageLimits:
    """What a process may hold: so much for itself, and so much for each session that it was started with."""

    descriptors: int = 64
    descriptors_per_session: int = 8
    """Measured: 10 and 2.5."""
    threads: int = 64
    threads_per_session: int = 8
    """Measured: 8 and 2, and one more for each lane of commands that was used."""
    memory_mib: float = 192.0
    memory_mib_per_session: float = 16.0
    """Measured: 62 and 0.5 to 1; a large history that is being taken in needs more for a while."""


class Leak(enum.Enum):
    """What a process holds too much of."""

    NONE = "none"
    DESCRIPTORS = "descriptors"
    THREADS = "threads"
    MEMORY = "memory"


def judge(usage: Usage, sessions: int, limits: UsageLimits) -> Leak:
    """Which limit a process that was started with so many sessions has passed."""
    if usage.descriptors > limits.descriptors + sessions * limits.descriptors_per_session:
        return Leak.DESCRIPTORS
    if usage.threads > limits.threads + sessions * limits.threads_per_session:
        return Leak.THREADS
    if usage.memory_mib > limits.memory_mib + sessions * limits.memory_mib_per_session:
        return Leak.MEMORY
    return Leak.NONE


def usage_of(pid: int) -> Usage | None:
    """What the process holds now; None when it is gone. Blocks for some 50 microseconds."""
    process = Path("/proc") / str(pid)
    try:
        descriptors = len(os.listdir(process / "fd"))  # noqa: PTH208 - names only; Path objects cost ten times as much
        resident = int((process / "statm").read_text().split()[1])
        # The name of the program, in brackets, may hold anything: what follows the last bracket is numbers.
        threads = int((process / "stat").read_text().rpartition(")")[2].split()[17])
    except (OSError, ValueError, IndexError):
        return None
    return Usage(descriptors, threads, resident * _PAGE_BYTES / _MIB)
