"""Programs in Go: built once per version of their sources, kept in the user's cache. For `programs`."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from whatsam_local import commands
from whatsam_local.errors import BuildFailedError, LocalError
from whatsam_local.progress import Reporter, Step
from whatsam_local.toolchain import find_go

_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    # Without this an older Go would fetch a newer one behind our back.
    "GOTOOLCHAIN": "local",
    "GOFLAGS": "-mod=readonly -buildvcs=false",
}
_KEPT = 4
"""Builds of one program that stay at least: a few branches, and the checkouts of this user."""
_KEPT_SECONDS = 2 * 86400.0
"""And all that were asked for within this time: somebody may be running them."""


@dataclass(frozen=True)
class GoProgram:
    """A program and what it is made from."""

    name: str
    """Of the file."""
    described: str
    """What people call it, with how long it takes: `… (once; 6-7 minutes on 2 cores)`."""
    sources: Path
    """Folder of its module."""
    package: str = "."
    """The main package, relative to `sources`."""
    link: tuple[str, ...] = ("-s", "-w")
    """Flags of the linker."""
    added: tuple[Path, ...] = ()
    """Go files from elsewhere that are compiled into the main package, as if they lay there."""
    replaced: tuple[tuple[str, Path], ...] = ()
    """Go files of the module, relative to `sources`, in whose place others from elsewhere are compiled."""
    race: bool = False
    """With Go's race detector, which needs a C compiler; slower and larger, for tests."""

    @property
    def flags(self) -> tuple[str, ...]:
        return ("-trimpath", f"-ldflags={' '.join(self.link)}", *(("-race",) if self.race else ()))

    @property
    def environment(self) -> dict[str, str]:
        return {**_ENVIRONMENT, "CGO_ENABLED": "1"} if self.race else _ENVIRONMENT


class Builder:
    """Finds or makes one program of one checkout."""

    def __init__(self, program: GoProgram, cache: Path) -> None:
        self._program = program
        self._cache = cache

    @property
    def binary(self) -> Path:
        """Where the binary of these sources is, or will be."""
        program, digest = self._program, hashlib.sha256()
        own = [path for path in program.sources.rglob("*") if _counts(path.relative_to(program.sources))]
        for path in sorted(own):
            digest.update(f"{path.relative_to(program.sources)}\0".encode() + path.read_bytes() + b"\0")
        for path in program.added:
            digest.update(f"+{path.name}\0".encode() + path.read_bytes() + b"\0")
        for place, path in program.replaced:
            digest.update(f"={place}\0".encode() + path.read_bytes() + b"\0")
        told = (program.package, program.flags, sorted(program.environment.items()), platform.machine())
        digest.update(repr(told).encode())
        return self._cache / f"{program.name}-{digest.hexdigest()[:16]}" / program.name

    def ensure(self, reporter: Reporter) -> Path:
        """The binary; built now if there is none. Two builds at once wait for each other. Raises BuildFailedError."""
        binary = self.binary
        if binary.exists():
            os.utime(binary)  # the ones that nobody has asked for go first
            return binary
        binary.parent.mkdir(parents=True, exist_ok=True)
        title = f"Building {self._program.described}"
        with reporter.step(title, announce=True) as step, _only_one(binary.parent / "lock", step):
            if binary.exists():
                step.note = "another build made it"
                return binary
            try:
                self._build(find_go(self._cache, step), binary, step)
            except LocalError as error:
                raise BuildFailedError(f"{self._program.name} could not be built: {error}") from error
        self._forget_old()
        return binary

    def _build(self, go: Path, binary: Path, step: Step) -> None:
        program = self._program
        env = {**os.environ, **program.environment}
        flags = [*program.flags, *self._overlay(binary.parent)]
        # Resolving what must be compiled fetches the modules as well, and says so line by line.
        packages = 0
        listing = [str(go), "list", "-deps", *flags, program.package]
        for line in commands.lines(listing, env=env, cwd=program.sources):
            if line.startswith("go: downloading "):
                step.update(f"fetching {line.split()[2]}")
            elif line and not line.startswith("go: "):
                packages += 1
        compiled = 0
        new = binary.with_suffix(".new")
        step.update("compiling", 0, packages)
        building = [str(go), "build", "-v", *flags, "-o", str(new), program.package]
        for line in commands.lines(building, env=env, cwd=program.sources):
            if line.startswith("go: downloading "):
                step.update(f"fetching {line.split()[2]}", compiled, packages)
                continue
            compiled += 1
            # Packages in Go's cache are not named, so a second build jumps over them.
            step.update(f"compiling {line.rpartition('/')[2]}", compiled, packages)
        new.replace(binary)
        step.note = f"{compiled} of {packages} packages compiled"

    def _overlay(self, folder: Path) -> tuple[str, ...]:
        """Nothing is written into the sources: Go is told to see the other files there."""
        program = self._program
        if not program.added and not program.replaced:
            return ()
        package = (program.sources / program.package).resolve()
        replaced = {str(package / path.name): str(path.resolve()) for path in program.added}
        replaced |= {str((program.sources / place).resolve()): str(path.resolve()) for place, path in program.replaced}
        file = folder / "overlay.json"
        file.write_text(json.dumps({"Replace": replaced}))
        return (f"-overlay={file}",)

    def _forget_old(self) -> None:
        """A change of the sources is another build; without this the cache would only grow."""
        used: list[tuple[float, Path]] = []
        for binary in self._cache.glob(f"{self._program.name}-*/{self._program.name}"):
            with suppress(FileNotFoundError):  # somebody else forgets it, too
                used.append((binary.stat().st_mtime, binary))
        for at, binary in sorted(used, reverse=True)[_KEPT:]:
            if at < time.time() - _KEPT_SECONDS:
                shutil.rmtree(binary.parent, ignore_errors=True)


def cache_directory(xdg_cache_home: Path | None) -> Path:
    """Where built things are kept between checkouts."""
    return (xdg_cache_home or Path.home() / ".cache") / "whatsam"


def _counts(path: Path) -> bool:
    """Whether a file of the module is part of its program."""
    if path.name in ("go.mod", "go.sum"):
        return len(path.parts) == 1
    return path.suffix == ".go" and not path.name.endswith("_test.go") and "testdata" not in path.parts


@contextmanager
def _only_one(lock: Path, step: Step) -> Generator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            step.update("another build is under way; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
