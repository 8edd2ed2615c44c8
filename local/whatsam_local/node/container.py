"""What happens between fork and exec: namespaces, root file system, control groups. Runs in the child only."""

import os
import select
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from whatsam_local.node import linux
from whatsam_local.node.protocol import ContainerSpec, VolumeMount
from whatsam_local.node.root import enter_root
from whatsam_local.node.root_plan import Mount, Source

START_FAILED = 128
"""Exit code of a child that never reached its command."""


@dataclass(frozen=True)
class Surroundings:
    """What the runtime adds to a container's own spec."""

    network: int | None
    """File descriptor of the pod's network namespace."""
    log: int
    groups: Sequence[Path]
    staging: str
    visible: Sequence[str]
    hidden: Sequence[str]


def volume(mount: VolumeMount) -> Mount:
    """A volume of the protocol as the root's planner knows it."""
    return Mount(
        PurePosixPath(mount["destination"]),
        Source.BIND,
        path=mount["source"],
        sub_path=mount["sub_path"],
        directory=mount["directory"],
        read_only=mount["read_only"],
    )


def become_container(spec: ContainerSpec, around: Surroundings, parent: int) -> None:
    """Turn the calling process into the container's first process. Returns only by an exception.

    `parent` is the writing end of a pipe which only the runtime reads: it tells whether the runtime died in between.
    """
    os.setsid()
    _tie_to_parent(parent)
    for group in around.groups:
        (group / "cgroup.procs").write_text("0")
    if around.network is not None:
        linux.enter_namespace(around.network, linux.NEW_NETWORK)
    linux.unshare(linux.NEW_MOUNT | linux.NEW_UTS | linux.NEW_IPC)
    socket.sethostname(spec["hostname"])
    volumes = [volume(mount) for mount in spec["mounts"]]
    enter_root(around.staging, volumes, around.visible, around.hidden, read_only=spec["read_only_root"])
    os.chdir(spec["cwd"] or "/")
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(around.log, 1)
    os.dup2(around.log, 2)
    for number in signal.valid_signals():  # Python ignores SIGPIPE, and exec keeps what is ignored
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except OSError:
                continue  # the C library keeps two signals for itself
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - starting the pod's command is the task


def _tie_to_parent(pipe: int) -> None:
    """Die when the runtime dies, also when it died before the kernel was asked to see to that."""
    linux.die_with_parent()
    poll = select.poll()
    poll.register(pipe, 0)
    if poll.poll(0):  # an error condition: nobody reads any more
        os._exit(START_FAILED)
