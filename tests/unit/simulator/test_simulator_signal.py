"""The laws of the Signal protocol, and that a refused message changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_laws import law

from whatsam_simulator.crypto.keys import KeyPair, verify
from whatsam_simulator.crypto.media import KEY_INFO, open_sealed, seal
from whatsam_simulator.crypto.ratchet import MAX_JUMP, Bundle
from whatsam_simulator.crypto.sender_keys import OwnSenderKey, ReceivedSenderKeys
from whatsam_simulator.crypto.signal_device import SIGNED_PREKEY, SignalDevice, pad, unpad
from whatsam_simulator.errors import BadMac, BadSignature, MalformedInput, NoSession, TooFarAhead, UsedMessageKey


def bundle_of(device: SignalDevice, *, one_time: bool = True) -> Bundle:
    prekey = next(iter(device.make_prekeys(1).items())) if one_time else (None, None)
    return Bundle(device.identity.public, SIGNED_PREKEY, device.signed_prekey.public, *prekey)


def conversation() -> tuple[SignalDevice, SignalDevice]:
    """Two devices that have exchanged a message each way."""
    ada, bob = SignalDevice(KeyPair()), SignalDevice(KeyPair())
    kind, message = ada.encrypt("bob", b"hello", lambda: bundle_of(bob))
    assert (kind, bob.decrypt("ada", kind, message)) == ("pkmsg", b"hello")
    kind, message = bob.encrypt("ada", b"hi", lambda: bundle_of(ada))
    assert (kind, ada.decrypt("bob", kind, message)) == ("msg", b"hi")
    return ada, bob


def no_bundle() -> Bundle:
    raise AssertionError("a session exists")


@law
@given(st.data(), st.booleans())
def test_messages_are_read_in_any_order_and_never_twice(data: st.DataObject, one_time: bool) -> None:
    """Sends and deliveries interleave freely; fewer ratchet steps than a receiver keeps chains."""
    ada, bob = SignalDevice(KeyPair()), SignalDevice(KeyPair())
    bob.decrypt("ada", *ada.encrypt("bob", b"first", lambda: bundle_of(bob, one_time=one_time)))
    devices = {"ada": ada, "bob": bob}
    waiting: list[tuple[str, str, str, bytes, bytes]] = []
    read: list[tuple[str, str, str, bytes, bytes]] = []
    for number in range(data.draw(st.integers(1, 9))):
        if waiting and data.draw(st.booleans(), label="deliver"):
            sender, receiver, kind, message, plain = one = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            assert devices[receiver].decrypt(sender, kind, message) == plain
            read.append(one)
        else:
            sender, receiver = data.draw(st.permutations(["ada", "bob"]), label="sender, receiver")
            kind, message = devices[sender].encrypt(receiver, b"%d" % number, no_bundle)
            waiting.append((sender, receiver, kind, message, b"%d" % number))
    for sender, receiver, kind, message, plain in waiting:
        assert devices[receiver].decrypt(sender, kind, message) == plain
    for sender, receiver, kind, message, _ in read + waiting:
        with pytest.raises(UsedMessageKey):
            devices[receiver].decrypt(sender, kind, message)


def test_a_damaged_message_is_refused_and_the_good_copy_still_read() -> None:
    ada, bob = conversation()
    kind, message = ada.encrypt("bob", b"text", no_bundle)
    for position in (1, 20, len(message) - 12, len(message) - 1):
        damaged = bytearray(message)
        damaged[position] ^= 1
        with pytest.raises((BadMac, MalformedInput, NoSession, TooFarAhead, UsedMessageKey)):
            bob.decrypt("ada", kind, bytes(damaged))
    assert bob.decrypt("ada", kind, message) == b"text"


def test_the_jump_limit() -> None:
    ada, bob = conversation()
    kind, message = ada.encrypt("bob", b"start", no_bundle)
    bob.decrypt("ada", kind, message)
    session = ada.sessions["bob"][0]
    for _ in range(MAX_JUMP):
        session.encrypt(b"lost\1")
    kind, reachable = ada.encrypt("bob", b"reachable", no_bundle)
    kind, beyond = ada.encrypt("bob", b"beyond", no_bundle)
    with pytest.raises(TooFarAhead):
        bob.decrypt("ada", kind, beyond)
    assert bob.decrypt("ada", kind, reachable) == b"reachable"
    assert bob.decrypt("ada", kind, beyond) == b"beyond"


def test_a_used_prekey_starts_no_second_session() -> None:
    ada, eve, bob = (SignalDevice(KeyPair()) for _ in range(3))
    bundle = bundle_of(bob)
    assert bob.decrypt("ada", *ada.encrypt("bob", b"hello", lambda: bundle)) == b"hello"
    with pytest.raises(NoSession):
        bob.decrypt("eve", *eve.encrypt("bob", b"hello", lambda: bundle))


def test_without_a_session_nothing_is_read() -> None:
    ada, _ = conversation()
    with pytest.raises(NoSession):
        SignalDevice(KeyPair()).decrypt("ada", *ada.encrypt("bob", b"text", no_bundle))


@law
@given(st.permutations(range(8)), st.binary(max_size=100))
def test_group_messages_are_read_in_any_order_and_never_twice(order: list[int], plain: bytes) -> None:
    own, received = OwnSenderKey(), ReceivedSenderKeys()
    received.learn(own.distribution(), replace=False)
    messages = [own.encrypt(plain + b"%d" % number) for number in range(len(order))]
    for number in order:
        assert received.decrypt(messages[number]) == plain + b"%d" % number
    for message in messages:
        with pytest.raises(UsedMessageKey):
            received.decrypt(message)


def test_group_messages_need_key_and_signature() -> None:
    own, received = OwnSenderKey(), ReceivedSenderKeys()
    with pytest.raises(NoSession):
        received.decrypt(own.encrypt(b"text"))
    received.learn(own.distribution(), replace=False)
    message = bytearray(own.encrypt(b"text"))
    message[-1] ^= 1
    with pytest.raises(BadSignature):
        received.decrypt(bytes(message))
    message[-1] ^= 1
    assert received.decrypt(bytes(message)) == b"text"


def test_a_repeated_distribution_resets_only_when_asked_to() -> None:
    own, received = OwnSenderKey(), ReceivedSenderKeys()
    start, message = own.distribution(), own.encrypt(b"text")
    received.learn(start, replace=False)
    assert received.decrypt(message) == b"text"
    received.learn(start, replace=False)
    with pytest.raises(UsedMessageKey):
        received.decrypt(message)
    received.learn(start, replace=True)
    assert received.decrypt(message) == b"text"


@law
@given(st.binary(max_size=64), st.integers(0, 511))
def test_a_signature_holds_for_its_message_only(message: bytes, bit: int) -> None:
    pair = KeyPair()
    signature = bytearray(pair.sign(message))
    assert verify(pair.public, message, bytes(signature))
    assert not verify(pair.public, message + b"x", bytes(signature))
    assert not verify(KeyPair().public, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify(pair.public, message, bytes(signature))


@law
@given(st.binary(max_size=200))
def test_padding_is_reversible(plain: bytes) -> None:
    assert unpad(pad(plain)) == plain


@law
@given(st.sampled_from(sorted(KEY_INFO)), st.binary(max_size=300))
def test_a_file_opens_unless_it_was_changed(kind: str, plain: bytes) -> None:
    sealed = seal(kind, plain)
    assert open_sealed(kind, sealed.key, sealed.sealed, sealed.plain_sha256) == plain
    with pytest.raises(BadMac):
        open_sealed(kind, sealed.key, sealed.sealed[:-1] + bytes([sealed.sealed[-1] ^ 1]), sealed.plain_sha256)
    with pytest.raises(BadMac):
        open_sealed(kind, sealed.key, sealed.sealed, bytes(32))


@law
@given(st.binary(max_size=120), st.sampled_from(["msg", "pkmsg", "skmsg"]))
def test_garbage_ciphertexts_raise_protocol_errors_only(data: bytes, kind: str) -> None:
    _, bob = conversation()
    for message in (data, b"\x33" + data):
        with pytest.raises((BadMac, BadSignature, MalformedInput, NoSession, TooFarAhead, UsedMessageKey)):
            bob.decrypt("ada", kind, message)
        with pytest.raises((BadMac, BadSignature, MalformedInput, NoSession)):
            ReceivedSenderKeys().decrypt(message)
