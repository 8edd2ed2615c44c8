"""Reading and writing whatsmeow's stored Signal records (libsignal's JSON serializer) byte for byte. Pure."""

import base64
import binascii
import json
from typing import cast

from whatsam_connector.state.errors import FormatError

Json = dict[str, object]


def parse(raw: bytes) -> Json:
    """The record as a dictionary. Raises `FormatError` unless writing it back gives the same bytes."""
    try:
        record = cast("object", json.loads(raw))
    except (ValueError, TypeError, RecursionError):
        raise FormatError("the record is not JSON") from None
    if not isinstance(record, dict):
        raise FormatError("the record is not a JSON object")
    out = cast("Json", record)
    if dump(out) != bytes(raw):
        raise FormatError("the record would not be written back as it was read")
    return out


def dump(record: Json) -> bytes:
    """As Go writes it: no spaces, keys in the order they were read."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def child(record: Json, name: str) -> Json:
    """A nested object that must be there."""
    value = record.get(name)
    if not isinstance(value, dict):
        raise FormatError(f"{name} is not an object")
    return cast("Json", value)


def children(record: Json, name: str) -> list[Json]:
    """A nested list of objects that must be there; Go writes an empty one as null at times."""
    if name not in record:
        raise FormatError(f"{name} is missing")
    values = record[name]
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in cast("list[object]", values)):
        raise FormatError(f"{name} is not a list of objects")
    return cast("list[Json]", values)


def number(record: Json, name: str) -> int:
    """A whole number that must be there."""
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FormatError(f"{name} is not a number")
    return value


def octets(record: Json, name: str) -> bytes:
    """Bytes in standard base64; absent and null are empty."""
    value = record.get(name)
    if value is None:
        return b""
    if not isinstance(value, str):
        raise FormatError(f"{name} is not base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError(f"{name} is not base64") from None


def encode(value: bytes) -> str:
    """Bytes as the records hold them."""
    return base64.b64encode(value).decode()
