"""A connector's HTTP port, played by hand: answers sends and calls as it is told to, and says what it saw."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    """One call that came."""

    path: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""

    @property
    def message_id(self) -> str:
        return self.path.split("/messages/")[1].split("/")[0]

    @property
    def method(self) -> str:
        """Name of the call, for `…/calls/<method>`."""
        return self.path.split("/calls/")[1].split("?")[0]

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the call."""
        return json.loads(self.body)


class FakeConnector:
    """Listens on loopback. `answer` says what becomes of a call: a status (and a body), after whatever it awaits."""

    def __init__(self) -> None:
        self.calls: list[Seen] = []
        self.answer: Callable[[Seen], Awaitable[int | tuple[int, dict[str, Any]]]] = self._fine
        self._server: asyncio.Server | None = None
        self.endpoint = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    @staticmethod
    async def _fine(_: Seen) -> int:
        return 200

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            sent = await reader.readexactly(int(headers.get("content-length", "0")))
            call = Seen(head[0].split(" ")[1], headers, sent)
            self.calls.append(call)
            answer = await self.answer(call)
            status, told = answer if isinstance(answer, tuple) else (answer, {"code": "TOLD_SO"})
            body = json.dumps(told).encode()
            writer.write(
                f"HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
