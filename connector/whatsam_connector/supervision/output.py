"""Captures what an engine process prints, redacts it, and logs it as debug lines. Nothing raw reaches the pod's log."""

import asyncio
import re

from whatsam_connector.supervision.redaction import redact
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

LINES_PER_SECOND = 100
"""A Go panic prints thousands of lines; beyond this rate they are counted, not logged."""

_MAX_BUFFERED_BYTES = 64 * 1024
_TELLING = re.compile(r"^(panic: |fatal error: |engine: |SIG[A-Z]+: )")


class OutputCapture(asyncio.Protocol):
    """Reads the pipe behind an engine's stdout and stderr until its end."""

    def __init__(self, pid: int, loop: asyncio.AbstractEventLoop) -> None:
        self._log = _log.bind(engine_pid=pid)
        self._loop = loop
        self._rest = b""
        self._second = 0
        self._lines = 0
        self._detail = ""
        self._shown = False
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when the last line has been read."""

    @property
    def detail(self) -> str:
        """The first redacted line that says why the process ended; empty when there was none."""
        return self._detail

    def show(self, uid: str) -> None:
        """Log the lines at a level that everybody sees: they are of this session, and somebody wants to see them."""
        self._log = self._log.bind(uid=uid)
        self._shown = True

    def data_received(self, data: bytes) -> None:
        """Split into lines; a line without end is cut at 64 KiB."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_BUFFERED_BYTES:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended, or closed its output."""
        if self._rest:
            self._line(self._rest)
        if not self.closed.done():
            self.closed.set_result(None)

    def _line(self, raw: bytes) -> None:
        line = redact(raw.decode(errors="replace").rstrip())
        if not line:
            return
        if not self._detail and _TELLING.match(line):
            self._detail = line
        second = int(self._loop.time())
        if second != self._second:
            if self._lines > LINES_PER_SECOND:
                self._log.debug("engine output suppressed", lines=self._lines - LINES_PER_SECOND)
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= LINES_PER_SECOND:
            (self._log.info if self._shown else self._log.debug)("engine output", line=line)
