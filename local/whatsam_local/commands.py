"""Runs programs for the services of this package: children die with us, output is caught, failures are errors."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from whatsam_local.errors import LocalError
from whatsam_local.node import linux


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
) -> str:
    """Standard output of a command. Raises LocalError with its last words."""
    try:
        done = subprocess.run(
            list(argv),
            env=None if env is None else dict(env),
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            preexec_fn=linux.die_with_parent,
        )
    except subprocess.TimeoutExpired:
        raise LocalError(f"{_name(argv)} did not end within {timeout:g} s") from None
    except OSError as error:
        raise LocalError(f"{_name(argv)}: {error.strerror}") from error
    if done.returncode != 0:
        last = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-8:])
        raise LocalError(f"{_name(argv)} failed ({done.returncode}): {last}")
    return done.stdout


def lines(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Iterator[str]:
    """Every line the command says on either stream, as it says it. Raises LocalError at the end if it failed.

    The command ends with all its children when this process ends.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "whatsam_local.jail", *argv],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for
        last: list[str] = []
        for line in process.stdout:
            last = [*last[-7:], line.rstrip()]
            yield line.rstrip()
        if process.wait() != 0:
            raise LocalError(f"{_name(argv)} failed ({process.returncode}): " + " / ".join(last))


def _name(argv: Sequence[str]) -> str:
    return " ".join([Path(argv[0]).name, *argv[1:3]])
