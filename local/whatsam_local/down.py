"""`whatsam-local down`: ends everything of a cluster, whatever state it is in. Safe to call at any time."""

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.errors import LocalError
from whatsam_local.layout import Layout, private_directory
from whatsam_local.node.cgroups import ControlGroups
from whatsam_local.running import Handle, launch_lock, read_record

_END_WITHIN = 30.0  # seconds; the kernel needs milliseconds, but a process stuck on a disk needs as long as the disk
_REAPED_WITHIN = 2.0  # seconds; some containers have an init that never reaps
_LOOK_EVERY = 0.02


@dataclass(frozen=True)
class Ended:
    """What `down` found."""

    launches: int
    supervisor: bool


def down(layout: Layout, *, keep: bool) -> Ended:
    """End `up`s that are under way, then the supervisor, then clear away. Raises LocalError if something survives."""
    if not layout.root.exists():
        return Ended(0, False)
    private_directory(layout.run)
    launches = 0
    for record in sorted(layout.run.glob("up-*.json")):
        launches += _end(record)
        record.unlink(missing_ok=True)
    # A launcher that outlived its `up` holds this until its supervisor is on record.
    with launch_lock(layout):
        supervisor = _end(layout.supervisor_record)
        # Control groups belong to the machine and outlive their processes.
        ControlGroups(layout.node_name).sweep()
        for path in sorted(layout.root.iterdir()):
            if not survives(path.name, keep=keep):
                remove(path)
    return Ended(launches, supervisor)


def survives(name: str, *, keep: bool) -> bool:
    """Pure: whether this entry of the cluster's directory stays after its end."""
    # Doors keep their ports, so that an open terminal finds the next cluster where this one was.
    return name == "logs" or name.startswith("logs.") or name == "doors.json" or (keep and name == "state")


def _end(record: Path) -> bool:
    """Kill the recorded process, if it still is that process. For pid 1 of the cluster: and everything in it."""
    known = read_record(record)
    handle: Handle | None = known.open() if known is not None else None
    if handle is None:
        return False
    # At once and not by request: a frozen or broken supervisor must go as surely as a healthy one.
    handle.signal(signal.SIGKILL)
    if not handle.ended(_END_WITHIN):
        raise LocalError(f"process {handle.pid} does not end, {_END_WITHIN:g} s after SIGKILL")
    handle.close()
    # A dead process is listed until init has reaped it; wait, so that a look at `ps` after `down` finds nothing.
    patience = time.monotonic() + _REAPED_WITHIN
    while Path(f"/proc/{handle.pid}").exists() and time.monotonic() < patience:
        time.sleep(_LOOK_EVERY)
    return True


def remove(directory: Path) -> None:
    """Remove a file or tree of ours, also where something made a directory unreadable for its owner."""
    if directory.is_symlink() or not directory.is_dir():
        directory.unlink(missing_ok=True)
        return
    for path, names, _ in os.walk(directory):
        for name in names:
            child = Path(path) / name
            if not child.is_symlink() and child.stat().st_mode & 0o700 != 0o700:
                child.chmod(0o700)
    shutil.rmtree(directory)
