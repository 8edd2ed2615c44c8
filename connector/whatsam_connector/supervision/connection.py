"""The supervisor's end of an engine's socket: listening, accepting the right process, frames, requests and answers."""

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from whatsam_connector.engine.protocol import Answer, ToEngine, ToParent, for_parent
from whatsam_connector.engine.wire import LENGTH, WireError, frame, frame_length

_CREDENTIALS = struct.Struct("iII")


class Listener:
    """A unix socket that takes one connection: that of the child with the given process id."""

    def __init__(self, folder: Path) -> None:
        """Listen below `folder` (made when missing, private). Raises OSError; a path above 107 bytes is one."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{secrets.token_hex(4)}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind(str(self.path))
            self.path.chmod(0o600)
            self._socket.listen(4)
        except OSError:
            self.close()
            raise

    async def accept(self, pid: int) -> "EngineConnection":
        """Wait for the child; whoever else connects is turned away."""
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._socket)
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            if _CREDENTIALS.unpack(credentials)[0] == pid:
                reader, writer = await asyncio.open_unix_connection(sock=connection)
                return EngineConnection(reader, writer)
            connection.close()

    def close(self) -> None:
        """Stop listening and remove the socket's name."""
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108 - Path.unlink would do the same; kept beside the socket's own calls


class EngineConnection:
    """A connected engine: typed messages out and in, and the answers to requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    def write(self, message: ToEngine) -> None:
        """Queue a message; a broken connection shows as the end of `messages`."""
        self._writer.write(frame(message))

    async def messages(self) -> AsyncIterator[ToParent]:
        """Messages of the engine until the connection closes; raises WireError for garbage."""
        while True:
            try:
                length = frame_length(await self._reader.readexactly(LENGTH.size))
                body = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, OSError):
                return
            yield for_parent.decode(body)

    def request(self, message: Callable[[int], ToEngine]) -> tuple[int, "asyncio.Future[Answer]"]:
        """Send a request built with a fresh id; its answer arrives in the future. Raises WireError: it is too large."""
        request = next(self._ids)
        self.write(message(request))
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[request] = future
        return request, future

    def forget(self, request: int) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(request, None)

    def answered(self, answer: Answer) -> None:
        """Hand an answer to whoever waits for it; late ones are dropped."""
        future = self._waiting.pop(answer.id, None)
        if future is not None and not future.done():
            future.set_result(answer)

    def close(self, error: Callable[[], Exception]) -> None:
        """The engine is gone: everybody who still waits gets `error`."""
        self._writer.close()
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error())


__all__ = ["EngineConnection", "Listener", "WireError"]
