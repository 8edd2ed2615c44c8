"""The keeper's handle on the shipper process: socket, start, restart. Knows nothing of sessions."""

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from pydantic import BaseModel, ValidationError

from whatsam_connector.lean import FEW_HEAPS
from whatsam_connector.shipper.protocol import LINE_LIMIT, REPORTS, Report, line
from whatsam_connector.state.errors import StateError
from whatsam_core.logging import get_logger

_CREDENTIALS: Final = struct.Struct("3i")
_FIRST_RESTART: Final = 0.1
_LONGEST_RESTART: Final = 5.0
_LIVED: Final = 10.0
"""Seconds after which a shipper counts as having worked, so that its death is not the start of a crash loop."""
_STOP_GRACE: Final = 3.0
_SOCKET_PATH_LIMIT: Final = 107
"""Bytes that the kernel takes for the path of a local socket."""

_log = get_logger("whatsam.state")


class ShipperChild(Protocol):
    """One shipper, as asyncio shows a process that it has started."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    async def wait(self) -> int: ...
    def kill(self) -> None: ...


class FirstShipper(ShipperChild, Protocol):
    """One that lives already and waits for its socket (`shipper.forked`)."""

    def begin(self, socket: Path) -> None:
        """Let it connect. Raises `OSError` when it has died meanwhile."""
        ...


class ShipperProcess:
    """Keeps one shipper running. `on_connected` is awaited with a fresh shipper before anything else is sent to it."""

    def __init__(
        self,
        path: Path,
        *,
        on_connected: Callable[[], Awaitable[None]],
        on_report: Callable[[Report], None],
        first: FirstShipper | None = None,
    ) -> None:
        """`first`: used before any is started; those that follow are programs of their own."""
        self._first = first
        self._path = path
        self._on_connected = on_connected
        self._on_report = on_report
        self._server: asyncio.Server | None = None
        self._process: ShipperChild | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._connection: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None = None
        self._task: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The present process, None between two."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Listen and start the first shipper. Raises `StateError` when the socket cannot be made."""
        if len(str(self._path).encode()) > _SOCKET_PATH_LIMIT:
            raise StateError(f"WHATSAM_STATE_DIR is too long for a socket below it: {self._path}")
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, str(self._path), limit=LINE_LIMIT)
        self._path.chmod(0o600)
        self._task = asyncio.create_task(self._supervise(), name="shipper")

    async def stop(self) -> None:
        """End the shipper; what it was doing at the moment is lost, so release the sessions first."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._end_process()
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    def send(self, message: BaseModel) -> None:
        """Send to the present shipper; without one it is dropped: `on_connected` tells the next one everything."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(line(message))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer: socket.socket = writer.get_extra_info("socket")
        pid = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        waiting = self._connection
        if pid != self.pid or waiting is None or waiting.done():
            writer.close()  # a shipper of an earlier start, or a stranger
            return
        waiting.set_result((reader, writer))

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_RESTART
        while True:
            born = loop.time()
            try:
                await self._one_life()
            except OSError as error:
                _log.error("shipper_not_started", error=str(error))
            if loop.time() - born > _LIVED:
                pause = _FIRST_RESTART
            self.restarts += 1
            _log.warning("shipper_ended", restart_in=pause, restarts=self.restarts)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_RESTART, pause * 2)

    async def _one_life(self) -> None:
        self._connection = asyncio.get_running_loop().create_future()
        self._process = await self._start()
        ended = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({ended, self._connection}, return_when=asyncio.FIRST_COMPLETED)
            if not self._connection.done():
                return
            reader, self._writer = self._connection.result()
            await self._on_connected()
            await self._listen(reader)
        finally:
            ended.cancel()
            self._connection.cancel()
            await self._end_process()

    async def _start(self) -> ShipperChild:
        first, self._first = self._first, None
        if first is not None:
            first.begin(self._path)
            return first
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "whatsam_connector.shipper",
            "--socket",
            str(self._path),
            stdin=asyncio.subprocess.DEVNULL,
            env=os.environ | FEW_HEAPS,
        )

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while raw := await reader.readline():
                self._on_report(REPORTS.validate_json(raw))
        except (ConnectionError, ValidationError, ValueError) as error:
            _log.error("shipper_connection_lost", error=type(error).__name__)

    async def _end_process(self) -> None:
        """Nothing of a shipper may be left when the next one starts: two would use the same numbers."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.0 if writer is None else _STOP_GRACE)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
