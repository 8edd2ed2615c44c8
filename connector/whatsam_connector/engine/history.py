"""Cuts WhatsApp's history into parts that fit the journal. Pure; works on the bytes of the protobuf `HistorySync`.

A history can be tens of megabytes, most of them conversations. Parsing it would take a multiple of that in memory, so
only the outermost fields are looked at: numbers (kind of the sync, order, progress) go into every part, everything else
into one. A conversation that is too large alone is cut between its messages, its other fields repeated.
"""

from collections.abc import Callable, Iterator, Sequence

PART_BYTES = 1024 * 1024
"""A part is at most about this large, unless one message or one other field is larger alone."""
PART_MESSAGES = 200
"""Messages of one conversation in a part: what the inbox puts into one transaction."""
PART_FIELDS = 2000
"""Conversations, names and the like in a part."""

_CONVERSATIONS = 2
"""HistorySync.conversations"""
_MESSAGES = 2
"""Conversation.messages"""

Bytes = bytes | memoryview
"""Views, so that nothing is copied before a part is put together."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class NotProtobuf(ValueError):
    """The bytes are no protobuf message."""


def parts(history: Bytes, limit: int = PART_BYTES) -> list[bytes]:
    """`history` as one or more messages of the same kind that say the same together. Raises NotProtobuf."""
    small, large = _split(history, lambda wire_type, _number: wire_type == _LENGTH)
    pieces: list[Bytes] = []
    for number, field, content in large:
        if number == _CONVERSATIONS:
            pieces += [_with_length(_CONVERSATIONS, piece) for piece in _conversation_parts(content, limit)]
        else:
            pieces.append(field)
    return list(_gather(small, pieces, limit, PART_FIELDS))


def _conversation_parts(conversation: Bytes, limit: int) -> list[bytes]:
    rest, messages = _split(conversation, lambda wire_type, number: wire_type == _LENGTH and number == _MESSAGES)
    if len(conversation) <= limit and len(messages) <= PART_MESSAGES:
        return [bytes(conversation)]
    return list(_gather(rest, [field for _number, field, _content in messages], limit, PART_MESSAGES))


def _gather(head: bytes, pieces: Sequence[Bytes], limit: int, most: int) -> Iterator[bytes]:
    """Messages of `head` and as many pieces as fit, at least one each."""
    gathered: list[Bytes] = []
    size = len(head)
    for piece in pieces:
        if gathered and (size + len(piece) > limit or len(gathered) == most):
            yield b"".join((head, *gathered))
            gathered.clear()
            size = len(head)
        gathered.append(piece)
        size += len(piece)
    yield b"".join((head, *gathered))


def _split(message: Bytes, is_large: Callable[[int, int], bool]) -> tuple[bytes, list[tuple[int, Bytes, Bytes]]]:
    """The fields of a message: the bytes of the small ones, and (number, whole field, content) of the large ones."""
    small = bytearray()
    large: list[tuple[int, Bytes, Bytes]] = []
    view, position = memoryview(message), 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        content = position
        if wire_type == _VARINT:
            _, position = _varint(message, position)
        elif wire_type == _FIXED64:
            position += 8
        elif wire_type == _FIXED32:
            position += 4
        elif wire_type == _LENGTH:
            length, content = _varint(message, position)
            position = content + length
        else:
            raise NotProtobuf("a field of an unknown wire type")
        if position > len(message) or number == 0:
            raise NotProtobuf("a field that does not end")
        if is_large(wire_type, number):
            large.append((number, view[start:position], view[content:position]))
        else:
            small += view[start:position]
    return bytes(small), large


def _varint(message: Bytes, position: int) -> tuple[int, int]:
    """Value, and the place behind it."""
    value = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise NotProtobuf("a number that does not end")


def _with_length(number: int, content: bytes) -> bytes:
    return _encoded(number << 3 | _LENGTH) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field_content(message: Bytes, number: int) -> Bytes:
    """Content of the last field with this number; empty when there is none. Raises NotProtobuf."""
    _, found = _split(message, lambda wire_type, each: wire_type == _LENGTH and each == number)
    return found[-1][2] if found else b""
