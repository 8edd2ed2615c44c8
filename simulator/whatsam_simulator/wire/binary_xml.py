"""WhatsApp's binary XML (dictionary version 3): nodes to bytes and back.

The token tables come from the client library under test, see `tokens.py`. Source of the format: whatsmeow, `binary/`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from whatsam_simulator.errors import MalformedInput
from whatsam_simulator.wire.jid import Jid
from whatsam_simulator.wire.node import Node

LIST_EMPTY, DICTIONARY_FIRST, DICTIONARY_LAST = 0, 236, 239
DEVICE_JID, LIST_8, LIST_16, JID_PAIR, HEX_8 = 247, 248, 249, 250, 251
BINARY_8, BINARY_20, BINARY_32, NIBBLE_8 = 252, 253, 254, 255
NIBBLES = str.maketrans("abcdef", "-.??? ")
"""What stands for the hex digits above 9 in packed numbers."""
FLAG_COMPRESSED = 2

MAX_DEPTH = 32
"""Real stanzas nest less than ten deep; a bound keeps a hostile one from exhausting the stack."""
MAX_INFLATED = 1 << 24
"""Bytes: what a compressed frame may grow to (16 MiB; a client's largest frame is its 812 prekeys, 60 KB)."""

_AGENTS = {"s.whatsapp.net": 0, "lid": 1, "hosted": 128, "hosted.lid": 129}
_SERVERS = {agent: server for server, agent in _AGENTS.items()}


class Codec:
    """Packs and unpacks frames with one set of token tables."""

    def __init__(self, single: Sequence[str], dictionaries: Sequence[Sequence[str]]) -> None:
        self._single = single
        self._dictionaries = dictionaries
        self._tokens = {token: bytes([index]) for index, token in enumerate(single) if token}
        for number, table in enumerate(dictionaries):
            for index, token in enumerate(table):
                self._tokens.setdefault(token, bytes([DICTIONARY_FIRST + number, index]))

    def unpack(self, frame: bytes) -> Node:
        """The node in a decrypted frame; raises `MalformedInput` for whatever is not exactly one node."""
        if not frame:
            raise MalformedInput("empty frame")
        data = frame[1:]
        if frame[0] & FLAG_COMPRESSED:
            data = _inflate(data)
        reader = _Reader(data, self._single, self._dictionaries)
        try:
            node = reader.node(0)
        except IndexError:
            raise MalformedInput("cut short, or an unknown token") from None
        if not reader.finished:
            raise MalformedInput("bytes after the node")
        return node

    def pack(self, node: Node) -> bytes:
        """The node as an uncompressed frame."""
        out = bytearray(b"\0")
        self._put_node(out, node)
        return bytes(out)

    def _put_node(self, out: bytearray, node: Node) -> None:
        _put_list(out, 1 + 2 * len(node.attrs) + (node.content is not None))
        self._put_text(out, node.tag)
        for name, value in node.attrs.items():
            self._put_text(out, name)
            if isinstance(value, str):
                self._put_text(out, value)
            else:
                self._put_jid(out, value)
        if isinstance(node.content, bytes):
            _put_raw(out, node.content)
        elif node.content is not None:
            _put_list(out, len(node.content))
            for child in node.content:
                self._put_node(out, child)

    def _put_jid(self, out: bytearray, jid: Jid) -> None:
        if jid.server in _AGENTS and (jid.device or jid.server.startswith("hosted")):
            out += bytes([DEVICE_JID, _AGENTS[jid.server], jid.device])
            self._put_text(out, jid.user)
            return
        out.append(JID_PAIR)
        if jid.user:
            self._put_text(out, jid.user)
        else:
            out.append(LIST_EMPTY)
        self._put_text(out, jid.server)

    def _put_text(self, out: bytearray, text: str) -> None:
        token = self._tokens.get(text)
        if token:
            out += token
        else:
            _put_raw(out, text.encode())


def _put_list(out: bytearray, size: int) -> None:
    if size == 0:
        out.append(LIST_EMPTY)
    elif size < 256:
        out += bytes((LIST_8, size))
    else:
        out.append(LIST_16)
        out += size.to_bytes(2)


def _put_raw(out: bytearray, raw: bytes) -> None:
    size = len(raw)
    if size < 256:
        out += bytes((BINARY_8, size))
    elif size < 1 << 20:
        out.append(BINARY_20)
        out += size.to_bytes(3)
    else:
        out.append(BINARY_32)
        out += size.to_bytes(4)
    out += raw


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise MalformedInput(f"not compressed data: {error}") from None
    if inflater.unconsumed_tail or not inflater.eof:
        raise MalformedInput("compressed data too long or cut short")
    return inflated


class _Reader:
    """One pass over the bytes of one node. An `IndexError` means that the bytes end too early, or name a token that
    there is not."""

    __slots__ = ("_at", "_data", "_dictionaries", "_single")

    def __init__(self, data: bytes, single: Sequence[str], dictionaries: Sequence[Sequence[str]]) -> None:
        self._data = data
        self._at = 0
        self._single = single
        self._dictionaries = dictionaries

    @property
    def finished(self) -> bool:
        return self._at == len(self._data)

    def node(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise MalformedInput("nested too deep")
        size = self._list_size(self._byte())
        if size == 0:
            raise MalformedInput("a node of size 0")
        tag = self._text()
        attrs: dict[str, str | Jid] = {}
        for _ in range((size - 1) // 2):
            name = self._text()
            value = self._value()
            if value is not None:
                attrs[name] = value
        return Node(tag, attrs, self._content(depth) if size % 2 == 0 else None)

    def _byte(self) -> int:
        at = self._at
        self._at = at + 1
        return self._data[at]

    def _take(self, size: int) -> bytes:
        at = self._at
        self._at = end = at + size
        if end > len(self._data):
            raise MalformedInput("cut short")
        return self._data[at:end]

    def _list_size(self, kind: int) -> int:
        if kind == LIST_8:
            return self._byte()
        if kind == LIST_EMPTY:
            return 0
        if kind == LIST_16:
            return int.from_bytes(self._take(2))
        raise MalformedInput(f"{kind} where a list was expected")

    def _content(self, depth: int) -> bytes | list[Node] | None:
        kind = self._byte()
        if kind == LIST_EMPTY:
            return None
        if kind in (LIST_8, LIST_16):
            return [self.node(depth + 1) for _ in range(self._list_size(kind))]
        if BINARY_8 <= kind <= BINARY_32:
            return self._raw(kind)
        value = self._scalar(kind)
        if isinstance(value, Jid):
            raise MalformedInput("an address where content was expected")
        return value.encode()

    def _value(self) -> str | Jid | None:
        at = self._at
        self._at = at + 1
        kind = self._data[at]
        if kind == LIST_EMPTY:
            return None
        return self._single[kind] if kind < DICTIONARY_FIRST else self._scalar(kind)

    def _text(self) -> str:
        value = self._value()
        if not isinstance(value, str):
            raise MalformedInput("text expected")
        return value

    def _raw(self, kind: int) -> bytes:
        if kind == BINARY_8:
            return self._take(self._byte())
        if kind == BINARY_20:
            return self._take(int.from_bytes(self._take(3)) & 0xFFFFF)
        return self._take(int.from_bytes(self._take(4)))

    def _scalar(self, kind: int) -> str | Jid:
        if kind < DICTIONARY_FIRST:
            return self._single[kind]
        if kind <= DICTIONARY_LAST:
            return self._dictionaries[kind - DICTIONARY_FIRST][self._byte()]
        if kind == NIBBLE_8:
            return self._digits().translate(NIBBLES)
        if kind == HEX_8:
            return self._digits().upper()
        if BINARY_8 <= kind <= BINARY_32:
            try:
                return self._raw(kind).decode()
            except UnicodeDecodeError:
                raise MalformedInput("text that is not UTF-8") from None
        return self._address(kind)

    def _address(self, kind: int) -> Jid:
        if kind == JID_PAIR:
            user = self._value()
            if isinstance(user, Jid):
                raise MalformedInput("an address inside an address")
            return Jid(user or "", self._text())
        if kind == DEVICE_JID:
            agent, device = self._byte(), self._byte()
            return Jid(self._text(), _SERVERS.get(agent, "s.whatsapp.net"), device)
        raise MalformedInput(f"unknown token {kind}")

    def _digits(self) -> str:
        start = self._byte()
        digits = self._take(start & 127).hex()
        return digits[:-1] if start & 128 else digits
