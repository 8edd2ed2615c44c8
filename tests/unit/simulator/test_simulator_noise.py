"""The Noise handshake against a client's side written from the pattern's description, and the certificate chain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_laws import law
from simulator_noise_client import ClientHandshake

from whatsam_simulator.crypto.keys import KeyPair, verify
from whatsam_simulator.crypto.noise import ServerHandshake, certificate_chain
from whatsam_simulator.errors import BadMac, MalformedInput
from whatsam_simulator.wire.protobuf import decode

PROLOGUE = b"WA\x06\x03"
NOW = 1_800_000_000


def test_client_and_server_agree_on_keys_payload_and_chain() -> None:
    root, static, own = KeyPair(), KeyPair(), KeyPair()
    server = ServerHandshake(PROLOGUE, static, certificate_chain(root, static.public, NOW))
    client = ClientHandshake(PROLOGUE, own)
    finish, transport = client.finish(server.hello(client.hello()), b"payload")
    client_static, payload, server_transport = server.finish(finish)
    assert (client_static, payload) == (own.public, b"payload")
    for number in range(3):
        text = b"%d" % number
        assert server_transport.open(transport.seal(text)) == text
        assert transport.open(server_transport.seal(text)) == text
    assert client.server_static == static.public
    leaf, intermediate = decode(client.chain).message(1), decode(client.chain).message(2)
    assert verify(root.public, intermediate.data(1), intermediate.data(2))
    middle = intermediate.message(1).data(3)
    assert verify(middle, leaf.data(1), leaf.data(2))
    details = leaf.message(1)
    assert details.data(3) == static.public
    assert details.integer(4) < NOW < details.integer(5)


def test_a_frame_that_was_changed_or_repeated_is_refused() -> None:
    static = KeyPair()
    server = ServerHandshake(PROLOGUE, static, b"chain")
    client = ClientHandshake(PROLOGUE, KeyPair())
    finish, transport = client.finish(server.hello(client.hello()), b"")
    _, _, server_transport = server.finish(finish)
    frame = transport.seal(b"text")
    with pytest.raises(BadMac):
        server_transport.open(frame[:-1] + bytes([frame[-1] ^ 1]))
    assert server_transport.open(frame) == b"text"
    with pytest.raises(BadMac):
        server_transport.open(frame)


@law
@given(st.binary(max_size=150))
def test_garbage_in_the_handshake_raises_protocol_errors_only(data: bytes) -> None:
    server = ServerHandshake(PROLOGUE, KeyPair(), b"chain")
    with pytest.raises((MalformedInput, BadMac)):
        server.hello(data)
    server = ServerHandshake(PROLOGUE, KeyPair(), b"chain")
    server.hello(ClientHandshake(PROLOGUE, KeyPair()).hello())
    with pytest.raises((MalformedInput, BadMac)):
        server.finish(data)
