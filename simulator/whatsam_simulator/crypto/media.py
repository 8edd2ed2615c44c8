"""Encrypted attachments: what lies on the media host, and the key that travels in the message.

Source: whatsmeow, `download.go`, `upload.go`. Used by contacts that send or read media.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass

from whatsam_simulator.crypto.keys import cbc_decrypt, cbc_encrypt, derive, mac
from whatsam_simulator.errors import BadMac

MAC_SIZE = 10
KEY_INFO = {
    "image": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
    "sticker": b"WhatsApp Image Keys",
    "ptv": b"WhatsApp Video Keys",
    "history": b"WhatsApp History Keys",
    "app-state": b"WhatsApp App State Keys",
}


@dataclass(frozen=True)
class SealedMedia:
    """An encrypted file and what a message says about it."""

    key: bytes
    sealed: bytes
    plain_sha256: bytes
    sealed_sha256: bytes
    size: int


def seal(kind: str, plain: bytes) -> SealedMedia:
    """Encrypts a file under a new key."""
    key = os.urandom(32)
    iv, cipher_key, mac_key = _keys(kind, key)
    body = cbc_encrypt(cipher_key, iv, plain)
    sealed = body + mac(mac_key, iv + body)[:MAC_SIZE]
    return SealedMedia(key, sealed, hashlib.sha256(plain).digest(), hashlib.sha256(sealed).digest(), len(plain))


def open_sealed(kind: str, key: bytes, sealed: bytes, plain_sha256: bytes) -> bytes:
    """Decrypts a file; raises `BadMac` when it is not what the message announced."""
    iv, cipher_key, mac_key = _keys(kind, key)
    body, proof = sealed[:-MAC_SIZE], sealed[-MAC_SIZE:]
    if not hmac.compare_digest(mac(mac_key, iv + body)[:MAC_SIZE], proof):
        raise BadMac("the file's MAC does not fit")
    plain = cbc_decrypt(cipher_key, iv, body)
    if hashlib.sha256(plain).digest() != plain_sha256:
        raise BadMac("the file's hash is not the announced one")
    return plain


def _keys(kind: str, key: bytes) -> tuple[bytes, bytes, bytes]:
    material = derive(key, None, KEY_INFO[kind], 112)
    return material[:16], material[16:48], material[48:80]
