"""Memory and CPU limits by control groups, where this process may write them. Used by the runtime.

With a real limit the kernel's own killer makes `OOMKilled` true. Versions 1 and 2 are known; where neither can be
written (an ordinary user, a container) containers run without limits, and one warning says so.
"""

import logging
from pathlib import Path

from whatsam_local.node.protocol import Limits

log = logging.getLogger("cgroups")

_PERIOD = 100_000
"""Microseconds of a CPU accounting period."""
_SMALLEST_QUOTA = 1_000
"""Microseconds; the kernel refuses less."""


def wanted_files(limits: Limits) -> dict[str, dict[str, str]]:
    """Pure: {controller: {file: value}} for both versions; a version ignores the files it does not have."""
    wanted: dict[str, dict[str, str]] = {}
    if "memory" in limits:
        memory = str(limits["memory"])
        wanted["memory"] = {"memory.limit_in_bytes": memory, "memory.max": memory}
    if "cpu" in limits:
        quota = max(_SMALLEST_QUOTA, limits["cpu"] * _PERIOD // 1000)
        wanted["cpu"] = {"cpu.cfs_quota_us": str(quota), "cpu.max": f"{quota} {_PERIOD}"}
    return wanted


class ControlGroups:
    """The groups of one node's containers, below `<base>/…/whatsam-node/<node>/`.

    The names of two nodes on one machine must differ, also when they belong to different clusters.
    """

    def __init__(self, node: str, base: Path = Path("/sys/fs/cgroup")) -> None:
        self._node = node
        self._base = base
        self._unified = (base / "cgroup.controllers").exists()
        self._warned = False

    def create(self, identifier: str, limits: Limits) -> list[Path]:
        """Groups for one container; its first process writes itself into each before anything else."""
        groups: list[Path] = []
        for controller, files in wanted_files(limits).items():
            group = self._group(controller, identifier)
            try:
                group.mkdir(parents=True, exist_ok=True)
                if self._unified:
                    self._delegate(group)
                for name, value in files.items():
                    if (group / name).exists():
                        (group / name).write_text(value)
            except OSError as error:
                if not self._warned:
                    log.warning("containers run without limits: %s", error)
                self._warned = True
            else:
                groups.append(group)
        return sorted(set(groups))

    def _group(self, controller: str, identifier: str) -> Path:
        top = self._base if self._unified else self._base / controller
        return top / "whatsam-node" / self._node / identifier

    def _delegate(self, group: Path) -> None:
        """Version 2: the controllers must be passed down from each level to the next."""
        for level in (group.parent.parent.parent, group.parent.parent, group.parent):
            (level / "cgroup.subtree_control").write_text("+memory +cpu")

    def sweep(self) -> None:
        """Remove everything of this node, as long as nothing of it runs: at a start, and at the end."""
        for top in [self._base] if self._unified else self._base.glob("*/"):
            own = top / "whatsam-node" / self._node
            for group in [*own.glob("*/"), own, own.parent]:
                if group.is_dir():
                    remove(group)


def remove(group: Path) -> None:
    """Remove an empty group; one that is still in use stays until the next sweep."""
    try:
        group.rmdir()
    except OSError as error:
        log.debug("group stays for now: %s", error)


def oom_killed(group: Path) -> bool:
    """Whether the kernel killed something in this group for want of memory."""
    for name in ("memory.oom_control", "memory.events"):  # version 1, version 2
        try:
            lines = (group / name).read_text().splitlines()
        except OSError:
            continue
        return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in lines)
    return False
