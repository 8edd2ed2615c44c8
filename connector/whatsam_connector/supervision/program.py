"""Which program runs as an engine, and what it calls itself. Asked once, at the connector's start, by `factory`."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version

from whatsam_connector.supervision.errors import EngineError
from whatsam_connector.supervision.greeting import engine_environment
from whatsam_connector.supervision.process import NEONIZE
from whatsam_core.resources import Engine

ANSWER_SECONDS = 10.0
"""For `--version`: a few milliseconds, on a machine that is not overloaded."""
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")


class EngineProgramUnusable(EngineError):
    """There is no such program, or it does not run: the text names the setting."""


@dataclass(frozen=True, slots=True)
class EngineProgram:
    """An engine as it is started."""

    command: tuple[str, ...]
    """Program and flags; socket, deadline and parent come behind them."""
    version: str
    """Name and version, like `neonize-0.5.2`; stands in the Lease, in health and in every base."""


def engine_program(engine: Engine, program: str, journal_sync: str) -> EngineProgram:
    """The program of an engine. `program`: a path, or a name in PATH. Raises `EngineProgramUnusable`."""
    if engine is Engine.NEONIZE:
        # Read without loading it; a journal of neonize's is always synced.
        return EngineProgram(NEONIZE, f"neonize-{version('neonize')}")
    path = shutil.which(program)
    if path is None:
        raise EngineProgramUnusable(
            f"WHATSAM_ENGINE_PROGRAM: {program!r} is no program that can be found; WHATSAM_ENGINE={engine} needs it"
        )
    return EngineProgram((path, "--journal-sync", journal_sync), f"{engine}-{_ask(path)}")


def _ask(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "--version"],
            env=engine_environment({}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineProgramUnusable(f"WHATSAM_ENGINE_PROGRAM: {path!r} does not run: {error}") from error
    said = done.stdout.decode(errors="replace").strip()
    if _VERSION.fullmatch(said) is None:
        raise EngineProgramUnusable(f"WHATSAM_ENGINE_PROGRAM: {path!r} does not tell its version, so it is no engine")
    return said
