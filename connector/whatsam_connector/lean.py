"""Keeps memory of a long-lived process small: libraries that nobody calls, and heaps that nobody uses any more.

Called by connector, shipper and engines. Engines do without asyncio, so nothing here imports it at its top.
"""

import ctypes
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

OPTIONAL: Final = ("email_validator", "greenlet", "kubernetes_validate", "pygments", "rich")
"""Their users do without them where they are not installed: structlog colours with them and knows greenlets, httpx has
a command line, the Kubernetes client checks objects before the server does."""
UNUSED: Final = {
    "kubernetes": ("client", "config", "dynamic", "informer", "leaderelection", "stream", "utils", "watch"),
    "kubernetes.aio": ("dynamic", "leaderelection", "stream", "watch"),
    "minio": ("minioadmin",),
    "uvicorn": ("main",),
}
"""Submodules that a package imports and that nobody here calls: the client without asyncio, the server's own upkeep,
watches other than ours, a command line."""
UNUSED_MODELS: Final = ("fastapi.openapi.models",)
"""Modules of classes that others name, and make one of, while they are imported: the connector describes no API."""

HEAPS: Final = 2
"""Of the C library, for all threads together: each of a hundred would keep one, and what it had at its most."""
FEW_HEAPS: Final = {"MALLOC_ARENA_MAX": str(HEAPS)}
"""The same as a piece of a child's environment."""

_M_ARENA_MAX: Final = -8


class NotLoadedError(RuntimeError):
    """The process does not have this library."""


class _Absent(ModuleType):
    """Gives `from … import name` something to hold."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def not_loaded(*_arguments: object, **_named: object) -> None:
            raise NotLoadedError(f"{self.__name__}.{name} is not loaded in this process")

        return not_loaded


class _Models(ModuleType):
    """Gives `from … import name` an empty class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        empty = type(name, (), {"__module__": self.__name__})
        setattr(self, name, empty)
        return empty


def stand_in(name: str) -> None:
    """From now on an import of this module finds a stand-in, unless it is loaded already."""
    sys.modules.setdefault(name, _Absent(name))


def leave_out() -> None:
    """Connector and shipper: what they do without is not found, or a stand-in is. Before all other imports."""
    for name in OPTIONAL:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # Python's own way to say that there is none
    for package, parts in UNUSED.items():
        for part in parts:
            stand_in(f"{package}.{part}")
    for name in UNUSED_MODELS:
        sys.modules.setdefault(name, _Models(name))


def leave_out_certificates() -> None:
    """Import aiohttp without its two default TLS contexts, which hold the system's certificates: 1.8 MiB.

    The Kubernetes client has one of its own. A connection that would take a default one is refused: it trusts nobody.
    """
    import ssl

    make = ssl.create_default_context

    def empty(*_arguments: object, **_named: object) -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    ssl.create_default_context = empty
    try:
        importlib.import_module("aiohttp")
    finally:
        ssl.create_default_context = make


def few_heaps() -> None:
    """All threads of this process share `HEAPS` heaps."""
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, HEAPS)


async def give_back_for_ever(period: float = 30.0) -> None:
    """Give memory that is not used back to the system every `period` seconds: milliseconds, in a thread.

    A start of many sessions leaves holes that the C library would keep for ever.
    """
    import asyncio  # not for engines

    trim = _function("malloc_trim")
    while trim is not None:
        await asyncio.sleep(period)
        await asyncio.to_thread(trim, 0)


def _function(name: str) -> Callable[..., int] | None:
    """A function of the C library; None where it has none of that name (musl)."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
