"""The client's side of the handshake, for tests of the server's side."""

from __future__ import annotations

from whatsam_simulator.crypto.keys import KeyPair
from whatsam_simulator.crypto.noise import SymmetricState, Transport
from whatsam_simulator.wire.protobuf import decode, encode


class ClientHandshake:
    """Noise XX as initiator."""

    def __init__(self, prologue: bytes, static: KeyPair) -> None:
        self._state = SymmetricState(prologue)
        self._static, self._ephemeral = static, KeyPair()
        self.server_static = self.chain = b""

    def hello(self) -> bytes:
        self._state.authenticate(self._ephemeral.public)
        return encode((2, encode((1, self._ephemeral.public))))

    def finish(self, server_hello: bytes, payload: bytes) -> tuple[bytes, Transport]:
        fields = decode(server_hello).message(3)
        ephemeral = fields.data(1)
        self._state.authenticate(ephemeral)
        self._state.mix(self._ephemeral.agree(ephemeral))
        self.server_static = self._state.decrypt(fields.data(2))
        self._state.mix(self._ephemeral.agree(self.server_static))
        self.chain = self._state.decrypt(fields.data(3))
        static = self._state.encrypt(self._static.public)
        self._state.mix(self._static.agree(ephemeral))
        sealed = self._state.encrypt(payload)
        writes, reads = self._state.split()
        return encode((4, encode((1, static), (2, sealed)))), Transport(receive_key=reads, send_key=writes)
