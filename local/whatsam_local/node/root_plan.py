"""Pure: how a container's root file system is composed from the machine's own, without writing to the machine.

The root is a tmpfs with every top-level entry of the machine bind-mounted read-only. Where a mount point is missing on
the machine, its ancestors are *shadowed*: they become directories of the tmpfs in which every entry of the machine's
directory is bind-mounted again, so that the missing name can be added. /tmp, /run and the like are fresh. Overlay
mounts would be shorter but are refused for `/` in a user namespace, and on a state directory that lies on an overlay.

`root.py` carries the plan out inside the container's mount namespace.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import PurePosixPath
from typing import Protocol

from whatsam_local.node.errors import ConfigError

ROOT = PurePosixPath("/")
FRESH: dict[str, int] = {"/tmp": 0o1777, "/run": 0o755, "/var/tmp": 0o1777}  # noqa: S108 - paths inside the container
"""Directories of which a container gets an empty one of its own, with their modes."""
SPECIAL = frozenset({"proc", "dev", "sys"})
"""Top-level entries that `root.py` mounts itself."""
HOME = "/root"
"""A container's home: new files may be made here, the machine's own show through."""
_LINK_LIMIT = 40


class Kind(Enum):
    """What a path of the machine is, links not followed."""

    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"


class Machine(Protocol):
    """The machine's file system, as far as a plan has to look at it."""

    def kind(self, path: PurePosixPath) -> Kind | None:
        """What is at this path, or None."""
        ...

    def entries(self, path: PurePosixPath) -> Iterable[tuple[str, Kind]]:
        """What is in a directory. Raises PermissionError when it may not be read."""
        ...

    def target(self, path: PurePosixPath) -> str:
        """Where a link points to."""
        ...


class Source(Enum):
    """What a mount shows."""

    BIND = "a path of the machine"
    EMPTY = "a fresh file system in memory"


@dataclass(frozen=True)
class Mount:
    """Something to be seen at `destination`. `path` is the machine's path of a bind mount."""

    destination: PurePosixPath
    source: Source
    path: str = ""
    sub_path: str = ""
    directory: bool = True
    read_only: bool = False
    mode: int = 0o755


class Action(Enum):
    """What one step of the base does at its path."""

    MAKE_DIRECTORY = "make a directory"
    MAKE_FILE = "make an empty file"
    MAKE_LINK = "make the link that the machine has"
    SHOW_DIRECTORY = "bind the machine's directory of the same path, read-only"
    SHOW_FILE = "bind the machine's file of the same path, read-only"


@dataclass(frozen=True)
class Step:
    """One step of building the base; `target` is a link's."""

    action: Action
    path: PurePosixPath
    target: str = ""


@dataclass(frozen=True)
class RootPlan:
    """Steps first, in order; then the mounts, in order, making mount points that lie inside earlier mounts."""

    steps: Sequence[Step]
    mounts: Sequence[Mount]


class _Builder:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.shadowed: set[PurePosixPath] = {ROOT}
        self.created: dict[PurePosixPath, Kind] = {}
        self.covered: set[PurePosixPath] = set()

    def add(self, mount: Mount) -> Mount:
        """Make room for a mount; returns it with the links of its destination resolved."""
        destination = self.resolve(mount.destination)
        if destination == ROOT:
            raise ConfigError("a volume cannot be mounted at /")
        if not self.is_covered(destination):
            self.place(destination, Kind.DIRECTORY if mount.directory else Kind.FILE)
        self.covered.add(destination)
        return replace(mount, destination=destination)

    def is_covered(self, path: PurePosixPath) -> bool:
        """Whether the path lies inside a mount, where the machine's files say nothing any more."""
        return any(parent in self.covered for parent in path.parents)

    def resolve(self, path: PurePosixPath) -> PurePosixPath:
        """The path with the machine's links followed inside the new root (/var/run/x becomes /run/x)."""
        here, rest, followed = ROOT, list(path.parts[1:]), 0
        while rest:
            part = rest.pop(0)
            if part == "..":
                here = here.parent
                continue
            following = here / part
            visible = following not in self.covered and not self.is_covered(following)
            if visible and self.machine.kind(following) is Kind.LINK:
                followed += 1
                if followed > _LINK_LIMIT:
                    raise ConfigError(f"{path}: too many levels of symbolic links")
                target = PurePosixPath(self.machine.target(following))
                rest = [*(target.parts[1:] if target.is_absolute() else target.parts), *rest]
                here = ROOT if target.is_absolute() else here
            else:
                here = following
        return here

    def place(self, path: PurePosixPath, wanted: Kind) -> None:
        """Have a mount point of the wanted kind at a path without links, shadowing as little as possible."""
        known = self.created.get(path) or self.machine.kind(path)
        if known is wanted:
            return
        if known is not None:
            raise ConfigError(f"{path} is a {known.value} and the volume is a {wanted.value}")
        missing = [path]
        for parent in path.parents:
            kind = self.created.get(parent) or self.machine.kind(parent)
            if kind is Kind.DIRECTORY:
                if parent not in self.created:
                    self.shadow(parent)
                break
            if kind is not None:
                raise ConfigError(f"{path}: {parent} is not a directory")
            missing.append(parent)
        for directory in missing[1:]:
            self.created[directory] = Kind.DIRECTORY
        self.created[path] = wanted

    def shadow(self, path: PurePosixPath) -> None:
        """Turn a directory of the machine, and those above it, into directories of the new root."""
        self.shadowed |= {path, *path.parents}

    def steps(self) -> list[Step]:
        """The base, parents before children."""
        steps: list[Step] = []
        for directory in sorted(self.shadowed):
            if directory != ROOT:
                steps.append(Step(Action.MAKE_DIRECTORY, directory))
            try:
                entries = sorted(self.machine.entries(directory), key=lambda entry: entry[0])
            except PermissionError as error:
                raise ConfigError(
                    f"a mount point is missing below {directory}, and that directory may not be read"
                ) from error
            skipped = {path.name for path in self.shadowed if path.parent == directory and path != ROOT}
            if directory == ROOT:
                skipped |= SPECIAL
            steps.extend(self.show(directory / name, kind) for name, kind in entries if name not in skipped)
        made = sorted(self.created.items())
        steps.extend(
            Step(Action.MAKE_DIRECTORY if kind is Kind.DIRECTORY else Action.MAKE_FILE, path) for path, kind in made
        )
        return steps

    def show(self, path: PurePosixPath, kind: Kind) -> Step:
        """The step that shows an entry of the machine at its own place."""
        if kind is Kind.LINK:
            return Step(Action.MAKE_LINK, path, self.machine.target(path))
        return Step(Action.SHOW_DIRECTORY if kind is Kind.DIRECTORY else Action.SHOW_FILE, path)


def _readable(machine: Machine, path: PurePosixPath) -> bool:
    try:
        machine.entries(path)
    except OSError:
        return False
    return machine.kind(path) is Kind.DIRECTORY


def plan_root(machine: Machine, volumes: Sequence[Mount], visible: Sequence[str], hidden: Sequence[str]) -> RootPlan:
    """The plan for one container.

    `visible` are directories of the machine that must be seen although they may lie below a fresh directory or a
    volume (the virtual environment of a checkout in /tmp); `hidden` are directories that must not be seen (the node's
    state: other pods' tokens). Raises `ConfigError` when a volume cannot be mounted where its container wants it.
    """
    builder = _Builder(machine)
    home = PurePosixPath(HOME)
    fresh = dict(FRESH)
    if _readable(machine, home):
        builder.shadow(home)
    else:
        fresh[HOME] = 0o700
    mounts = [builder.add(Mount(PurePosixPath(path), Source.EMPTY, mode=mode)) for path, mode in fresh.items()]
    mounts += [builder.add(volume) for volume in sorted(volumes, key=lambda v: len(v.destination.parts))]
    hidden_by_mounts = [path for path in visible if builder.is_covered(builder.resolve(PurePosixPath(path)))]
    again = [Mount(PurePosixPath(path), Source.BIND, path=path, read_only=True) for path in hidden_by_mounts]
    mounts += [builder.add(mount) for mount in again]
    shown = [builder.resolve(mount.destination) for mount in again]
    for path in hidden:
        place = builder.resolve(PurePosixPath(path))
        if not builder.is_covered(place) or any(parent in shown for parent in place.parents):
            mounts.append(builder.add(Mount(place, Source.EMPTY, mode=0o700)))
    taken = {m.destination for m in mounts if m.source is Source.BIND}
    mounts = [m for m in mounts if m.source is Source.BIND or m.destination not in taken]
    # deeper ones later, so that none is hidden by its parent
    return RootPlan(builder.steps(), sorted(mounts, key=lambda m: len(m.destination.parts)))
