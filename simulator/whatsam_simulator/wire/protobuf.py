"""Protobuf wire format, just enough for the dozen messages the simulator reads and writes.

Generated classes would come with neonize and load its 18 MB Go library into the simulator; field numbers are named
where they are used.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

from whatsam_simulator.errors import MalformedInput

_FIXED_SIZES = {1: 8, 5: 4}
"""Wire type → bytes."""
_LARGEST_SHIFT = 63
Value = int | bool | float | bytes | str | None


def encode(*fields: tuple[int, Value]) -> bytes:
    """`encode((1, 5), (2, b"x"))`: integers become varints, floats doubles, bytes and text length-delimited; `None` is
    left out."""
    out = bytearray()
    for number, value in fields:
        if value is None:
            continue
        if isinstance(value, int):
            _put_varint(out, number << 3)
            _put_varint(out, int(value) & ((1 << 64) - 1))
        elif isinstance(value, float):
            _put_varint(out, number << 3 | 1)
            out += struct.pack("<d", value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            _put_varint(out, number << 3 | 2)
            _put_varint(out, len(raw))
            out += raw
    return bytes(out)


def decode(data: bytes) -> Fields:
    """The fields of a message; raises `MalformedInput`."""
    return Fields(data)


class Fields:
    """A decoded message. Getters take the field number; wrong wire types and missing fields raise `MalformedInput`."""

    __slots__ = ("_values", "raw")

    def __init__(self, data: bytes) -> None:
        self.raw = data
        self._values: dict[int, list[int | bytes]] = {}
        at, end = 0, len(data)
        while at < end:
            key = data[at]
            at += 1
            if key > 0x7F:
                key, at = _varint(data, at - 1)
            wire_type = key & 7
            value: int | bytes
            if wire_type == 0:
                value, at = _varint(data, at)
            else:
                if wire_type == 2:
                    size, at = _varint(data, at)
                elif wire_type in _FIXED_SIZES:
                    size = _FIXED_SIZES[wire_type]
                else:
                    raise MalformedInput(f"protobuf wire type {wire_type}")
                start, at = at, at + size
                if at > end:
                    raise MalformedInput("protobuf cut short")
                value = data[start:at]
            self._values.setdefault(key >> 3, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._values

    def first_of(self, numbers: Collection[int]) -> int | None:
        """The first field here whose number is one of these."""
        for number in self._values:
            if number in numbers:
                return number
        return None

    def integer(self, number: int, default: int | None = None) -> int:
        values = self._values.get(number)
        if values is None:
            if default is None:
                raise MalformedInput(f"protobuf field {number} is missing")
            return default
        value = values[-1]
        if not isinstance(value, int):
            raise MalformedInput(f"protobuf field {number} is no integer")
        return value

    def data(self, number: int) -> bytes:
        values = self._values.get(number)
        value = values[-1] if values else None
        if not isinstance(value, bytes):
            raise MalformedInput(f"protobuf field {number} holds no bytes")
        return value

    def data_or_none(self, number: int) -> bytes | None:
        return self.data(number) if number in self._values else None

    def text(self, number: int, default: str | None = None) -> str:
        if default is not None and number not in self._values:
            return default
        try:
            return self.data(number).decode()
        except UnicodeDecodeError:
            raise MalformedInput(f"protobuf field {number} is not UTF-8") from None

    def message(self, number: int) -> Fields:
        """An embedded message; several of the same number count as one, as protobuf demands."""
        parts = list(self.every(number))
        if not parts:
            raise MalformedInput(f"protobuf field {number} holds no message")
        return Fields(b"".join(parts))

    def every(self, number: int) -> Iterator[bytes]:
        """The byte values of a repeated field."""
        for value in self._values.get(number, ()):
            if not isinstance(value, bytes):
                raise MalformedInput(f"protobuf field {number} holds no bytes")
            yield value

    def double(self, number: int, default: float = 0.0) -> float:
        value = self._values.get(number, [b""])[-1]
        return struct.unpack("<d", value)[0] if isinstance(value, bytes) and len(value) == 8 else default

    def flag(self, number: int) -> bool:
        return bool(self.integer(number, 0))

    @property
    def numbers(self) -> list[int]:
        """Field numbers in order of their first appearance."""
        return list(self._values)


def _put_varint(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift <= _LARGEST_SHIFT:
        byte = data[at]
        at += 1
        if byte < 0x80:
            return value | byte << shift, at
        value |= (byte & 0x7F) << shift
        shift += 7
    raise MalformedInput("protobuf varint cut short or too long")
