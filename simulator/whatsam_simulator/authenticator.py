"""A passkey in software, for tests: answers WebAuthn requests as a browser with an authenticator does."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from whatsam_simulator.crypto.webauthn import USER_PRESENT, USER_VERIFIED, to_text


class SoftwareAuthenticator:
    """One credential: a P-256 key under an id."""

    def __init__(self, rp_id: str = "whatsapp.com", origin: str = "https://web.whatsapp.com") -> None:
        self.rp_id = rp_id
        self.origin = origin
        self.credential = os.urandom(20)
        self._key = generate_private_key(SECP256R1())
        self._used = 0

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def answer(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get({publicKey: options})` comes to, as `PublicKeyCredential.toJSON()` has it."""
        said = {"type": "webauthn.get", "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        client_data = json.dumps(said, separators=(",", ":")).encode()
        self._used += 1
        flags = bytes([USER_PRESENT | USER_VERIFIED])
        data = hashlib.sha256(self.rp_id.encode()).digest() + flags + self._used.to_bytes(4)
        signature = self._key.sign(data + hashlib.sha256(client_data).digest(), ECDSA(SHA256()))
        return {
            "id": to_text(self.credential),
            "rawId": to_text(self.credential),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": to_text(client_data),
                "authenticatorData": to_text(data),
                "signature": to_text(signature),
                "userHandle": None,
            },
        }
