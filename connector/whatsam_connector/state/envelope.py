"""The form of a base in the object store: a header in the clear, the database compressed and sealed. Pure.

    magic (8) | version (1) | header length (4, big endian) | header (JSON) | nonce (12) | AES-256-GCM(zstd(database))

The additional data of the seal is the object's key and everything before the nonce, so a base that was copied to
another place, or whose header was touched, does not open. Whatever is wrong raises `BaseDamaged`; a form that came
after this connector raises `StateTooNew`, because what it cannot read may be the newest state.
"""

import hashlib
import struct
from datetime import datetime
from typing import Final

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field, ValidationError

from whatsam_connector.state.errors import BaseDamaged, StateTooNew
from whatsam_core.resources.base import WireModel
from whatsam_core.sessions_state import parse_base_key

MAGIC: Final = b"WHATSAMB"
FORMAT_VERSION: Final = 1
NONCE_BYTES: Final = 12
_FIXED: Final = struct.Struct(">8sBI")
_HEADER_LIMIT: Final = 1 << 20
_DATABASE_LIMIT: Final = 1 << 32
_LEVEL: Final = 1  # most of a database is key material, which does not shrink; a higher level only costs time


class BaseHeader(WireModel):
    """What a base says about itself. `sha256` and `size` are those of the database in it."""

    tenant: str
    session: str = Field(description="<namespace>/<name>")
    uid: str
    jid: str
    epoch: int
    boot: str
    seq: int
    created_at: datetime
    engine: str
    schema_version: int = Field(description="Version in whatsmeow's own version table.")
    schema_compat: int = Field(description="Oldest version of the schema that can still read it.")
    sha256: str
    size: int = Field(ge=0, lt=_DATABASE_LIMIT)
    data_key: str = Field(description="Fingerprint of the data key, to tell a lost key from a damaged base.")


def fingerprint(data_key: bytes) -> str:
    """A name for a data key that does not help to find it."""
    return hashlib.sha256(b"whatsam data key fingerprint\0" + data_key).hexdigest()[:16]


def seal(key: str, header: BaseHeader, database: bytes, data_key: bytes, nonce: bytes) -> bytes:
    """The object to store under `key`. `nonce`: 12 random bytes, never used twice."""
    encoded = header.model_dump_json(by_alias=True, exclude_none=True).encode()
    front = _FIXED.pack(MAGIC, FORMAT_VERSION, len(encoded)) + encoded
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(database)
    return front + nonce + AESGCM(data_key).encrypt(nonce, packed, _bound_to(key, front))


def read_header(key: str, sealed: bytes) -> BaseHeader:
    """The header alone, NOT proven genuine: good for a tenant's name in a refusal, not for a decision to start.

    Raises `BaseDamaged`, `StateTooNew`.
    """
    return _split(key, sealed)[0]


def unseal(key: str, sealed: bytes, data_key: bytes) -> tuple[BaseHeader, bytes]:
    """Header and database, both proven. Raises `BaseDamaged`, `StateTooNew`."""
    try:
        header, front = _split(key, sealed)
    except StateTooNew:
        if _opens_but_for_its_version(key, sealed, data_key):
            raise BaseDamaged(f"{key}: its version was changed") from None
        raise
    if header.data_key != fingerprint(data_key):
        raise BaseDamaged(f"{key}: sealed with another data key than the session's present one")
    nonce, body = sealed[len(front) : len(front) + NONCE_BYTES], sealed[len(front) + NONCE_BYTES :]
    try:
        packed = AESGCM(data_key).decrypt(nonce, body, _bound_to(key, front))
        database = zstandard.ZstdDecompressor().decompress(packed, max_output_size=max(header.size, 1))
    except (InvalidTag, ValueError, zstandard.ZstdError) as error:
        raise BaseDamaged(f"{key}: does not open ({type(error).__name__})") from None
    if len(database) != header.size or hashlib.sha256(database).hexdigest() != header.sha256:
        raise BaseDamaged(f"{key}: the database in it is not the one its header names")
    return header, database


def _opens_but_for_its_version(key: str, sealed: bytes, data_key: bytes) -> bool:
    """Whether a flipped bit, and not a newer connector, has made the version what it is."""
    as_ours = sealed[: len(MAGIC)] + bytes([FORMAT_VERSION]) + sealed[len(MAGIC) + 1 :]
    try:
        unseal(key, as_ours, data_key)
    except BaseDamaged:
        return False
    return True


def _split(key: str, sealed: bytes) -> tuple[BaseHeader, bytes]:
    if len(sealed) < _FIXED.size:
        raise BaseDamaged(f"{key}: cut off after {len(sealed)} bytes")
    magic, version, length = _FIXED.unpack_from(sealed)
    if magic != MAGIC:
        raise BaseDamaged(f"{key}: not a base")
    if version > FORMAT_VERSION:
        raise StateTooNew(f"{key}: stored in form {version} by a newer connector; this one knows form {FORMAT_VERSION}")
    if version != FORMAT_VERSION:
        raise BaseDamaged(f"{key}: format version {version}, this connector knows {FORMAT_VERSION}")
    if length > _HEADER_LIMIT or _FIXED.size + length + NONCE_BYTES > len(sealed):
        raise BaseDamaged(f"{key}: cut off in its header")
    front = sealed[: _FIXED.size + length]
    try:
        header = BaseHeader.model_validate_json(front[_FIXED.size :])
    except ValidationError:
        raise BaseDamaged(f"{key}: its header is not readable") from None
    place = parse_base_key(key)
    if place is None or (place.epoch, place.boot, place.seq) != (header.epoch, header.boot, header.seq):
        raise BaseDamaged(f"{key}: its header names another place")
    return header, front


def _bound_to(key: str, front: bytes) -> bytes:
    return key.encode() + b"\0" + front
