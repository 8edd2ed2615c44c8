"""The few Linux calls that Python 3.11 does not offer: namespaces, mounts, the parent-death signal.

Called by the supervisor (its own namespaces), by the machine check and by the builder. All raise OSError.
"""

import ctypes
import os
import signal
from pathlib import Path

# From <linux/sched.h>: what unshare(2) may take apart.
NEW_MOUNTS = 0x00020000
NEW_IPC = 0x08000000
NEW_USERS = 0x10000000
NEW_PIDS = 0x20000000
NEW_NETWORK = 0x40000000

# From <sys/mount.h>.
MOUNT_BIND = 4096
MOUNT_RECURSIVE = 16384
MOUNT_PRIVATE = 1 << 18
MOUNT_NOSUID_NODEV = 2 | 4

_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`; NEW_PIDS holds for children only."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2); None where the call takes a null pointer."""
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    options = None if data is None else data.encode()
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), options), f"mount on {target}")


def die_with_parent() -> None:
    """The kernel kills this process when the thread that forked it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def map_only_user(inside: int, uid: int, gid: int) -> None:
    """After unshare(NEW_USERS): the user `uid`:`gid` outside is `inside` here, and nobody else exists.

    This is the one mapping the kernel lets an ordinary user write without newuidmap.
    """
    # Without this a process could drop a group that denies it access.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{inside} {gid} 1")
