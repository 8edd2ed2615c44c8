"""Message secrets: how votes and reactions are encrypted to those who have the message that they are about.

Source: whatsmeow, `msgsecret.go`. Used by phones and contacts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whatsam_simulator.crypto.keys import derive
from whatsam_simulator.errors import BadMac

POLL_VOTE = "Poll Vote"
ENCRYPTED_REACTION = "Enc Reaction"
WITH_CONTEXT = (POLL_VOTE,)
"""Uses whose encryption also binds message and author."""
IV_SIZE = 12


@dataclass(frozen=True)
class Binding:
    """What one such encryption is tied to."""

    use: str
    secret: bytes
    """Of the original message, 32 bytes."""
    message_id: str
    original_sender: str
    """JID without device of who sent the original message."""
    author: str
    """JID without device of who votes or reacts."""

    @property
    def _key(self) -> bytes:
        info = f"{self.message_id}{self.original_sender}{self.author}{self.use}".encode()
        return derive(self.secret, None, info, 32)

    @property
    def _bound(self) -> bytes | None:
        return f"{self.message_id}\0{self.author}".encode() if self.use in WITH_CONTEXT else None

    def seal(self, plain: bytes) -> tuple[bytes, bytes]:
        """Ciphertext and IV."""
        iv = os.urandom(IV_SIZE)
        return AESGCM(self._key).encrypt(iv, plain, self._bound), iv

    def open(self, sealed: bytes, iv: bytes) -> bytes:
        """The reverse of `seal`; raises `BadMac`."""
        try:
            return AESGCM(self._key).decrypt(iv, sealed, self._bound)
        except (InvalidTag, ValueError):
            raise BadMac("a vote or reaction that does not fit its message's secret") from None
