"""Strict conversion between frozen dataclasses and JSON objects, and the framing of the engine's socket.

Used by the protocol between supervisor and engine and by the journal's records. Written here rather than taken from
pydantic because every engine child pays for what it imports: this costs nothing, pydantic some 10 MiB a process.

A value that does not fit its type, an unknown field and a missing field are errors: both sides are ours, so anything
else than an exact fit is garbage on the socket or in the file.
"""

import base64
import binascii
import dataclasses
import enum
import functools
import json
import struct
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from whatsam_core.errors import WhatsamError

MAX_FRAME_BYTES = 32 * 1024 * 1024
"""Larger than any message text and key; a length above it is garbage, not a message."""

LENGTH = struct.Struct(">I")

TAG = "is"
"""Name of the JSON field that says which dataclass an object is."""


class WireError(WhatsamError):
    """Bytes that are not a message of this protocol version."""


def to_json(value: Any) -> Any:
    """Turn a dataclass (or what may be inside one) into JSON values; bytes become base64, times ISO 8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {name: to_json(getattr(value, name)) for name in _in_order(type(value))}
        return {TAG: type(value).__name__, **fields}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [to_json(item) for item in typing.cast("tuple[Any, ...]", value)]
    return value


def encode(message: object) -> bytes:
    """Encode a message as UTF-8 JSON, without the length prefix."""
    return json.dumps(to_json(message), separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def frame(message: object) -> bytes:
    """Encode a message with its 4-byte big-endian length, ready for the socket; raises WireError when too large."""
    body = encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise WireError(f"message of {len(body)} bytes exceeds the limit of {MAX_FRAME_BYTES}")
    return LENGTH.pack(len(body)) + body


def frame_length(prefix: bytes) -> int:
    """Length of the body that follows `prefix`; raises WireError when nobody sends such a length."""
    (length,) = LENGTH.unpack(prefix)
    if not 2 <= length <= MAX_FRAME_BYTES:
        raise WireError(f"a frame of {length} bytes is not one of ours")
    return length


def _no_number(word: str) -> Any:
    # NaN and infinities are no JSON, and no deadline either.
    raise ValueError(word)


class Decoder:
    """Turns bytes back into one of a fixed set of dataclasses, which are told apart by their class name."""

    def __init__(self, *members: type, lenient: bool = False) -> None:
        """`lenient`: for what lies on disk longer than a version lives. Unknown fields are passed over, and missing

        ones take their defaults, where they have any.
        """
        self._members = {member.__name__: member for member in members}
        self._lenient = lenient

    def decode(self, body: bytes, more: Callable[[type], dict[str, Any]] | None = None) -> Any:
        """Parse one message; raises WireError for anything that is not exactly one of the members.

        `more` gives the values of fields that did not travel in the JSON, for the class that it names.
        """
        try:
            value = json.loads(body.decode("utf-8", "surrogatepass"), parse_constant=_no_number)
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise WireError("not JSON") from error
        if not isinstance(value, dict):
            raise WireError("not a JSON object")
        fields = typing.cast("dict[str, Any]", value)
        name = fields.get(TAG)
        if not isinstance(name, str) or name not in self._members:
            raise WireError(f"unknown message {str(name)[:40]!r}")
        member = self._members[name]
        return _parse_dataclass(member, fields, more(member) if more else {}, lenient=self._lenient)


@functools.cache
def _in_order(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@functools.cache
def _names(cls: type) -> tuple[frozenset[str], frozenset[str]]:
    """Names of all fields, and of those without a default."""
    fields = dataclasses.fields(cls)
    needed = (field.name for field in fields if field.default is dataclasses.MISSING)
    return frozenset(field.name for field in fields), frozenset(needed)


def _parse_dataclass(cls: type, fields: dict[str, Any], ready: dict[str, Any], *, lenient: bool) -> Any:
    hints = _hints(cls)
    every, needed = _names(cls)
    names = (fields.keys() - {TAG}) | ready.keys()
    fits = needed <= names if lenient else not names ^ every
    if fields.get(TAG) != cls.__name__ or not fits:
        raise WireError(f"the fields of {cls.__name__} do not fit")
    parsed = {
        name: _parse(hints[name], fields[name], f"{cls.__name__}.{name}", lenient)
        for name in names & every
        if name not in ready
    }
    return cls(**parsed, **ready)


@functools.cache
def _shape(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Origin and arguments of a hint; typing takes microseconds for each of them."""
    origin = typing.get_origin(hint)
    return (typing.Union if origin is types.UnionType else origin), typing.get_args(hint)


def _parse(hint: Any, value: Any, where: str, lenient: bool) -> Any:  # noqa: PLR0911 - one return for each kind of type
    if type(value) is hint:
        return value
    origin, arguments = _shape(hint)
    if origin is typing.Union:
        return _parse_union(arguments, value, where, lenient)
    if origin is tuple:
        if not isinstance(value, list):
            raise WireError(f"{where}: not a list")
        return tuple(_parse(arguments[0], item, where, lenient) for item in typing.cast("list[Any]", value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise WireError(f"{where}: a number that is too large") from error
    if hint is bytes:
        return _parse_bytes(value, where)
    if hint is datetime:
        return _parse_time(value, where)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError as error:
            raise WireError(f"{where}: not a {hint.__name__}") from error
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise WireError(f"{where}: not an object")
        return _parse_dataclass(typing.cast("type", hint), typing.cast("dict[str, Any]", value), {}, lenient=lenient)
    raise WireError(f"{where}: not a {getattr(hint, '__name__', hint)}")


def _parse_union(members: tuple[Any, ...], value: Any, where: str, lenient: bool) -> Any:
    if value is None:
        if types.NoneType not in members:
            raise WireError(f"{where}: null")
        return None
    if len(members) == 2 and types.NoneType in members:
        return _parse(members[0] if members[1] is types.NoneType else members[1], value, where, lenient)
    name = typing.cast("dict[str, Any]", value).get(TAG) if isinstance(value, dict) else None
    for member in members:
        if member.__name__ == name:
            return _parse(member, value, where, lenient)
    raise WireError(f"{where}: unknown {str(name)[:40]!r}")


def _parse_bytes(value: Any, where: str) -> bytes:
    if not isinstance(value, str):
        raise WireError(f"{where}: not base64")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(f"{where}: not base64") from error


def _parse_time(value: Any, where: str) -> datetime:
    if not isinstance(value, str):
        raise WireError(f"{where}: not a time")
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        raise WireError(f"{where}: not a time") from error
    if time.tzinfo is None:
        raise WireError(f"{where}: a time without zone")
    return time
