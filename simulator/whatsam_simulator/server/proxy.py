"""An HTTP CONNECT proxy whose every destination is the simulator's own site.

Clients get here by `HTTPS_PROXY`. After CONNECT the socket itself is turned into a TLS connection of the site: no bytes
are copied between two sockets, and a client that dies is seen by the site at once.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import cast

from whatsam_simulator.server.context import Context

log = logging.getLogger(__name__)

MAX_HEAD = 16_384
HEAD_SECONDS = 30
TLS_SECONDS = 30


class ProxyProtocol(asyncio.Protocol):
    """One client of the proxy, until its TLS connection takes over."""

    def __init__(self, context: Context, tls: ssl.SSLContext, site: Callable[[], asyncio.Protocol]) -> None:
        self._context, self._tls, self._site = context, tls, site
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have all methods of asyncio's and none of their base classes.
        self._transport = transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(HEAD_SECONDS, transport.abort)
        if self._context.faults.refuse_connections:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        if self._upgrade is not None or self._transport is None:
            return
        self._head += data
        if b"\r\n\r\n" in self._head:
            self._answer(self._transport, bytes(self._head))
        elif len(self._head) > MAX_HEAD:
            self._refuse(self._transport, "431 Request Header Fields Too Large")

    def _answer(self, transport: asyncio.Transport, head: bytes) -> None:
        words = head.split(b"\r\n", 1)[0].split()
        # A client that does not wait for the answer before it begins TLS would lose what it has sent.
        if not head.endswith(b"\r\n\r\n") or len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            self._refuse(transport, "400 Bad Request")
        elif words[0] != b"CONNECT":
            self._refuse(transport, "405 Method Not Allowed")
        else:
            transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._upgrade = asyncio.ensure_future(self._enter(transport))

    @staticmethod
    def _refuse(transport: asyncio.Transport, status: str) -> None:
        transport.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        transport.close()

    async def _enter(self, transport: asyncio.Transport) -> None:
        entry = _Entry()
        try:
            secure = await asyncio.get_running_loop().start_tls(
                transport, entry, self._tls, server_side=True, ssl_handshake_timeout=TLS_SECONDS
            )
        except (OSError, TimeoutError, ssl.SSLError) as error:
            log.debug("no TLS behind CONNECT", extra={"error": str(error)})
            transport.abort()
            return
        finally:
            if self._deadline is not None:
                self._deadline.cancel()
        if secure is None:
            return
        entry.hand_over(secure, self._site())


class _Entry(asyncio.Protocol):
    """Keeps what arrives between the end of the TLS handshake and the moment the site's protocol is in place."""

    def __init__(self) -> None:
        self._early = bytearray()
        self._lost = False

    def data_received(self, data: bytes) -> None:
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        if self._lost:
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(bytes(self._early))
