"""Pure: DNS messages, and which addresses a name of the cluster has. Used by `services.py`."""

import ipaddress
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ZONE = ("svc", "cluster", "local")
TYPE_A, TYPE_ANY = 1, 255
_CLASS_IN = 1
_HEADER = struct.Struct("!HHHHHH")
_TTL_SECONDS = 1
_NO_ERROR, _FORMAT_ERROR, _NO_SUCH_NAME = 0, 1, 3
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x0400, 0x0200, 0x0100
_RECURSION_AVAILABLE = 0x0080
UDP_LIMIT = 1232
"""Bytes of a datagram that no path on one machine splits; longer answers are cut and asked for again over TCP."""

Resolve = Callable[[Sequence[str]], Sequence[str] | None]
"""Labels of a name, lower case, without the zone -> addresses; empty: it exists without any; None: no such name."""


@dataclass(frozen=True)
class Question:
    """The one question of a query; `end` is where it ends in the message."""

    labels: tuple[str, ...]
    kind: int
    end: int


def parse_question(message: bytes) -> Question | None:
    """The question of a query, or None when the message is no query that can be understood."""
    if len(message) < _HEADER.size:
        return None
    _, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & _RESPONSE or questions != 1:
        return None
    labels: list[str] = []
    position = _HEADER.size
    while position < len(message) and (length := message[position]):
        if length > 63 or position + 1 + length > len(message):
            return None
        labels.append(message[position + 1 : position + 1 + length].decode("ascii", "replace").lower())
        position += 1 + length
    if position + 5 > len(message):
        return None
    (kind,) = struct.unpack_from("!H", message, position + 1)
    return Question(tuple(labels), kind, position + 5)


def answer(message: bytes, resolve: Resolve, limit: int | None = UDP_LIMIT) -> bytes | None:
    """The answer to a query; None when it is not even worth an error. `limit` in bytes, None over TCP."""
    if len(message) < _HEADER.size or message[2] & 0x80:
        return None
    identifier, flags, *_ = _HEADER.unpack_from(message)
    base = _RESPONSE | _AUTHORITATIVE | _RECURSION_AVAILABLE | (flags & _RECURSION_DESIRED)
    question = parse_question(message)
    if question is None:
        return _HEADER.pack(identifier, base | _FORMAT_ERROR, 0, 0, 0, 0)
    addresses = resolve(question.labels[: -len(ZONE)]) if question.labels[-len(ZONE) :] == ZONE else None
    if addresses is None:
        header = _HEADER.pack(identifier, base | _NO_SUCH_NAME, 1, 0, 0, 0)
        return header + message[_HEADER.size : question.end]
    wanted = addresses if question.kind in (TYPE_A, TYPE_ANY) else ()
    records = [
        # the name is a pointer to the question's
        b"\xc0\x0c" + struct.pack("!HHIH", TYPE_A, _CLASS_IN, _TTL_SECONDS, 4) + ipaddress.IPv4Address(address).packed
        for address in wanted
    ]
    room = len(records) if limit is None else max(0, limit - question.end) // len(records[0]) if records else 0
    code = base | _NO_ERROR | (_TRUNCATED if room < len(records) else 0)
    kept = records[:room]
    header = _HEADER.pack(identifier, code, 1, len(kept), 0, 0)
    return header + message[_HEADER.size : question.end] + b"".join(kept)
