"""Curve25519 key pairs, XEdDSA signatures, and the two key derivations that everything else here uses."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Annotated

import xeddsa.bindings as xeddsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BeforeValidator, PlainSerializer

from whatsam_simulator.errors import MalformedInput


def _from_hex(value: object) -> object:
    return bytes.fromhex(value) if isinstance(value, str) else value


HexBytes = Annotated[bytes, BeforeValidator(_from_hex), PlainSerializer(bytes.hex, return_type=str)]
"""Bytes that are written as hex digits when a record is stored as JSON."""

KEY_TYPE = b"\x05"
"""What libsignal puts before a curve25519 public key."""
NO_SALT = bytes(32)


@dataclass(frozen=True)
class KeyPair:
    """A curve25519 key pair; the private key is the whole state."""

    private: HexBytes = field(default_factory=lambda: os.urandom(32), repr=False)

    @cached_property
    def _key(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.private)

    @cached_property
    def public(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._key.public_key().public_bytes_raw()

    @cached_property
    def _clamped(self) -> bytes:
        key = bytearray(self.private)
        key[0] &= 248
        key[31] = key[31] & 127 | 64
        return bytes(key)

    @cached_property
    def _sign_bit(self) -> int:
        return xeddsa.priv_to_ed25519_pub(self._clamped)[31] & 0x80

    def agree(self, public: bytes) -> bytes:
        """The shared secret with another public key (32 bytes)."""
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:
            raise MalformedInput(f"no usable public key: {error}") from None

    def sign(self, message: bytes) -> bytes:
        """libsignal's signature: XEdDSA, with the sign bit of the Edwards point carried in the signature."""
        signature = bytearray(xeddsa.ed25519_priv_sign(self._clamped, message, os.urandom(64)))
        signature[63] = signature[63] & 0x7F | self._sign_bit
        return bytes(signature)


@lru_cache(maxsize=1024)
def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is one by the owner of `public` (32 bytes) over `message`.

    Remembered, since all members of a group check the same signature."""
    if len(public) != 32 or len(signature) != 64:
        return False
    plain = bytearray(signature)
    edwards = xeddsa.curve25519_pub_to_ed25519_pub(public, bool(plain[63] & 0x80))
    plain[63] &= 0x7F
    return xeddsa.ed25519_verify(bytes(plain), edwards, message)


def raw_public(key: bytes) -> bytes:
    """A public key as 32 bytes, from the 32 or 33 (with key type) bytes of the wire."""
    if len(key) == 33 and key[:1] == KEY_TYPE:
        return key[1:]
    if len(key) == 32:
        return key
    raise MalformedInput(f"a public key of {len(key)} bytes")


def wire_public(key: bytes) -> bytes:
    """A public key with its key type."""
    return KEY_TYPE + key


def derive(secret: bytes, salt: bytes | None, info: bytes, length: int) -> bytes:
    """HKDF-SHA256."""
    return HKDF(SHA256(), length, salt, info).derive(secret)


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, data, "sha256")


def cbc_encrypt(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """AES-CBC with PKCS #7 padding."""
    padding = 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()


def cbc_decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """The reverse of `cbc_encrypt`; raises `MalformedInput` for a wrong length or padding."""
    if not data or len(data) % 16:
        raise MalformedInput("ciphertext is no whole number of blocks")
    # No `finalize`: of whole blocks without padding it holds nothing back.
    padded = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor().update(data)
    padding = padded[-1]
    if not 1 <= padding <= 16 or padded[-padding:] != bytes([padding]) * padding:
        raise MalformedInput("wrong padding")
    return padded[:-padding]
