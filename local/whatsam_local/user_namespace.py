"""User namespaces, which let an ordinary user make the others. The remaining Linux calls are in `node/linux.py`.

Called by the supervisor (for an ordinary user, and for PostgreSQL under root), the machine check and the build's jail.
"""

from pathlib import Path

NEW_USER = 0x10000000  # CLONE_NEWUSER of <linux/sched.h>


def map_only_user(inside: int, uid: int, gid: int) -> None:
    """After unshare(NEW_USER): the user `uid`:`gid` outside is `inside` here, and nobody else exists.

    This is the one mapping the kernel lets an ordinary user write without newuidmap.
    """
    # Without this a process could drop a group that denies it access.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{inside} {gid} 1")
