"""The Sender Key protocol: how groups encrypt once for all members.

A sender makes a key of its own per group, distributes it in 1:1 messages, and signs each message. Source: libsignal,
`groups/`. Used by phones and contacts, as senders and as receivers.
"""

from __future__ import annotations

import os
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
    verify,
    wire_public,
)
from whatsam_simulator.crypto.ratchet import READ_AGAIN, ReceivingChain, take_key
from whatsam_simulator.errors import BadSignature, MalformedInput, NoSession
from whatsam_simulator.wire.protobuf import Fields, decode, encode

VERSION = b"\x33"
SIGNATURE_SIZE = 64
MAX_STATES = 5
"""Keys of one sender in one group that a receiver keeps."""

KEY_ID, ITERATION, CIPHERTEXT = 1, 2, 3
CHAIN_KEY, SIGNING_KEY = 3, 4


@dataclass
class OwnSenderKey:
    """A sender's key for one group, and the devices that have been told it."""

    key_id: int = field(default_factory=lambda: int.from_bytes(os.urandom(4)) >> 1)
    chain_key: HexBytes = field(default_factory=lambda: os.urandom(32))
    iteration: int = 0
    signing: KeyPair = field(default_factory=KeyPair)
    known_to: set[str] = field(default_factory=set[str])

    def distribution(self) -> bytes:
        """The message that lets a device read what follows."""
        return VERSION + encode(
            (KEY_ID, self.key_id),
            (ITERATION, self.iteration),
            (CHAIN_KEY, self.chain_key),
            (SIGNING_KEY, wire_public(self.signing.public)),
        )

    def encrypt(self, plain: bytes) -> bytes:
        iv, key = _message_keys(mac(self.chain_key, b"\1"))
        body = VERSION + encode(
            (KEY_ID, self.key_id), (ITERATION, self.iteration), (CIPHERTEXT, cbc_encrypt(key, iv, plain))
        )
        self.chain_key = mac(self.chain_key, b"\2")
        self.iteration += 1
        return body + self.signing.sign(body)


@dataclass
class SenderKeyState:
    """A key of somebody else, as a receiver knows it."""

    key_id: int
    signing_key: HexBytes
    chain: ReceivingChain


@dataclass
class ReceivedSenderKeys:
    """All keys of one sender in one group, newest first."""

    states: list[SenderKeyState] = field(default_factory=list[SenderKeyState])

    def learn(self, distribution: bytes, *, replace: bool) -> None:
        """Takes a distribution message. A known key is left alone (newer libsignal) or, with `replace`, put back to
        what the message says (whatsmeow)."""
        if distribution[:1] != VERSION:
            raise MalformedInput("no sender key distribution of version 3")
        fields = decode(distribution[1:])
        key_id, signing_key = fields.integer(KEY_ID), raw_public(fields.data(SIGNING_KEY))
        chain = ReceivingChain(b"", fields.data(CHAIN_KEY), fields.integer(ITERATION, 0))
        known = next((s for s in self.states if s.key_id == key_id and s.signing_key == signing_key), None)
        if known is None:
            self.states.insert(0, SenderKeyState(key_id, signing_key, chain))
            del self.states[MAX_STATES:]
        elif replace:
            known.chain = chain

    def decrypt(self, message: bytes) -> bytes:
        """The plain text; raises a `ProtocolError` and changes nothing if the message is no good."""
        fields = read_message(message)
        key_id, iteration = fields.integer(KEY_ID), fields.integer(ITERATION, 0)
        state = next((state for state in self.states if state.key_id == key_id), None)
        if state is None:
            raise NoSession("the sender's key for this group was never distributed")
        if not verify(state.signing_key, message[:-SIGNATURE_SIZE], message[-SIGNATURE_SIZE:]):
            raise BadSignature("the group message's signature does not fit")
        trial = ReceivingChain(b"", state.chain.chain_key, state.chain.next_counter, dict(state.chain.skipped))
        iv, key = _message_keys(take_key(trial, iteration))
        plain = cbc_decrypt(key, iv, fields.data(CIPHERTEXT))
        state.chain = trial
        return plain


@lru_cache(READ_AGAIN)
def read_message(message: bytes) -> Fields:
    """The fields of a group message after checking its version; its signature is not checked."""
    if len(message) <= SIGNATURE_SIZE + 1 or message[:1] != VERSION:
        raise MalformedInput("no sender key message of version 3")
    return decode(message[1:-SIGNATURE_SIZE])


def _message_keys(seed: bytes) -> tuple[bytes, bytes]:
    material = derive(seed, NO_SALT, b"WhisperGroup", 48)
    return material[:16], material[16:]
