"""Keeps libraries out of an engine process that neonize imports and that no engine uses. Called before it is loaded.

neonize fetches URLs, previews links, prints QR codes and shows progress bars with them; all of that is the connector's
own affair or nobody's. Without them a process is 16 MiB smaller (of 44) and starts in half the time. Whoever calls one
of them all the same gets an error that says so.
"""

import sys
from types import ModuleType
from typing import Any

UNUSED = ("httpx", "linkpreview", "phonenumbers", "requests", "segno", "tqdm")


class NotLoadedError(RuntimeError):
    """An engine does not have this library."""


class _Absent(ModuleType):
    """Gives neonize's `from … import name` something to hold."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def not_loaded(*_arguments: object, **_named: object) -> None:
            raise NotLoadedError(f"{self.__name__}.{name} is not loaded in engine processes")

        return not_loaded


def leave_out() -> None:
    """From now on an import of an unused library finds a stand-in."""
    for name in UNUSED:
        sys.modules.setdefault(name, _Absent(name))
