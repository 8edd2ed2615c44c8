"""The server's side of `Noise_XX_25519_AESGCM_SHA256` as WhatsApp Web speaks it, and its certificate chain.

Source: whatsmeow, `handshake.go` and `socket/noisehandshake.go`. Used by the connection of each client.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whatsam_simulator.crypto.keys import KeyPair, derive
from whatsam_simulator.errors import BadMac
from whatsam_simulator.wire.protobuf import decode, encode

PATTERN = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
PROLOGUE_SIZE = 4
CERTIFICATE_YEARS = 10


def certificate_chain(root: KeyPair, static_public: bytes, now: int) -> bytes:
    """What a client checks against its pinned root key: an intermediate signed by the root (issuer serial 0), and a
    leaf signed by the intermediate that names the server's static Noise key. `now`: Unix seconds."""
    intermediate = KeyPair()

    def certificate(signer: KeyPair, serial: int, issuer: int, key: bytes) -> bytes:
        until = now + CERTIFICATE_YEARS * 365 * 86400
        details = encode((1, serial), (2, issuer), (3, key), (4, now - 86400), (5, until))
        return encode((1, details), (2, signer.sign(details)))

    leaf = certificate(intermediate, 2, 1, static_public)
    return encode((1, leaf), (2, certificate(root, 1, 0, intermediate.public)))


class SymmetricState:
    """Key, nonce and hash of a handshake under way; client and server sides are the same here."""

    def __init__(self, prologue: bytes) -> None:
        self._hash = self._salt = PATTERN
        self._cipher, self._counter = AESGCM(PATTERN), 0
        self.authenticate(prologue)

    def authenticate(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def mix(self, secret: bytes) -> None:
        material = derive(secret, self._salt, b"", 64)
        self._salt = material[:32]
        self._cipher, self._counter = AESGCM(material[32:]), 0

    def encrypt(self, plain: bytes) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._counter), plain, self._hash)
        self._counter += 1
        self.authenticate(sealed)
        return sealed

    def decrypt(self, sealed: bytes) -> bytes:
        plain = _open(self._cipher, self._counter, sealed, self._hash)
        self._counter += 1
        self.authenticate(sealed)
        return plain

    def split(self) -> tuple[bytes, bytes]:
        """The two transport keys: what the client writes with, what it reads with."""
        material = derive(b"", self._salt, b"", 64)
        return material[:32], material[32:]


class ServerHandshake:
    """Answers a ClientHello and reads the ClientFinish."""

    def __init__(self, prologue: bytes, static: KeyPair, chain: bytes) -> None:
        self._state = SymmetricState(prologue)
        self._static, self._chain, self._ephemeral = static, chain, KeyPair()

    def hello(self, frame: bytes) -> bytes:
        """The ServerHello for the client's first frame."""
        client_ephemeral = decode(frame).message(2).data(1)
        state = self._state
        state.authenticate(client_ephemeral)
        state.authenticate(self._ephemeral.public)
        state.mix(self._ephemeral.agree(client_ephemeral))
        static = state.encrypt(self._static.public)
        state.mix(self._static.agree(client_ephemeral))
        chain = state.encrypt(self._chain)
        return encode((3, encode((1, self._ephemeral.public), (2, static), (3, chain))))

    def finish(self, frame: bytes) -> tuple[bytes, bytes, Transport]:
        """The client's static Noise key, its ClientPayload, and the transport that both sides use from now on."""
        message = decode(frame).message(4)
        client_static = self._state.decrypt(message.data(1))
        self._state.mix(self._ephemeral.agree(client_static))
        payload = self._state.decrypt(message.data(2))
        client_writes, client_reads = self._state.split()
        return client_static, payload, Transport(receive_key=client_writes, send_key=client_reads)


class Transport:
    """AES-GCM with a counter in each direction."""

    def __init__(self, receive_key: bytes, send_key: bytes) -> None:
        self._receive, self._send = AESGCM(receive_key), AESGCM(send_key)
        self._received = self._sent = 0

    def open(self, sealed: bytes) -> bytes:
        plain = _open(self._receive, self._received, sealed, None)
        self._received += 1
        return plain

    def seal(self, plain: bytes) -> bytes:
        sealed = self._send.encrypt(_nonce(self._sent), plain, None)
        self._sent += 1
        return sealed


def _nonce(counter: int) -> bytes:
    return bytes(8) + counter.to_bytes(4)


def _open(cipher: AESGCM, counter: int, sealed: bytes, associated: bytes | None) -> bytes:
    try:
        return cipher.decrypt(_nonce(counter), sealed, associated)
    except (InvalidTag, ValueError):
        raise BadMac("a Noise frame that cannot be opened") from None
