"""Opens an encrypted file of WhatsApp's while it streams, and vouches for it at the end. For the downloader's host.

AES-256-CBC with PKCS#7 padding; the last ten bytes are an HMAC-SHA256 over IV and ciphertext; keys are derived from the
message's media key by HKDF-SHA256 with the kind's name. Source: whatsmeow `download.go`. Nothing that `feed` gives out
is proven before `finish` has returned: it goes to a temporary file only.
"""

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_INFO: Final = {
    "image": b"WhatsApp Image Keys",
    "sticker": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
}
_MAC_BYTES: Final = 10
_BLOCK: Final = 16


class Damaged(ValueError):
    """The bytes are not the file that the message announced."""


class TooLarge(ValueError):
    """The file is larger than wanted, whatever the message said."""


class Opener:
    """One file. Not for use from several threads at once."""

    def __init__(
        self, kind: str, media_key: bytes, *, most_bytes: int, sha256: bytes = b"", enc_sha256: bytes = b""
    ) -> None:
        """`sha256` and `enc_sha256`: what the message announced; empty ones are not checked."""
        material = HKDF(algorithm=SHA256(), length=112, salt=None, info=_INFO[kind]).derive(media_key)
        iv, cipher_key, mac_key = material[:16], material[16:48], material[48:80]
        self._decryptor = Cipher(AES(cipher_key), CBC(iv)).decryptor()
        self._mac = hmac.new(mac_key, iv, hashlib.sha256)
        self._sealed = hashlib.sha256()
        self._plain = hashlib.sha256()
        self._announced = (sha256, enc_sha256)
        self._most = most_bytes
        self._held = b""
        """The newest bytes: they may be the HMAC."""
        self._last = b""
        """The newest plain block: it may be padding."""
        self.size = 0
        """Plain bytes that were given out."""

    def feed(self, chunk: bytes) -> bytes:
        """More of the file; gives plain bytes out. Raises `TooLarge`."""
        self._sealed.update(chunk)
        data = self._held + chunk
        length = max(len(data) - _MAC_BYTES, 0)
        length -= length % _BLOCK
        body, self._held = data[:length], data[length:]
        self._mac.update(body)
        plain = self._last + self._decryptor.update(body)
        plain, self._last = plain[:-_BLOCK], plain[-_BLOCK:]
        return self._out(plain)

    def finish(self) -> bytes:
        """The rest of the plain bytes, now that all of them are proven. Raises `Damaged` or `TooLarge`."""
        if len(self._held) != _MAC_BYTES:
            raise Damaged("the file does not end in whole blocks and a HMAC")
        if not hmac.compare_digest(self._mac.digest()[:_MAC_BYTES], self._held):
            raise Damaged("the HMAC is another one")
        self._decryptor.finalize()
        padding = self._last[-1] if self._last else 0
        if not 1 <= padding <= _BLOCK or self._last[-padding:] != bytes([padding]) * padding:
            raise Damaged("the padding is none")
        rest = self._out(self._last[:-padding])
        sha256, enc_sha256 = self._announced
        if enc_sha256 and self._sealed.digest() != enc_sha256:
            raise Damaged("the encrypted file's hash is another one")
        if sha256 and self._plain.digest() != sha256:
            raise Damaged("the file's hash is another one")
        return rest

    @property
    def sha256(self) -> str:
        """Hexadecimal hash of the plain bytes that were given out."""
        return self._plain.hexdigest()

    def _out(self, plain: bytes) -> bytes:
        self.size += len(plain)
        if self.size > self._most:
            raise TooLarge(f"more than {self._most} bytes")
        self._plain.update(plain)
        return plain
