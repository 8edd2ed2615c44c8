"""Puts the engine in Go into the wheel, as a program beside the others. Hatchling runs it when it builds a wheel.

WHATSAM_BUILD_ENGINE=1: the wheel must have it. 0: it goes without. Not set: it has it when a Go that is new enough is
in PATH. An editable install never builds it: a checkout has `make build`.
"""

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAM = "whatsam-engine"
VARIABLE = "WHATSAM_BUILD_ENGINE"
NEEDED = (1, 26)
ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
FLAGS = ("-trimpath", "-ldflags=-s -w")
WITHOUT = (
    f"the wheel has no {PROGRAM}: pools with `engine: whatsmeow` need it in PATH, or WHATSAM_ENGINE_PROGRAM; "
    "neonize needs nothing"
)


class EngineHook(BuildHookInterface):
    """What is done before and after the files of a wheel are collected."""

    PLUGIN_NAME = "custom"
    _built: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the program and name it as a script of the wheel, which then belongs to one platform."""
        if version == "editable":
            return
        go = self._go(os.environ.get(VARIABLE, ""))
        if go is None:
            return
        self._built = Path(tempfile.mkdtemp())
        binary = self._built / PROGRAM
        self.app.display_info(f"Building {PROGRAM} with {go}")
        try:
            subprocess.run(
                [go, "build", *FLAGS, "-o", str(binary), f"./cmd/{PROGRAM}"],
                cwd=Path(self.root) / "engine-go",
                env={**os.environ, **ENVIRONMENT},
                check=True,
            )
        except BaseException:
            shutil.rmtree(self._built, ignore_errors=True)
            raise
        build_data["shared_scripts"][str(binary)] = PROGRAM
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is written: the program is in it."""
        if self._built is not None:
            shutil.rmtree(self._built, ignore_errors=True)

    def _go(self, wanted: str) -> str | None:
        """The Go to build with; None: the wheel goes without, and that is said."""
        if wanted not in ("", "0", "1"):
            self.app.abort(f"{VARIABLE} must be 0, 1 or nothing, not {wanted!r}")
        if wanted == "0":
            self.app.display_info(f"{VARIABLE}=0: {WITHOUT}")
            return None
        go = shutil.which("go")
        if go is not None and _version(go) >= NEEDED:
            return go
        missing = f"no Go {NEEDED[0]}.{NEEDED[1]} or newer is in PATH"
        if wanted == "1":
            self.app.abort(f"{VARIABLE}=1, but {missing}")
        self.app.display_warning(f"{missing}: {WITHOUT}")
        return None


def _version(go: str) -> tuple[int, int]:
    said = subprocess.run(
        [go, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}, capture_output=True, text=True, check=False
    )
    match = re.search(r"\bgo(\d+)\.(\d+)", said.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)
