"""The key ring from WHATSAM_KEYRING: it wraps the sessions' data keys. Pure; nonces are arguments.

Rotation (docs/auth-state.md): add a new key to `keys` everywhere, make it `current` everywhere, `whatsam-connector
rekey`, and only then remove the old one. A data key is unwrapped with whichever ring key wrapped it and wrapped again
with the current one.
"""

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from whatsam_connector.state.envelope import fingerprint
from whatsam_connector.state.errors import DataKeyUnusable, KeyRingInvalid, RingKeyMissing
from whatsam_core.sessions_state import WrappedKey

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_SHAPE: Final = '{"current": "<id>", "keys": {"<id>": "<base64 of 32 bytes>"}}'


@dataclass(frozen=True)
class KeyRing:
    """Keys by id and the id that wraps from now on. The keys do not show up in its `repr`."""

    current: str
    keys: dict[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the setting. Raises `KeyRingInvalid`, which names the variable and never shows a key."""
        try:
            raw = cast("object", json.loads(text))
        except ValueError:
            raise KeyRingInvalid(f"WHATSAM_KEYRING is not JSON; it must look like {_SHAPE}") from None
        if not isinstance(raw, dict):
            raise KeyRingInvalid(f"WHATSAM_KEYRING must look like {_SHAPE}")
        ring = cast("dict[str, object]", raw)
        current, keys = ring.get("current"), ring.get("keys")
        if not isinstance(current, str) or not isinstance(keys, dict) or not keys:
            raise KeyRingInvalid(f"WHATSAM_KEYRING must look like {_SHAPE}")
        decoded = {name: _key(name, value) for name, value in cast("dict[str, object]", keys).items()}
        if current not in decoded:
            raise KeyRingInvalid(f"WHATSAM_KEYRING: the current key {current!r} is not among its keys")
        return cls(current, decoded)

    def wrap(self, data_key: bytes, *, prefix: str, tenant: str, nonce: bytes, created_at: datetime) -> WrappedKey:
        """Wrap a data key with the current ring key, bound to the session's place and tenant."""
        sealed = AESGCM(self.keys[self.current]).encrypt(nonce, data_key, _bound_to(prefix, tenant))
        return WrappedKey(
            key_id=self.current,
            wrapped=base64.b64encode(nonce + sealed).decode(),
            tenant=tenant,
            created_at=created_at,
            data_key=fingerprint(data_key),
        )

    def unwrap(self, record: WrappedKey, *, prefix: str) -> bytes:
        """The data key in the record. Raises `DataKeyUnusable`."""
        key = self.keys.get(record.key_id)
        if key is None:
            raise RingKeyMissing(
                f"the data key is wrapped by ring key {record.key_id!r}, which WHATSAM_KEYRING does not have: "
                "put that key back"
            )
        try:
            sealed = base64.b64decode(record.wrapped, validate=True)
            data_key = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(prefix, record.tenant))
        except (binascii.Error, ValueError, InvalidTag):
            raise DataKeyUnusable(
                f"the data key does not open with ring key {record.key_id!r}: damaged, or another key of that name"
            ) from None
        if len(data_key) != KEY_BYTES:
            raise DataKeyUnusable(f"the data key has {len(data_key)} bytes instead of {KEY_BYTES}")
        return data_key


def _bound_to(prefix: str, tenant: str) -> bytes:
    return f"whatsam data key\n{prefix}\n{tenant}".encode()


def _key(name: str, value: object) -> bytes:
    try:
        key = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not name or len(key) != KEY_BYTES:
        raise KeyRingInvalid(f"WHATSAM_KEYRING: key {name!r} must be the base64 of {KEY_BYTES} bytes")
    return key
