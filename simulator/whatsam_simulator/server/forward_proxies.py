"""Proxies for tests of clients that dial through one: HTTP CONNECT and SOCKS5, with or without a password.

Whatever a client asks for, it is connected with the simulator's own TLS site and with nothing else. One exception: who
asks for the port of the simulator's first proxy gets that one, since neonize dials the proxy of its environment through
a SOCKS proxy. Made and ended through the control API; each counts who came.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["http", "socks5"]
HEAD_SECONDS = 30
MAX_HEAD = 16_384
CHUNK = 65_536
SOCKS, NO_PASSWORD, WITH_PASSWORD, NO_METHOD = 5, 0, 2, 255
ADDRESS_SIZES = {1: 4, 4: 16}
"""IPv4, IPv6; a name (3) says its length itself."""
NAME, CONNECT = 3, 1


@dataclass
class Counts:
    """What a proxy has seen."""

    connections: int = 0
    """TCP connections."""
    tunnels: int = 0
    """Those that were let through."""
    refused: int = 0
    """Those with a wrong password, or that asked for something else than a tunnel."""
    targets: dict[str, int] = field(default_factory=dict[str, int])
    """host:port → how often it was asked for."""


@dataclass(frozen=True)
class Address:
    """Where the simulator listens for clients."""

    host: str
    tls_port: int
    proxy_port: int


class Refused(Exception):
    """The client is sent away with these bytes."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


class ForwardProxy:
    """One listening proxy. `silent`: takes connections and never answers."""

    def __init__(self, kind: Kind, simulator: Address, user: str, password: str, *, silent: bool = False) -> None:
        self.kind: Kind = kind
        self.user, self.password, self.silent = user, password, silent
        self.counts = Counts()
        self.port = 0
        self._simulator = simulator
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, host: str, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops to listen and cuts everybody."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> int:
        """Ends all connections; tells how many."""
        writers = list(self._open)
        for writer in writers:
            writer.transport.abort()
        return len(writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        self._open.add(writer)
        try:
            if self.silent:
                await reader.read()
                return
            async with asyncio.timeout(HEAD_SECONDS):
                asked, welcome = await (self._http(reader) if self.kind == "http" else self._socks(reader, writer))
            await self._tunnel(reader, writer, asked, welcome)
        except Refused as refused:
            self.counts.refused += 1
            writer.write(refused.answer)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client or the site has left: nothing to tell anybody
        finally:
            self._open.discard(writer)
            writer.close()

    async def _http(self, reader: asyncio.StreamReader) -> tuple[str, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n"))[:MAX_HEAD].decode("latin-1")
        lines = head.split("\r\n")
        words = lines[0].split()
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        expected = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.user and not hmac.compare_digest(headers.get("proxy-authorization", ""), expected):
            raise Refused(b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n')
        if len(words) != 3 or words[0] != "CONNECT":
            raise Refused(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
        return words[1], b"HTTP/1.1 200 Connection established\r\n\r\n"

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, bytes]:
        version, methods = await reader.readexactly(2)
        offered = await reader.readexactly(methods)
        method = WITH_PASSWORD if self.user else NO_PASSWORD
        if version != SOCKS or method not in offered:
            raise Refused(bytes([SOCKS, NO_METHOD]))
        writer.write(bytes([SOCKS, method]))
        if method == WITH_PASSWORD:
            await self._check_password(reader, writer)
        _, command, _, kind = await reader.readexactly(4)
        if kind == NAME:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("latin-1")
        else:
            host = (await reader.readexactly(ADDRESS_SIZES.get(kind, 4))).hex()
        port = int.from_bytes(await reader.readexactly(2))
        if command != CONNECT:
            raise Refused(bytes([SOCKS, 7, 0, 1, 0, 0, 0, 0, 0, 0]))
        return f"{host}:{port}", bytes([SOCKS, 0, 0, 1, 0, 0, 0, 0, 0, 0])

    async def _check_password(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, size = await reader.readexactly(2)
        user = await reader.readexactly(size)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        if not hmac.compare_digest(user + b"\0" + password, f"{self.user}\0{self.password}".encode()):
            raise Refused(b"\x01\x01")
        writer.write(b"\x01\x00")

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: str, welcome: bytes
    ) -> None:
        self.counts.tunnels += 1
        self.counts.targets[asked] = self.counts.targets.get(asked, 0) + 1
        at = self._simulator
        port = at.proxy_port if asked.endswith(f":{at.proxy_port}") else at.tls_port
        site_reader, site_writer = await asyncio.open_connection(at.host, port)
        self._open.add(site_writer)
        writer.write(welcome)
        try:
            copies = (_copy(reader, site_writer), _copy(site_reader, writer))
            await asyncio.gather(*copies, return_exceptions=True)
        finally:
            self._open.discard(site_writer)
            site_writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Until one side ends; then the other is told."""
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    finally:
        if target.can_write_eof():
            with contextlib.suppress(OSError):
                target.write_eof()
        else:
            target.close()


class ForwardProxies:
    """All of them, by port."""

    def __init__(self) -> None:
        self._proxies: dict[int, ForwardProxy] = {}

    async def add(self, proxy: ForwardProxy, host: str, port: int) -> None:
        await proxy.start(host, port)
        self._proxies[proxy.port] = proxy

    def all(self) -> list[ForwardProxy]:
        return list(self._proxies.values())

    def get(self, port: int) -> ForwardProxy | None:
        return self._proxies.get(port)

    async def remove(self, port: int) -> None:
        proxy = self._proxies.pop(port, None)
        if proxy is not None:
            await proxy.stop()

    async def stop(self) -> None:
        for port in list(self._proxies):
            await self.remove(port)
