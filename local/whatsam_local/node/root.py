"""Carries a root plan out. Runs in the container's first process, in its own mount namespace, before exec."""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from whatsam_local.node import linux
from whatsam_local.node.errors import ConfigError
from whatsam_local.node.root_plan import Action, Kind, Mount, RootPlan, Source, plan_root

_OLD = "/.machine"
"""Where the machine's root stays visible while the new root is filled."""
_READ_ONLY = "/.machine-read-only"
"""The same, read-only: what is bound from here is read-only without a further call."""


def _kind_of(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return Kind.LINK
    return Kind.DIRECTORY if entry.is_dir(follow_symlinks=False) else Kind.FILE


class ThisMachine:
    """The real file system, for the planner."""

    def kind(self, path: PurePosixPath) -> Kind | None:
        """What is at this path; what may not be looked at counts as absent."""
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return None
        return Kind.LINK if stat.S_ISLNK(mode) else Kind.DIRECTORY if stat.S_ISDIR(mode) else Kind.FILE

    def entries(self, path: PurePosixPath) -> Iterable[tuple[str, Kind]]:
        """What is in a directory, without a Path and a look for each: /etc has hundreds of entries."""
        with os.scandir(path) as found:
            return [(entry.name, _kind_of(entry)) for entry in found]

    def target(self, path: PurePosixPath) -> str:
        """Where a link points to."""
        return str(Path(path).readlink())


def enter_root(
    staging: str, volumes: Sequence[Mount], visible: Sequence[str], hidden: Sequence[str], *, read_only: bool
) -> None:
    """Compose the root and make it the calling process's own. `staging` is any directory, used as a mount point."""
    plan = plan_root(ThisMachine(), volumes, visible, hidden)
    linux.make_private()
    linux.mount_tmpfs(staging)
    Path(staging + _OLD).mkdir()
    linux.pivot_root(staging, staging + _OLD)
    os.chdir("/")
    Path(_READ_ONLY).mkdir()
    linux.bind(_OLD, _READ_ONLY)
    linux.set_read_only(_READ_ONLY, recursive=True)
    _base(plan)
    _special()
    for mount in plan.mounts:
        _apply(mount)
    for path in (_OLD, _READ_ONLY):
        linux.detach(path)
        Path(path).rmdir()
    if read_only:
        for path in ("/", *(str(m.destination) for m in plan.mounts if m.source is Source.EMPTY)):
            linux.set_read_only(path, recursive=False)


def _base(plan: RootPlan) -> None:
    for step in plan.steps:
        path = Path(step.path)
        match step.action:
            case Action.MAKE_DIRECTORY:
                path.mkdir()
            case Action.MAKE_FILE:
                path.touch()
            case Action.MAKE_LINK:
                path.symlink_to(step.target)
            case Action.SHOW_DIRECTORY | Action.SHOW_FILE:
                if step.action is Action.SHOW_DIRECTORY:
                    path.mkdir()
                else:
                    os.mknod(path)
                linux.bind(f"{_READ_ONLY}{path}", str(path))


def _special() -> None:
    """/proc of the new pid namespace; the machine's devices with an own /dev/shm; /sys read-only."""
    for path in ("/proc", "/dev", "/sys"):
        Path(path).mkdir()
    linux.mount_proc("/proc")
    linux.bind(f"{_OLD}/dev", "/dev")
    if Path("/dev/shm").is_dir():  # noqa: S108 - the container's own, mounted in the next line
        linux.mount_tmpfs("/dev/shm", 0o1777)  # noqa: S108 - see above
    linux.set_read_only("/dev", recursive=False)
    linux.bind(f"{_READ_ONLY}/sys", "/sys")


def _apply(mount: Mount) -> None:
    target = Path(mount.destination)
    source = _inside(Path(_OLD + mount.path), mount.sub_path) if mount.source is Source.BIND else None
    directory = source is None or source.is_dir()
    if not os.path.lexists(target):
        if directory:
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    if source is None:
        linux.mount_tmpfs(str(target), mount.mode)
        return
    linux.bind(str(source), str(target))
    if mount.read_only:
        linux.set_read_only(str(target), recursive=True)


def _inside(volume: Path, sub_path: str) -> Path:
    """A sub path with links followed, refused when it leaves the volume; made as a directory when it is missing."""
    if not sub_path:
        return volume
    path = volume / sub_path
    resolved = path.resolve()
    if not resolved.is_relative_to(volume.resolve()):
        raise ConfigError(f"subPath {sub_path} leaves its volume")
    if not resolved.exists():
        resolved.mkdir(parents=True, mode=0o777)
    return resolved
