"""A Signal session, version 3: X3DH and double ratchet, of a device that lives in the simulator.

It refuses what libsignal refuses: a used counter, a jump beyond 2,000, a wrong MAC; a refused message leaves the
session as it was. Source: the X3DH and double-ratchet papers, field numbers from libsignal.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import lru_cache

from whatsam_simulator.crypto.keys import (
    NO_SALT,
    HexBytes,
    KeyPair,
    cbc_decrypt,
    cbc_encrypt,
    derive,
    mac,
    raw_public,
    wire_public,
)
from whatsam_simulator.errors import BadMac, MalformedInput, TooFarAhead, UsedMessageKey
from whatsam_simulator.wire.protobuf import Fields, decode, encode

VERSION = b"\x33"
MAC_SIZE = 8
MAX_JUMP = 2_000
"""Counters: whatsmeow's libsignal follows this far (Signal's own: 25,000)."""
MAX_SKIPPED_KEYS = 2_000
MAX_CHAINS = 5
READ_AGAIN = 32
"""Messages whose fields are remembered: the server reads a message's counter, then its receivers read all of it."""

RATCHET_KEY, COUNTER, PREVIOUS_COUNTER, CIPHERTEXT = 1, 2, 3, 4
PREKEY_ID, BASE_KEY, IDENTITY_KEY, INNER_MESSAGE, REGISTRATION_ID, SIGNED_PREKEY_ID = 1, 2, 3, 4, 5, 6


@dataclass(frozen=True)
class Bundle:
    """What a server hands out so that a session with a device can be started; keys are 32 bytes."""

    identity: HexBytes
    signed_prekey_id: int
    signed_prekey: HexBytes
    prekey_id: int | None = None
    prekey: HexBytes | None = None


@dataclass
class ReceivingChain:
    """One chain of the peer: the key of the next message, and keys kept for messages that were skipped."""

    ratchet_key: HexBytes
    chain_key: HexBytes
    next_counter: int = 0
    skipped: dict[int, HexBytes] = field(default_factory=dict[int, bytes])


@dataclass(frozen=True)
class Pending:
    """What every message carries until the peer has answered once."""

    registration_id: int
    prekey_id: int | None
    signed_prekey_id: int
    base_key: HexBytes


@dataclass
class Session:
    """One session with one device."""

    own_identity: KeyPair
    peer_identity: HexBytes
    root_key: HexBytes
    sending_pair: KeyPair
    sending_key: HexBytes
    sending_counter: int = 0
    previous_counter: int = 0
    receiving: list[ReceivingChain] = field(default_factory=list[ReceivingChain])
    pending: Pending | None = None
    peer_base_key: HexBytes | None = None

    @classmethod
    def initiate(cls, identity: KeyPair, registration_id: int, bundle: Bundle) -> Session:
        """A session we start: its messages carry what the peer needs to follow."""
        base = KeyPair()
        secret = b"\xff" * 32 + identity.agree(bundle.signed_prekey) + base.agree(bundle.identity)
        secret += base.agree(bundle.signed_prekey)
        if bundle.prekey is not None:
            secret += base.agree(bundle.prekey)
        material = derive(secret, NO_SALT, b"WhisperText", 64)
        session = cls(identity, bundle.identity, material[:32], KeyPair(), b"")
        session.receiving.append(ReceivingChain(bundle.signed_prekey, material[32:]))
        session.sending_key = session._ratchet(bundle.signed_prekey)
        session.pending = Pending(registration_id, bundle.prekey_id, bundle.signed_prekey_id, base.public)
        return session

    @classmethod
    def accept(
        cls, identity: KeyPair, signed: KeyPair, one_time: KeyPair | None, base_key: bytes, peer_identity: bytes
    ) -> Session:
        """A session the peer starts with the keys of one of our bundles."""
        secret = b"\xff" * 32 + signed.agree(peer_identity) + identity.agree(base_key) + signed.agree(base_key)
        if one_time is not None:
            secret += one_time.agree(base_key)
        material = derive(secret, NO_SALT, b"WhisperText", 64)
        return cls(identity, peer_identity, material[:32], signed, material[32:], peer_base_key=base_key)

    def encrypt(self, plain: bytes) -> tuple[str, bytes]:
        """The message and its kind on the wire, `pkmsg` or `msg`."""
        cipher_key, mac_key, iv = _message_keys(mac(self.sending_key, b"\1"))
        self.sending_key = mac(self.sending_key, b"\2")
        body = VERSION + encode(
            (RATCHET_KEY, wire_public(self.sending_pair.public)),
            (COUNTER, self.sending_counter),
            (PREVIOUS_COUNTER, self.previous_counter),
            (CIPHERTEXT, cbc_encrypt(cipher_key, iv, plain)),
        )
        self.sending_counter += 1
        own, peer = wire_public(self.own_identity.public), wire_public(self.peer_identity)
        body += mac(mac_key, own + peer + body)[:MAC_SIZE]
        if self.pending is None:
            return "msg", body
        return "pkmsg", VERSION + encode(
            (REGISTRATION_ID, self.pending.registration_id),
            (PREKEY_ID, self.pending.prekey_id),
            (SIGNED_PREKEY_ID, self.pending.signed_prekey_id),
            (BASE_KEY, wire_public(self.pending.base_key)),
            (IDENTITY_KEY, own),
            (INNER_MESSAGE, body),
        )

    def decrypt(self, message: bytes) -> bytes:
        """The plain text; raises a `ProtocolError` and changes nothing if the message is no good."""
        fields = read_message(message)
        ratchet_key, counter = raw_public(fields.data(RATCHET_KEY)), fields.integer(COUNTER, 0)
        known = next((chain for chain in self.receiving if chain.ratchet_key == ratchet_key), None)
        if known is None:
            root_key, chain_key = self._root_step(ratchet_key)
            trial = ReceivingChain(ratchet_key, chain_key)
        else:
            root_key = self.root_key
            trial = ReceivingChain(ratchet_key, known.chain_key, known.next_counter, dict(known.skipped))
        seed = take_key(trial, counter)
        cipher_key, mac_key, iv = _message_keys(seed)
        expected = mac(
            mac_key, wire_public(self.peer_identity) + wire_public(self.own_identity.public) + message[:-MAC_SIZE]
        )
        if not hmac.compare_digest(expected[:MAC_SIZE], message[-MAC_SIZE:]):
            raise BadMac("the message's MAC does not fit")
        plain = cbc_decrypt(cipher_key, iv, fields.data(CIPHERTEXT))
        self._keep(known, trial, root_key)
        return plain

    def _keep(self, known: ReceivingChain | None, trial: ReceivingChain, root_key: bytes) -> None:
        self.pending = None
        if known is not None:
            known.chain_key, known.next_counter, known.skipped = trial.chain_key, trial.next_counter, trial.skipped
            return
        self.root_key = root_key
        self.sending_pair = KeyPair()
        self.previous_counter, self.sending_counter = self.sending_counter, 0
        self.sending_key = self._ratchet(trial.ratchet_key)
        self.receiving.append(trial)
        del self.receiving[:-MAX_CHAINS]

    def _root_step(self, ratchet_key: bytes) -> tuple[bytes, bytes]:
        material = derive(self.sending_pair.agree(ratchet_key), self.root_key, b"WhisperRatchet", 64)
        return material[:32], material[32:]

    def _ratchet(self, ratchet_key: bytes) -> bytes:
        self.root_key, chain_key = self._root_step(ratchet_key)
        return chain_key


def take_key(chain: ReceivingChain, counter: int) -> bytes:
    """Moves `chain` past `counter` and returns that message's key; raises `UsedMessageKey` or `TooFarAhead`."""
    if counter < chain.next_counter and counter not in chain.skipped:
        raise UsedMessageKey(f"counter {counter} was used, the chain is at {chain.next_counter}")
    if counter - chain.next_counter > MAX_JUMP:
        raise TooFarAhead(f"counter {counter}, the chain is at {chain.next_counter}")
    while chain.next_counter <= counter:
        chain.skipped[chain.next_counter] = mac(chain.chain_key, b"\1")
        chain.chain_key = mac(chain.chain_key, b"\2")
        chain.next_counter += 1
    key = chain.skipped.pop(counter)
    while len(chain.skipped) > MAX_SKIPPED_KEYS:
        del chain.skipped[next(iter(chain.skipped))]
    return key


@lru_cache(READ_AGAIN)
def read_message(message: bytes) -> Fields:
    """The fields of a message after checking its version; its MAC is not checked."""
    if len(message) <= MAC_SIZE + 1 or message[:1] != VERSION:
        raise MalformedInput("no Signal message of version 3")
    return decode(message[1:-MAC_SIZE])


@lru_cache(READ_AGAIN)
def read_prekey_message(message: bytes) -> Fields:
    """The fields of a message that starts a session."""
    if len(message) < 2 or message[:1] != VERSION:
        raise MalformedInput("no Signal prekey message of version 3")
    return decode(message[1:])


def _message_keys(seed: bytes) -> tuple[bytes, bytes, bytes]:
    material = derive(seed, NO_SALT, b"WhisperMessageKeys", 80)
    return material[:32], material[32:64], material[64:]
