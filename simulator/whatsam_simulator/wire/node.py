"""Stanzas: the XML-like nodes that client and server exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whatsam_simulator.errors import MalformedInput
from whatsam_simulator.wire.jid import Jid


@dataclass(slots=True)
class Node:
    """A tag with attributes and either bytes or child nodes.

    The accessors that return no `None` raise `MalformedInput`: a stanza that lacks them came from a broken client.
    """

    tag: str
    attrs: dict[str, str | Jid] = field(default_factory=dict[str, "str | Jid"])
    content: bytes | list[Node] | None = None

    @property
    def children(self) -> list[Node]:
        content = self.content
        return content if isinstance(content, list) else []

    @property
    def data(self) -> bytes:
        """The node's bytes."""
        if not isinstance(self.content, bytes):
            raise MalformedInput(f"<{self.tag}> carries no bytes")
        return self.content

    def child(self, tag: str) -> Node | None:
        for child in self.children:
            if child.tag == tag:
                return child
        return None

    def need(self, tag: str) -> Node:
        child = self.child(tag)
        if child is None:
            raise MalformedInput(f"<{self.tag}> lacks <{tag}>")
        return child

    def every(self, tag: str) -> list[Node]:
        return [child for child in self.children if child.tag == tag]

    def get(self, name: str) -> str | None:
        """The attribute as text, `None` where it is absent."""
        value = self.attrs.get(name)
        return str(value) if isinstance(value, Jid) else value

    def text(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise MalformedInput(f"<{self.tag}> lacks the attribute {name}")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        value = self.get(name)
        if value is None and default is not None:
            return default
        if value is None or not value.isascii() or not value.isdigit() or len(value) > 18:
            raise MalformedInput(f"<{self.tag}> has no number in {name}")
        return int(value)

    def get_jid(self, name: str) -> Jid | None:
        value = self.attrs.get(name)
        return Jid.parse(value) if isinstance(value, str) else value

    def jid(self, name: str) -> Jid:
        value = self.get_jid(name)
        if value is None:
            raise MalformedInput(f"<{self.tag}> lacks the address {name}")
        return value

    def __str__(self) -> str:
        attrs = "".join(f' {name}="{value}"' for name, value in self.attrs.items())
        if self.content is None:
            return f"<{self.tag}{attrs}/>"
        if isinstance(self.content, bytes):
            inner = f"[{len(self.content)} bytes {self.content[:8].hex()}]"
        else:
            inner = "".join(map(str, self.content[:8])) + ("…" if len(self.content) > 8 else "")
        return f"<{self.tag}{attrs}>{inner}</{self.tag}>"


def element(
    tag: str,
    attrs: Mapping[str, str | int | Jid | None] | None = None,
    content: bytes | str | list[Node] | None = None,
) -> Node:
    """A node from what is at hand: attributes that are `None` are left out, numbers become text."""
    kept = {
        name: str(value) if isinstance(value, int) else value
        for name, value in (attrs or {}).items()
        if value is not None
    }
    return Node(tag, kept, content.encode() if isinstance(content, str) else content)
