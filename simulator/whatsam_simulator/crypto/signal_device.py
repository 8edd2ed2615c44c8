"""All Signal state of one device that lives in the simulator: identity, prekeys, sessions, sender keys.

Used by `contacts/`; pure state and arithmetic, no delivery.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from whatsam_simulator.crypto.keys import KeyPair, raw_public, wire_public
from whatsam_simulator.crypto.ratchet import (
    BASE_KEY,
    IDENTITY_KEY,
    INNER_MESSAGE,
    PREKEY_ID,
    SIGNED_PREKEY_ID,
    Bundle,
    Session,
    read_prekey_message,
)
from whatsam_simulator.crypto.sender_keys import OwnSenderKey, ReceivedSenderKeys
from whatsam_simulator.errors import MalformedInput, NoSession, ProtocolError, UsedMessageKey

SIGNED_PREKEY = 1
ONE_TIME_PREKEYS = 10
"""How many are made at a time."""
MAX_SESSIONS = 40
"""Sessions kept per peer device, as libsignal's archived states."""


@dataclass
class SignalDevice:
    """Keys and sessions; peers are named by their address as text."""

    identity: KeyPair
    registration_id: int = field(default_factory=lambda: int.from_bytes(os.urandom(2)) & 0x3FFF | 1)
    signed_prekey: KeyPair = field(default_factory=KeyPair)
    prekeys: dict[int, KeyPair] = field(default_factory=dict[int, KeyPair])
    next_prekey: int = 1
    sessions: dict[str, list[Session]] = field(default_factory=dict[str, list[Session]])
    own_sender_keys: dict[str, OwnSenderKey] = field(default_factory=dict[str, OwnSenderKey])
    sender_keys: dict[str, ReceivedSenderKeys] = field(default_factory=dict[str, ReceivedSenderKeys])

    def signed_prekey_signature(self) -> bytes:
        return self.identity.sign(wire_public(self.signed_prekey.public))

    def make_prekeys(self, count: int = ONE_TIME_PREKEYS) -> dict[int, bytes]:
        """New one-time prekeys: number → public key, for the server's list."""
        made: dict[int, bytes] = {}
        for _ in range(count):
            pair = KeyPair()
            self.prekeys[self.next_prekey] = pair
            made[self.next_prekey] = pair.public
            self.next_prekey += 1
        return made

    def encrypt(self, peer: str, plain: bytes, bundle: Callable[[], Bundle]) -> tuple[str, bytes]:
        """A 1:1 message; `bundle` is asked when there is no session yet."""
        if not self.sessions.get(peer):
            self.start_session(peer, bundle())
        return self.sessions[peer][0].encrypt(pad(plain))

    def start_session(self, peer: str, bundle: Bundle) -> None:
        """A new session with a peer; older ones stay readable."""
        self._put_first(peer, Session.initiate(self.identity, self.registration_id, bundle))

    def decrypt(self, peer: str, kind: str, message: bytes) -> bytes:
        """A 1:1 message of kind `msg` or `pkmsg`; raises a `ProtocolError`."""
        if kind == "pkmsg":
            return self._decrypt_first(peer, message)
        if kind != "msg":
            raise MalformedInput(f"unknown kind of message: {kind}")
        failure: ProtocolError = NoSession("no session with this device")
        for session in list(self.sessions.get(peer, [])):
            try:
                plain = unpad(session.decrypt(message))
            except UsedMessageKey:
                raise
            except ProtocolError as error:
                failure = error
                continue
            self._put_first(peer, session)
            return plain
        raise failure

    def _decrypt_first(self, peer: str, message: bytes) -> bytes:
        fields = read_prekey_message(message)
        base_key, inner = raw_public(fields.data(BASE_KEY)), fields.data(INNER_MESSAGE)
        session = next((s for s in self.sessions.get(peer, []) if s.peer_base_key == base_key), None)
        prekey_id = fields.integer(PREKEY_ID, 0)
        fresh = session is None
        if session is None:
            if fields.integer(SIGNED_PREKEY_ID) != SIGNED_PREKEY or (prekey_id and prekey_id not in self.prekeys):
                raise NoSession("a session made with a prekey that is used up or was never ours")
            identity = raw_public(fields.data(IDENTITY_KEY))
            one_time = self.prekeys.get(prekey_id)
            session = Session.accept(self.identity, self.signed_prekey, one_time, base_key, identity)
        plain = unpad(session.decrypt(inner))
        if fresh:
            self.prekeys.pop(prekey_id, None)
        self._put_first(peer, session)
        return plain

    def _put_first(self, peer: str, session: Session) -> None:
        """The session that worked last is the one to answer with."""
        sessions = self.sessions.get(peer, [])
        if sessions and sessions[0] is session:
            return
        self.sessions[peer] = [session, *(other for other in sessions if other is not session)][:MAX_SESSIONS]

    def own_sender_key(self, group: str) -> OwnSenderKey:
        if group not in self.own_sender_keys:
            self.own_sender_keys[group] = OwnSenderKey()
        return self.own_sender_keys[group]

    def sender_keys_of(self, group: str, sender: str) -> ReceivedSenderKeys:
        return self.sender_keys.setdefault(f"{group} {sender}", ReceivedSenderKeys())

    def forget_sessions(self) -> None:
        """After an unclean end: what is stored may be behind what was sent, and a counter must never be used twice."""
        self.sessions.clear()
        self.own_sender_keys.clear()
        self.sender_keys.clear()


def pad(plain: bytes) -> bytes:
    """WhatsApp's padding below Signal's: 1 to 15 bytes that each say how many."""
    size = os.urandom(1)[0] & 15 or 15
    return plain + bytes([size]) * size


def unpad(plain: bytes) -> bytes:
    if not plain or not 1 <= plain[-1] <= min(16, len(plain)):
        raise MalformedInput("wrong padding of a message")
    return plain[: -plain[-1]]
