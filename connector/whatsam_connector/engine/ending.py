"""The one way out of an engine process.

neonize leaves threads behind that never end (a stopped pairing polls for ever), so an orderly interpreter exit would
hang: the process says its last words and calls os._exit.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from whatsam_connector.engine.protocol import ExitCode

LAST_WORDS_SECONDS = 1.0
"""How long the last frames may take to reach the supervisor before the process goes without."""

_last_words: list[Callable[[float], None]] = []
_once = threading.Lock()


def before_end(flush: Callable[[float], None]) -> None:
    """Register what has to be handed over at the end; it is called with the seconds it may take."""
    _last_words.append(flush)


def end(code: ExitCode, reason: str = "") -> NoReturn:
    """End this process with `code`. Whichever thread comes first decides; the others wait for the end."""
    if not _once.acquire(blocking=False):
        threading.Event().wait()
    if reason:
        with contextlib.suppress(OSError, ValueError):
            print(f"engine: {reason}", file=sys.stderr, flush=True)
    for flush in _last_words:
        # Whatever goes wrong here, the process has to end.
        with contextlib.suppress(Exception):
            flush(LAST_WORDS_SECONDS)
    os._exit(code)


def end_with_the_first_fault() -> None:
    """From now on an exception that nobody caught, in any thread or callback out of Go, ends the process.

    Python would print it and go on with half an engine: one that shows no code, or acknowledges and keeps nothing.
    """

    def in_thread(fault: threading.ExceptHookArgs) -> None:
        end(ExitCode.ENGINE_FAILED, f"{fault.exc_type.__name__}: {fault.exc_value}")

    def in_callback(fault: "sys.UnraisableHookArgs") -> None:
        if "ctypes" in (fault.err_msg or ""):
            end(ExitCode.ENGINE_FAILED, f"{fault.exc_type.__name__}: {fault.exc_value}")
        sys.__unraisablehook__(fault)

    threading.excepthook = in_thread
    sys.unraisablehook = in_callback
