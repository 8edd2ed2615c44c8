"""A WhatsApp client of a few lines: it does what it is told, wrong things included. For tests of the server."""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass, field

import aiohttp
from simulator_noise_client import ClientHandshake

from whatsam_simulator.crypto.device_identity import ACCOUNT_KEY, ACCOUNT_PROOF, DETAILS, DEVICE_PROOF, DEVICE_SIGNATURE
from whatsam_simulator.crypto.keys import KeyPair
from whatsam_simulator.crypto.noise import Transport
from whatsam_simulator.crypto.signal_device import SIGNED_PREKEY, SignalDevice
from whatsam_simulator.wire.binary_xml import Codec
from whatsam_simulator.wire.jid import SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import decode, encode

PROLOGUE = b"WA\x06\x03"
SECONDS = 10


@dataclass
class RawClient:
    """One client; its keys outlive a connection."""

    proxy: str
    tls: ssl.SSLContext
    codec: Codec
    noise: KeyPair = field(default_factory=KeyPair)
    signal: SignalDevice = field(default_factory=lambda: SignalDevice(KeyPair()))
    secret: bytes = field(default_factory=lambda: b"s" * 32)
    jid: Jid | None = None
    lid: Jid | None = None
    identity: bytes = b""

    async def open(self, payload: bytes) -> None:
        """Connects and finishes the handshake."""
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(
            "https://web.whatsapp.com/ws/chat", proxy=self.proxy, ssl=self.tls, max_msg_size=0
        )
        self._received = bytearray()
        handshake = ClientHandshake(PROLOGUE, self.noise)
        await self._socket.send_bytes(PROLOGUE + framed(handshake.hello()))
        finish, self._transport = handshake.finish(await self._frame(), payload)
        await self._socket.send_bytes(framed(finish))

    @property
    def transport(self) -> Transport:
        return self._transport

    async def open_unpaired(self) -> list[str]:
        """Connects as a new client; returns the QR references."""
        signature = self.signal.signed_prekey_signature()
        registration = encode(
            (1, self.signal.registration_id.to_bytes(4)),
            (2, b"\x05"),
            (3, self.signal.identity.public),
            (4, SIGNED_PREKEY.to_bytes(3)),
            (5, self.signal.signed_prekey.public),
            (6, signature),
        )
        await self.open(encode((19, registration)))
        offer = await self.receive()
        return [ref.data.decode() for ref in offer.need("pair-device").children]

    def qr(self, reference: str) -> str:
        keys = (self.noise.public, self.signal.identity.public, self.secret)
        return ",".join([reference, *(base64.b64encode(key).decode() for key in keys)])

    async def confirm(self, *, good: bool = True) -> None:
        """Answers `pair-success`."""
        success = (await self.receive()).need("pair-success")
        self.jid, self.lid = success.need("device").jid("jid"), success.need("device").jid("lid")
        identity = decode(decode(success.need("device-identity").data).data(1))
        details, account = identity.data(DETAILS), identity.data(ACCOUNT_KEY)
        signer = self.signal.identity if good else KeyPair()
        proof = signer.sign(DEVICE_SIGNATURE + details + self.signal.identity.public + account)
        fields = ((DETAILS, details), (ACCOUNT_PROOF, identity.data(ACCOUNT_PROOF)), (DEVICE_PROOF, proof))
        self.identity = encode(*fields, (ACCOUNT_KEY, account))
        answer = element("pair-device-sign", {}, [element("device-identity", {"key-index": 1}, encode(*fields))])
        await self.send(element("iq", {"to": SERVER, "type": "result", "id": "pair-1"}, [answer]))

    async def login(self) -> Node:
        """Connects as the paired device; returns the server's first word."""
        assert self.jid is not None
        await self.open(encode((1, int(self.jid.user)), (18, self.jid.device)))
        return await self.receive()

    async def go_online(self) -> None:
        """Uploads keys and asks for messages."""
        await self.ask(self.upload())
        await self.ask(element("iq", {"to": SERVER, "xmlns": "passive", "type": "set", "id": "p"}, [element("active")]))

    def upload(self, signature: bytes | None = None) -> Node:
        signed = [
            element("id", {}, SIGNED_PREKEY.to_bytes(3)),
            element("value", {}, self.signal.signed_prekey.public),
            element("signature", {}, signature or self.signal.signed_prekey_signature()),
        ]
        keys = [
            element("key", {}, [element("id", {}, number.to_bytes(3)), element("value", {}, public)])
            for number, public in self.signal.make_prekeys().items()
        ]
        content = [
            element("registration", {}, self.signal.registration_id.to_bytes(4)),
            element("type", {}, b"\x05"),
            element("identity", {}, self.signal.identity.public),
            element("list", {}, keys),
            element("skey", {}, signed),
        ]
        return element("iq", {"to": SERVER, "xmlns": "encrypt", "type": "set", "id": "keys"}, content)

    async def ask(self, iq: Node) -> Node:
        """Sends a query and returns its answer; other stanzas in between are dropped."""
        await self.send(iq)
        while True:
            answer = await self.receive()
            if answer.tag == "iq" and answer.get("id") == iq.get("id"):
                return answer

    async def send(self, stanza: Node) -> None:
        await self.send_frame(self._transport.seal(self.codec.pack(stanza)))

    async def send_frame(self, data: bytes) -> None:
        await self._socket.send_bytes(framed(data))

    async def receive(self) -> Node:
        return self.codec.unpack(self._transport.open(await self._frame()))

    async def _frame(self) -> bytes:
        while True:
            if len(self._received) >= 3:
                end = 3 + int.from_bytes(self._received[:3])
                if len(self._received) >= end:
                    frame = bytes(self._received[3:end])
                    del self._received[:end]
                    return frame
            async with asyncio.timeout(SECONDS):
                message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise ConnectionResetError("the server has closed the connection")
            self._received += message.data

    async def closed(self) -> bool:
        """Whether the server ends the connection; reads what comes before."""
        try:
            while True:
                await self._frame()
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        await self._session.close()


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(3) + data
