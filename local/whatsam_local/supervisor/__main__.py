"""Starts the supervisor: `python -m whatsam_local.supervisor PLAN LOCK_FD`, called by `up` only.

Two processes: this one makes the namespaces, forks pid 1, writes the record that lets `down` find it, and ends.
Pid 1 does nothing before the record is on disk: whatever gets killed here, no cluster runs that `down` cannot find.
"""

import os
import sys
from pathlib import Path

from whatsam_local.node import linux
from whatsam_local.plan import Plan
from whatsam_local.running import ProcessRecord
from whatsam_local.supervisor import world
from whatsam_local.supervisor.main import supervise
from whatsam_local.user_namespace import NEW_USER, map_only_user


def main(arguments: list[str]) -> int:
    plan_file, lock = arguments
    plan = Plan.model_validate_json(Path(plan_file).read_text())
    record = Path(plan.run) / "supervisor.json"
    os.setsid()
    uid, gid = os.getuid(), os.getgid()
    flags = linux.NEW_MOUNT | linux.NEW_PID | linux.NEW_IPC
    if uid != 0:
        flags |= NEW_USER
    linux.unshare(flags)
    if uid != 0:
        map_only_user(0, uid, gid)

    may_run, allow = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(allow)
        # Not pid 1's: `down` waits for this lock to be sure that no launch is under way.
        os.close(int(lock))
        if os.read(may_run, 1) != b"y":
            os._exit(1)
        os.close(may_run)
        try:
            for part in plan.parts:
                for descriptor in part.descriptors:
                    os.set_inheritable(descriptor, False)  # for the part they belong to, and for no other
            outside = world.enter(plan)
            supervise(plan, outside)
        finally:
            os._exit(1)
    ProcessRecord.of(pid).write(record)
    os.write(allow, b"y")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
