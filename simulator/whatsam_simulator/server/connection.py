"""One client's websocket: frames, handshake, and the loop that hands its stanzas on.

Whatever a client sends, only its own connection suffers: every error ends here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from aiohttp import WSMsgType, web

from whatsam_simulator.crypto.keys import KeyPair
from whatsam_simulator.crypto.noise import PROLOGUE_SIZE, ServerHandshake, Transport
from whatsam_simulator.errors import BadMac, BadSignature, MalformedInput, ProtocolError
from whatsam_simulator.journal.records import EndReason, ViolationKind
from whatsam_simulator.server.context import Context
from whatsam_simulator.wire.binary_xml import Codec
from whatsam_simulator.wire.jid import SERVER
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Device

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 60
"""A client that has not finished its handshake by then is sent away (whatsmeow itself gives up after 20 s)."""
VIOLATIONS: dict[type[ProtocolError], ViolationKind] = {
    BadMac: ViolationKind.BAD_MAC,
    BadSignature: ViolationKind.BAD_SIGNATURE,
}
SWALLOWED_SECONDS = 600
"""A connection through which nothing goes is forgotten after so long: its end cannot be seen."""
MAX_WAITING = 20_000
"""Stanzas that may wait for a client that does not read; then it is cut off (the mailbox keeps its messages)."""


@dataclass(frozen=True)
class ServerIdentity:
    """What the server proves itself with."""

    static: KeyPair
    chain: bytes
    codec: Codec


class Connection:
    """Implements `context.Link` for one websocket."""

    def __init__(
        self,
        connection_id: str,
        context: Context,
        identity: ServerIdentity,
        websocket: web.WebSocketResponse,
        transport: asyncio.BaseTransport | None,
    ) -> None:
        self.id = connection_id
        self.device: Device | None = None
        self.active = False
        self.noise_public = b""
        self._context = context
        self._identity = identity
        self._websocket = websocket
        self._transport = transport
        self._noise: Transport | None = None
        self._received = bytearray()
        self._outgoing: deque[Node] = deque()
        self._wake = asyncio.Event()
        self._ending = False

    # the client's side of Link

    def send(self, stanza: Node) -> None:
        if self._ending:
            return
        self._outgoing.append(stanza)
        self._wake.set()
        if len(self._outgoing) > MAX_WAITING:
            self.cut()

    def end(self, stanza: Node, reason: EndReason) -> None:
        self.send(stanza)
        self._release(reason)
        self._ending = True
        delay = self._context.faults.close_delay_seconds
        asyncio.get_running_loop().call_later(delay, self._close)

    def cut(self) -> None:
        self._release(EndReason.CLOSED)
        if self._transport is not None:
            # No isinstance: uvloop's transports have all methods of asyncio's and none of their base classes.
            cast("asyncio.WriteTransport", self._transport).abort()

    def swallow(self) -> None:
        self._release(EndReason.SWALLOWED)
        self._ending = True
        self._outgoing.clear()
        if self._transport is None:
            return
        cast("asyncio.ReadTransport", self._transport).pause_reading()
        abort = cast("asyncio.WriteTransport", self._transport).abort
        asyncio.get_running_loop().call_later(SWALLOWED_SECONDS, abort)

    # life

    async def run(self, begin: Callable[[Connection, bytes], None], handle: Callable[[Connection, Node], None]) -> None:
        """Serves the client until it leaves. `begin` gets the ClientPayload, `handle` each stanza."""
        self._context.links[self.id] = self
        writer = asyncio.ensure_future(self._write())
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                payload = await self._handshake()
            if payload is not None:
                begin(self, payload)
                await self._serve(handle)
        except ProtocolError as error:
            self._journal(error)
        except (TimeoutError, ConnectionError):
            log.debug("connection ended", extra={"connection": self.id})
        except Exception:
            log.exception("a handler failed; its connection is closed", extra={"connection": self.id})
        finally:
            writer.cancel()
            self._release(EndReason.CLOSED)
            self._context.links.pop(self.id, None)
            self._context.journal.closed(self.id)
            with contextlib.suppress(ConnectionError):
                await self._websocket.close()

    async def _handshake(self) -> bytes | None:
        """The ClientPayload; `None` when the client has left."""
        prologue = await self._take(PROLOGUE_SIZE)
        if prologue is None:
            return None
        if prologue[:2] != b"WA":
            raise MalformedInput("no WhatsApp prologue")
        handshake = ServerHandshake(prologue, self._identity.static, self._identity.chain)
        hello = await self._frame()
        if hello is None:
            return None
        if self._context.faults.silent_handshake:
            await asyncio.sleep(HANDSHAKE_SECONDS)
        await self._websocket.send_bytes(_framed(handshake.hello(hello)))
        finish = await self._frame()
        if finish is None:
            return None
        self.noise_public, payload, self._noise = handshake.finish(finish)
        return payload

    async def _serve(self, handle: Callable[[Connection, Node], None]) -> None:
        noise = self._noise
        self._wake.set()
        while noise is not None:
            frame = await self._frame()
            if frame is None:
                return
            stanza = self._identity.codec.unpack(noise.open(frame))
            self._trace("from", stanza)
            self._context.journal.heard(self.id)
            if not self._ending:
                handle(self, stanza)

    async def _frame(self) -> bytes | None:
        header = await self._take(3)
        return None if header is None else await self._take(int.from_bytes(header))

    async def _take(self, size: int) -> bytes | None:
        while len(self._received) < size:
            message = await self._websocket.receive()
            if message.type is not WSMsgType.BINARY:
                return None
            self._received += message.data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    async def _write(self) -> None:
        """Sends what is queued; several stanzas travel in one websocket message."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._noise is not None:
                    await self._flush(self._noise)
        except ConnectionError:
            log.debug("the client has left", extra={"connection": self.id})
        except Exception:
            log.exception("a stanza could not be sent; its connection is cut", extra={"connection": self.id})
            self.cut()

    async def _flush(self, noise: Transport) -> None:
        delay = self._context.faults.stanza_delay_seconds
        if delay and self._concerned:
            await asyncio.sleep(delay)
        message = bytearray()
        while self._outgoing:
            stanza = self._outgoing.popleft()
            self._trace("to", stanza)
            message += _framed(noise.seal(self._identity.codec.pack(stanza)))
        if message:
            await self._websocket.send_bytes(bytes(message))

    @property
    def _concerned(self) -> bool:
        return self._context.faults.concern(self.device.number if self.device else None)

    def _release(self, reason: EndReason) -> None:
        self.active = False
        self._context.journal.release(self.id, reason)
        if self.device is not None and self._context.online.get(self.device.key) is self:
            del self._context.online[self.device.key]

    def _close(self) -> None:
        task = asyncio.ensure_future(self._websocket.close())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _trace(self, direction: str, stanza: Node) -> None:
        if self._context.journal.settings.keep == "counts":
            return
        who = self.device.key if self.device else self.id
        self._context.trace.append((self._context.clock.monotonic(), direction, who, stanza))

    def _journal(self, error: ProtocolError) -> None:
        kind = VIOLATIONS.get(type(error), ViolationKind.MALFORMED)
        device = self.device.key if self.device else None
        self._context.journal.violation(kind, device, str(error), connections=[self.id])


def stream_error(code: int | None, conflict: str | None) -> Node:
    """`<stream:error>`: 515 restart, 401 with `device_removed`, 503, or a conflict `replaced`."""
    content = [element("conflict", {"type": conflict})] if conflict else None
    return element("stream:error", {"code": code}, content)


def result(iq: Node, content: list[Node] | None = None) -> Node:
    """The answer to a query."""
    return element("iq", {"from": iq.get_jid("to") or SERVER, "type": "result", "id": iq.text("id")}, content)


def refusal(iq: Node, code: int, text: str) -> Node:
    """The error answer to a query."""
    return element(
        "iq", {"from": SERVER, "type": "error", "id": iq.text("id")}, [element("error", {"code": code, "text": text})]
    )


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(3) + data
