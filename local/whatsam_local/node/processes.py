"""Processes as /proc shows them: who lives in a container's pid namespace, and what a container uses."""

import os
from collections.abc import Callable
from pathlib import Path

_ROUNDS = 20
"""Rounds of signalling until no new process appears; a process may fork while the list is read."""


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names are all that is needed


def namespace_members(first: int) -> list[int]:
    """Pids, as seen here, of all processes in the pid namespace of the process `first`, oldest first."""
    wanted = os.readlink(f"/proc/{first}/ns/pid")  # noqa: PTH115 - not a path: "pid:[4026531836]"
    members: list[int] = []
    for pid in sorted(_pids()):
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") == wanted:  # noqa: PTH115 - see above
                members.append(pid)
        except OSError:
            continue  # it ended, or belongs to somebody else
    return members


def signal_namespace(first: int, number: int) -> list[int]:
    """Signal every process of a container, and those that are born meanwhile; returns whom it reached."""
    reached: list[int] = []
    for _ in range(_ROUNDS):
        new = [pid for pid in namespace_members(first) if pid not in reached]
        if not new:
            break
        for pid in new:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
            reached.append(pid)
    return reached


Usage = Callable[[int], tuple[float, int]]
"""pid -> CPU seconds and resident bytes of the process and all its descendants."""


def usage_snapshot() -> Usage:
    """One walk over /proc; the result answers for any process."""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    rows: dict[int, tuple[float, int]] = {}
    children: dict[int, list[int]] = {}
    for pid in _pids():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        rows[pid] = (sum(int(field) for field in fields[11:15]) / tick, int(fields[21]) * page)
        children.setdefault(int(fields[1]), []).append(pid)

    def usage(pid: int) -> tuple[float, int]:
        cpu, memory = rows.get(pid, (0.0, 0))
        for child in children.get(pid, []):
            child_cpu, child_memory = usage(child)
            cpu, memory = cpu + child_cpu, memory + child_memory
        return cpu, memory

    return usage
