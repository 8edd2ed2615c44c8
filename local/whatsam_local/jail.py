"""`python -m whatsam_local.jail PROGRAM ...`: runs a program so that it and all its children end when the caller does.

For builds: a killed `go build` leaves its compilers running. Here the program is pid 1 of a pid namespace, and goes
with its parent; the kernel takes the rest along.
"""

import os
import sys

from whatsam_local.node import linux
from whatsam_local.user_namespace import NEW_USER, map_only_user


def main(argv: list[str]) -> int:
    linux.die_with_parent()
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.NEW_PID | (NEW_USER if uid != 0 else 0))
    if uid != 0:
        map_only_user(uid, uid, gid)
    pid = os.fork()
    if pid == 0:
        linux.die_with_parent()
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
