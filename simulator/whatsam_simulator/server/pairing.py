"""Linking a companion: QR code and pairing code, on the server's and the phone's side; for passkeys see `passkeys`.

The phone "scans" when the control API says so. Source: whatsmeow, `pair.go`, `pair-code.go`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whatsam_simulator.crypto.device_identity import check_answer, sealed_identity
from whatsam_simulator.crypto.keys import KeyPair, derive, raw_public, verify, wire_public
from whatsam_simulator.errors import BadSignature, MalformedInput, QueryRefused, RequestRefused, UnknownItem
from whatsam_simulator.journal.records import EndReason, ViolationKind
from whatsam_simulator.server.connection import Connection, refusal, result, stream_error
from whatsam_simulator.server.context import Context
from whatsam_simulator.server.passkeys import Ceremony, Passkeys
from whatsam_simulator.wire.jid import SERVER
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import Fields
from whatsam_simulator.world.records import Device, SignedPrekey

CODE_ROUNDS = 2 << 16
"""PBKDF2 rounds between the pairing code and its key."""
ANSWER_SECONDS = 15
"""How long a client may take to answer a pairing code."""


@dataclass
class CodeRequest:
    """A client that has shown a pairing code and waits for the phone."""

    number: str
    reference: bytes
    wrapped_key: bytes
    ephemeral: KeyPair = field(default_factory=KeyPair)
    companion_ephemeral: bytes = b""
    answer: asyncio.Future[Device] | None = None


@dataclass
class PairingClient:
    """A connection without a session, and what it said of itself."""

    link: Connection
    registration: bytes
    identity: bytes
    signed_prekey: SignedPrekey
    references: list[str] = field(default_factory=list[str])
    code: CodeRequest | None = None
    device: Device | None = None
    """It was told that it is linked."""
    coming: Device | None = None
    """What it will be, once the passkey was given."""
    ceremony: Ceremony | None = None


class Pairing:
    """All clients that wait to be linked."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._clients: dict[str, PairingClient] = {}
        self.passkeys = Passkeys(context)

    # the server's side

    def begin(self, link: Connection, data: Fields) -> None:
        """A client without a session has connected: it gets its QR references."""
        identity = raw_public(data.data(3))
        prekey = SignedPrekey(data.data(4), raw_public(data.data(5)), data.data(6))
        if not verify(identity, wire_public(prekey.public), prekey.signature):
            raise BadSignature("the signed prekey of a pairing client is not signed by its identity")
        codes = self._context.faults.qr_codes
        references = [f"2@{base64.b64encode(os.urandom(24)).decode()}" for _ in range(codes)]
        self._clients[link.id] = PairingClient(link, data.data(1), identity, prekey, references)
        content = [element("ref", {}, reference) for reference in references]
        attrs = {"from": SERVER, "type": "set", "id": "pair-0", "xmlns": "md"}
        link.send(element("iq", attrs, [element("pair-device", {}, content)]))

    def gone(self, link: Connection) -> None:
        client = self._clients.pop(link.id, None)
        if client is not None and client.code is not None:
            _fail(client.code, RequestRefused("the client left before it was linked"))

    def handle(self, link: Connection, stanza: Node) -> None:
        """A stanza of a client that is not linked yet."""
        client = self._clients.get(link.id)
        if client is None or stanza.tag != "iq":
            return
        if stanza.get("type") in ("result", "error"):
            answer = stanza.child("pair-device-sign")
            if answer is not None and client.device is not None:
                self._confirm(client, client.device, answer)
            elif stanza.get("type") == "error" and client.device is not None:
                client.device = None
            return
        if client.ceremony is not None and client.coming is not None:
            self._go_on(client, client.ceremony, client.coming, stanza)
            return
        request = stanza.child("link_code_companion_reg")
        if request is None:
            link.send(result(stanza))
        elif request.get("stage") == "companion_hello":
            self._offer_code(client, stanza, request)
        else:
            link.send(result(stanza))
            self._finish_code(client, stanza, request.need("link_code_pairing_wrapped_key_bundle").data)

    def _go_on(self, client: PairingClient, ceremony: Ceremony, device: Device, iq: Node) -> None:
        try:
            keys = self.passkeys.handle(client.link, ceremony, iq)
        except QueryRefused as error:
            client.link.send(refusal(iq, error.code, error.text))
            return
        if keys is None:
            return
        if (keys.noise, raw_public(keys.identity)) != (client.link.noise_public, client.identity):
            raise BadSignature("the keys in the pairing request are not those of the client that waits")
        client.ceremony = None
        self._link(client, device, keys.adv_secret)

    def _confirm(self, client: PairingClient, device: Device, answer: Node) -> None:
        world = self._context.world
        account = world.account(device.number)
        check_answer(answer.need("device-identity").data, account.keys.public, client.identity)
        account.devices[device.id] = device
        world.changed.add(account.number)
        del self._clients[client.link.id]
        client.link.end(stream_error(515, None), EndReason.STREAM_ERROR)

    def _offer_code(self, client: PairingClient, iq: Node, request: Node) -> None:
        reference = os.urandom(12)
        wrapped = request.need("link_code_pairing_wrapped_companion_ephemeral_pub").data
        if len(wrapped) != 80:
            raise MalformedInput("a wrapped pairing key of a wrong length")
        client.code = CodeRequest(request.jid("jid").user, reference, wrapped)
        content = [element("link_code_pairing_ref", {}, reference)]
        answer = element("link_code_companion_reg", {"stage": "companion_hello"}, content)
        client.link.send(result(iq, [answer]))

    # the phone's side

    def scan(self, number: str, qr: str) -> Device:
        """The phone of `number` scans what a client shows; raises `UnknownItem` or `RequestRefused`."""
        try:
            reference, noise, identity, secret = qr.rsplit("#", 1)[-1].split(",")[:4]
            keys = [base64.b64decode(key, validate=True) for key in (noise, identity, secret)]
        except (ValueError, binascii.Error):
            raise RequestRefused("this is no WhatsApp QR code: reference and three keys expected") from None
        client = next((c for c in self._clients.values() if reference in c.references), None)
        if client is None:
            raise UnknownItem("no client waits with this QR code: it is used, too old, or its client has left")
        if keys[0] != client.link.noise_public or keys[1] != client.identity:
            raise RequestRefused("the keys in the QR code are not those of the client that waits")
        return self._approve(client, number, keys[2])

    async def enter_code(self, number: str, code: str) -> Device:
        """Somebody types the code that a client shows into the phone; raises `UnknownItem` or `RequestRefused`."""
        client = next((c for c in self._clients.values() if c.code and c.code.number == number), None)
        if client is None or client.code is None:
            raise UnknownItem("no client waits with a pairing code for this number")
        request, account = client.code, self._context.world.ensure_account(number)
        key = code.replace("-", "").upper().encode()
        wrapped = request.wrapped_key
        request.companion_ephemeral = _code_cipher(key, wrapped[:32], wrapped[32:48], wrapped[48:])
        salt, iv = os.urandom(32), os.urandom(16)
        request.answer = asyncio.get_running_loop().create_future()
        wrapped_own = salt + iv + _code_cipher(key, salt, iv, request.ephemeral.public)
        content = [
            element("link_code_pairing_wrapped_primary_ephemeral_pub", {}, wrapped_own),
            element("primary_identity_pub", {}, account.keys.public),
            element("link_code_pairing_ref", {}, request.reference),
        ]
        attrs = {"from": SERVER, "type": "link_code_companion_reg", "id": os.urandom(5).hex()}
        hello = element("link_code_companion_reg", {"stage": "primary_hello"}, content)
        client.link.send(element("notification", {**attrs, "t": self._context.timestamp()}, [hello]))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await request.answer
        except TimeoutError:
            raise RequestRefused(f"the client did not answer the pairing code within {ANSWER_SECONDS} s") from None

    def _finish_code(self, client: PairingClient, iq: Node, bundle: bytes) -> None:
        request = client.code
        if request is None or request.answer is None:
            raise MalformedInput("a pairing code finished before it was entered")
        account = self._context.world.account(request.number)
        try:
            shared = request.ephemeral.agree(request.companion_ephemeral)
            key = derive(shared, bundle[:32], b"link_code_pairing_key_bundle_encryption_key", 32)
            plain = AESGCM(key).decrypt(bundle[32:44], bundle[44:], None)
        except (InvalidTag, ValueError, MalformedInput):
            _fail(request, RequestRefused("wrong pairing code"))
            self._context.journal.violation(ViolationKind.BAD_MAC, None, "pairing code: the client's key bundle")
            client.link.send(refusal(iq, 400, "bad-request"))
            return
        identity, random = plain[:32], plain[64:]
        secret = derive(shared + account.keys.agree(identity) + random, None, b"adv_secret", 32)
        device = self._approve(client, request.number, secret)
        if not request.answer.done():
            request.answer.set_result(device)

    def _approve(self, client: PairingClient, number: str, secret: bytes) -> Device:
        account = self._context.world.ensure_account(number)
        device = Device(
            number,
            account.lid_user,
            account.next_device,
            noise_public=client.link.noise_public,
            registration=client.registration,
            identity=client.identity,
            signed_prekey=client.signed_prekey,
        )
        account.next_device += 1
        client.coming, client.references = device, []
        client.ceremony = self.passkeys.begin(client.link, number, secret)
        if client.ceremony is None:
            self._link(client, device, secret)
        return device

    def _link(self, client: PairingClient, device: Device, secret: bytes) -> None:
        account, number = self._context.world.account(device.number), device.number
        client.device = device
        if self._context.faults.wrong_pairing_hmac and self._context.faults.concern(number):
            secret = os.urandom(32)
        now = self._context.timestamp()
        content = [
            element("device-identity", {}, sealed_identity(account.keys, secret, client.identity, device.id, now)),
            element("device", {"jid": device.pn, "lid": device.lid}),
            element("platform", {"name": "android"}),
        ]
        attrs = {"from": SERVER, "type": "set", "id": "pair-1", "t": now}
        client.link.send(element("iq", attrs, [element("pair-success", {}, content)]))

    def close_all(self) -> int:
        """Ends the connections of all clients that wait; tells how many."""
        clients = list(self._clients.values())
        for client in clients:
            client.link.cut()
        return len(clients)

    @property
    def waiting(self) -> int:
        return len(self._clients)


def _code_cipher(code: bytes, salt: bytes, iv: bytes, data: bytes) -> bytes:
    key = hashlib.pbkdf2_hmac("sha256", code, salt, CODE_ROUNDS, 32)
    return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(data)


def _fail(request: CodeRequest, error: Exception) -> None:
    if request.answer is not None and not request.answer.done():
        request.answer.set_exception(error)
