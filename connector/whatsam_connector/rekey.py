"""The command `whatsam-connector rekey`: settings, progress and words around `state.rekeying`. Called by `main`.

It needs the object store's settings, WHATSAM_KEYRING and WHATSAM_INSTALLATION_ID, as every connector has them.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol, Self, TextIO

from pydantic import SecretStr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from whatsam_connector.state.keyring import KeyRing
from whatsam_connector.state.rekeying import Tally, Wrapping, rekey
from whatsam_core import logging
from whatsam_core.errors import WhatsamError
from whatsam_core.settings import ObjectStoreSettings, load, refuse
from whatsam_core.storage.opening import open_object_store

SHOWN: Final = 20
"""Sessions that are named at the end; the others are counted."""
LINE_EVERY: Final = 5.0
"""Seconds between two lines of progress where there is no terminal."""
PASSES: Final = 3
"""A data key that was made or wrapped while we were at work is found by the next pass."""


class RekeySettings(ObjectStoreSettings):
    """What the command needs of the connector's settings."""

    keyring: SecretStr


class Meter(Protocol):
    """Shows how far it is."""

    def __call__(self, done: int, total: int) -> None:
        """So many of so many sessions are done."""
        ...


class Bar(AbstractContextManager["Bar"]):
    """A bar, for a terminal."""

    def __init__(self, console: Console, what: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console)
        self._task: TaskID = self._progress.add_task(what, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, done: int, total: int) -> None:
        """As `Meter` says."""
        self._progress.update(self._task, completed=done, total=total)


class Lines(AbstractContextManager["Lines"]):
    """A line now and then, for a log."""

    def __init__(self, out: TextIO, what: str) -> None:
        self._out, self._what = out, what
        self._next = 0.0

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, done: int, total: int) -> None:
        """As `Meter` says."""
        now = time.monotonic()
        if now >= self._next or done == total:
            self._next = now + LINE_EVERY
            print(f"{self._what}: {done} of {total} sessions", file=self._out, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Do it; 0 when every data key is wrapped by the current key, 1 when something is left, 2 for wrong settings."""
    parser = argparse.ArgumentParser(prog="whatsam-connector", description="A connector; without a command it runs.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("rekey", help="wrap the data keys of all sessions with the current key of the ring")
    command.add_argument("--check", action="store_true", help="change nothing: say which keys of the ring are in use")
    check: bool = parser.parse_args(arguments).check
    logging.configure("connector", "ERROR")
    try:
        settings = load(RekeySettings)
        ring = KeyRing.parse(settings.keyring.get_secret_value())
    except WhatsamError as error:
        refuse(error)
    try:
        return asyncio.run(run(settings, ring, check=check))
    except WhatsamError as error:
        print(f"stopped: {error}; run it again", file=sys.stderr)
        return 1


async def run(settings: RekeySettings, ring: KeyRing, *, check: bool) -> int:
    """The passes, and a summary on stdout. Raises an object store error."""
    console = Console(stderr=True)
    store = open_object_store(settings)
    rewrapped, tally = 0, Tally()
    try:
        for number in range(1, PASSES + 1):
            what = "looking" if check else "rekey" if number == 1 else "looking again"
            with Bar(console, what) if console.is_terminal else Lines(sys.stderr, what) as progress:
                tally = await rekey(store, ring, settings.installation_id, write=not check, progress=progress)
            new = tally.by_wrapping[Wrapping.REWRAPPED]
            rewrapped += new
            if check or not new:
                break
    finally:
        await store.close()
    for line in summary(tally, ring, rewrapped=None if check else rewrapped):
        print(line)
    return 1 if tally.problems or tally.by_wrapping[Wrapping.OTHER] else 0


def summary(tally: Tally, ring: KeyRing, *, rewrapped: int | None) -> list[str]:
    """What it came to, for people. `rewrapped`: None when nothing was to be written."""
    lines = [] if rewrapped is None else [f"wrapped anew with {ring.current}: {rewrapped}"]
    for key_id, count in sorted(tally.by_key.items()):
        word = "current" if key_id == ring.current else "in the ring" if key_id in ring.keys else "NOT IN THE RING"
        lines.append(f"data keys wrapped by {key_id} ({word}): {count}")
    problems = tally.problems
    lines += [f"{answer.session}: {answer.wrapping.value}: {answer.problem}" for answer in problems[:SHOWN]]
    if len(problems) > SHOWN:
        lines.append(f"... and {len(problems) - SHOWN} more")
    if problems:
        lines.append(f"{len(problems)} data keys were left as they are")
    unused = tally.dispensable(ring)
    if unused:
        lines.append(f"not needed here any more: {', '.join(unused)}")
    return lines
