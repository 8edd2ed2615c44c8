"""The first shipper of a connector, forked off it while it has neither threads nor an event loop. Called by `main`.

Connector and shipper use the same libraries (pydantic, cryptography, the object store's client, asyncio). Forked off
when just these are loaded, the shipper shares their memory with the connector instead of loading them again. Should it
die, the next one is started as a program of its own: a process that waits only to fork again would keep a third copy of
every page that the other two have written to.
"""

import ctypes
import gc
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from whatsam_connector.reaping import reaped
from whatsam_connector.shipper import process

_PR_SET_NAME = 15
_NAME = b"whatsam-shipper"
"""Its command line is the connector's; `ps -o comm` and `top` show this."""


def fork_first() -> "ForkedShipper | None":
    """A shipper that waits for its socket; None where the system does not fork now: then one is started later."""
    try:
        return ForkedShipper.fork()
    except OSError:
        return None


class ForkedShipper:
    """A shipper that waits to be told its socket. If nobody tells it, it ends with the connector."""

    def __init__(self, pid: int, told: int) -> None:
        """Only for `fork`. `told`: the end of a pipe through which it hears its socket."""
        self.pid = pid
        self.returncode: int | None = None
        self._told = told

    @classmethod
    def fork(cls) -> "ForkedShipper":
        """Load what a shipper uses, then fork. Only where no other thread runs. Raises `OSError`."""
        gc.disable()  # a collection would leave holes, which both processes fill, each in a copy of its own
        process.load()
        gc.freeze()  # and later ones would write to every object
        hears, told = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        gc.enable()
        if pid == 0:
            os.close(told)
            _live(hears)
        os.close(hears)
        return cls(pid, told)

    def begin(self, socket: Path) -> None:
        """Let it connect to the keeper's socket. Raises `OSError` when it has died meanwhile."""
        self._ended = reaped(self.pid, self._poll, self._wait)
        try:
            os.write(self._told, os.fsencode(socket))
        finally:
            os.close(self._told)

    async def wait(self) -> int:
        """Its exit code, or minus the signal that ended it. After `begin`."""
        import asyncio

        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """Send SIGKILL. Raises `ProcessLookupError` when it has been waited for."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, signal.SIGKILL)

    def _poll(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def _wait(self) -> int:
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def _live(hears: int) -> NoReturn:
    """The child: it never returns into what the connector was doing when it forked."""
    code = 1
    try:
        process.keep_going()
        ctypes.CDLL(None).prctl(_PR_SET_NAME, _NAME)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        with open(hears, "rb") as words:
            socket = words.read()
        if socket:
            process.run(Path(os.fsdecode(socket)))
        code = 0
    except BaseException:  # noqa: BLE001 - printed with its traceback, as an interpreter does at its end
        traceback.print_exc()
    finally:
        os._exit(code)
