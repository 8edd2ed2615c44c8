"""Records ⇄ bytes. Called by writer and reader.

A payload is one byte (1), a 4-byte big-endian length, a JSON object of that length, and the record's one field of bytes
as it is: WhatsApp's protobufs are most of a journal, and base64 would make them a third larger and slower to write.
Payloads of the first release are a JSON object alone; they are read still.
"""

import dataclasses
import functools
import json
import struct
import typing
from typing import Any

from whatsam_connector.engine.wire import TAG, Decoder, WireError, to_json
from whatsam_connector.journal.records import JournalRecord, UnknownRecord

_BINARY = b"\x01"
_HEADER_LENGTH = struct.Struct(">I")
_HEADER_START = len(_BINARY) + _HEADER_LENGTH.size

_decoder = Decoder(*typing.get_args(JournalRecord), lenient=True)


@functools.cache
def _field_names(record: type) -> tuple[tuple[str, ...], str | None]:
    """Names of the fields that go into the JSON, and of the one that holds bytes."""
    plain = tuple(field.name for field in dataclasses.fields(record) if field.type is not bytes)
    blobs = [field.name for field in dataclasses.fields(record) if field.type is bytes]
    return plain, blobs[0] if blobs else None


def to_payload(record: JournalRecord) -> bytes:
    """Bytes of a record for the journal."""
    plain, blob = _field_names(type(record))
    fields = {TAG: type(record).__name__, **{name: to_json(getattr(record, name)) for name in plain}}
    header = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return b"".join((_BINARY, _HEADER_LENGTH.pack(len(header)), header, getattr(record, blob) if blob else b""))


def from_payload(payload: bytes) -> JournalRecord | UnknownRecord:
    """Record of the journal's bytes; never raises: one strange record must not stop a session's inbox."""
    try:
        record: JournalRecord = _decoder.decode(payload) if payload[:1] == b"{" else _from_binary(payload)
    except WireError:
        return UnknownRecord(payload)
    return record


def _from_binary(payload: bytes) -> Any:
    if payload[:1] != _BINARY or len(payload) < _HEADER_START:
        raise WireError("not a payload of this version")
    (length,) = _HEADER_LENGTH.unpack_from(payload, len(_BINARY))
    header, blob = payload[_HEADER_START : _HEADER_START + length], payload[_HEADER_START + length :]
    if len(header) != length:
        raise WireError("a payload that is too short")
    return _decoder.decode(header, lambda record: _with_blob(record, blob))


def _with_blob(record: type, blob: bytes) -> dict[str, Any]:
    name = _field_names(record)[1]
    if name is None and blob:
        raise WireError("bytes where there are none")
    return {name: blob} if name else {}
