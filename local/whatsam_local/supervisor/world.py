"""Pid 1's surroundings: its own /proc, /dev/shm and resolver, its own network with the pods' bridge."""

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from whatsam_local.node import linux
from whatsam_local.plan import Plan


def enter(plan: Plan) -> ThreadPoolExecutor | None:
    """Set everything up; must run in pid 1 before anything else does.

    Returns the one thread that stays in the machine's network, for parts that run outside; None when there are none.
    """
    linux.make_private()
    linux.mount_proc("/proc")
    # PostgreSQL keeps shared memory here, and a killed one leaves it behind: this one goes with the namespace.
    linux.mount_tmpfs("/dev/shm", 0o1777)  # noqa: S108 - a mount point
    if plan.resolver is not None:
        _use_resolver(plan)
    outside: ThreadPoolExecutor | None = None
    if any(part.outside for part in plan.parts):
        # Network namespaces belong to threads: one started before unshare() stays where it was born.
        outside = ThreadPoolExecutor(1, "outside")
        outside.submit(os.getpid).result()
    linux.unshare(linux.NEW_NETWORK)
    subprocess.run(
        [plan.ip_program, "-batch", "-"], input="\n".join(plan.network) + "\n", text=True, check=True, timeout=20
    )
    # The services proxy and pods of an ordinary user bind low ports too.
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
    return outside


def _use_resolver(plan: Plan) -> None:
    """Names of Services resolve for every part, as they do in pods."""
    files = {
        "/etc/resolv.conf": f"nameserver {plan.resolver}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n",
        # Some machines ask a daemon of theirs before they ask DNS; it knows nothing of this cluster.
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    for path, text in files.items():
        if not Path(path).exists():
            continue
        ours = Path(plan.run) / Path(path).name
        ours.write_text(text)
        linux.bind(str(ours), os.path.realpath(path))


def hide_tmp(show: Sequence[str]) -> None:
    """Between fork and exec: an empty /tmp for this process, in which only the directories of `show` appear.

    Two clusters would otherwise meet in sockets of equal names there, and a killed one leave them behind.
    """
    below = [path for path in show if Path(path).resolve().is_relative_to("/tmp")]  # noqa: S108 - the one meant
    linux.unshare(linux.NEW_MOUNT)
    # Held before /tmp covers them, and only now: a directory of another mount namespace cannot be bound.
    held = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in below]
    linux.mount_tmpfs("/tmp", 0o700)  # noqa: S108 - the one meant
    for path, descriptor in held:
        Path(path).mkdir(parents=True, exist_ok=True)
        linux.bind(f"/proc/self/fd/{descriptor}", path)
        os.close(descriptor)
