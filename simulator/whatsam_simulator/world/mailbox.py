"""A device's offline queue: every stanza stays until the device acknowledges it."""

from __future__ import annotations

from collections.abc import Callable

from whatsam_simulator.wire.node import Node

_PARTIES = ("from", "participant", "type")


class Mailbox:
    """Stanzas in order of arrival, found by tag and id."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], list[Node]] = {}

    def put(self, stanza: Node) -> None:
        """Adds a stanza; one of the same id, sender and type takes the place of the older copy."""
        key = stanza.tag, stanza.text("id")
        same = self._waiting.setdefault(key, [])
        same[:] = [other for other in same if _parties(other) != _parties(stanza)]
        same.append(stanza)

    def acknowledge_message(self, message_id: str, retry: int | None = None) -> bool:
        """A receipt takes the message out; tells whether one was waiting.

        A retry receipt (`retry`: its count) takes out the copy that could not be read, not the answer to it.
        """
        return self._keep(("message", message_id), lambda stanza: retry is not None and _copy_number(stanza) >= retry)

    def acknowledge(self, tag: str, stanza_id: str, sender: str, participant: str | None, kind: str | None) -> None:
        """An `<ack>`: takes out the stanza it names, and no other of the same id.

        whatsmeow sends one for a message that it could not read, beside its retry receipt and in either order: it never
        means the answer to that receipt.
        """
        named = (sender, participant, kind if tag != "message" else None)
        self._keep((tag, stanza_id), lambda stanza: _named(stanza) != named or _copy_number(stanza) > 0)

    def _keep(self, key: tuple[str, str], stays: Callable[[Node], bool]) -> bool:
        """Drops what does not stay; tells whether that was anything."""
        waiting = self._waiting.pop(key, [])
        left = [stanza for stanza in waiting if stays(stanza)]
        if left:
            self._waiting[key] = left
        return len(left) < len(waiting)

    def waiting(self) -> list[Node]:
        return [stanza for same in self._waiting.values() for stanza in same]

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))


def _copy_number(stanza: Node) -> int:
    """0 for a message as it was first sent, else the count of the retry receipt that it answers."""
    encrypted = stanza.child("enc")
    count = encrypted.get("count") if encrypted is not None else None
    # What the sender wrote there must not harm the receiver's connection.
    return int(count) if count is not None and count.isascii() and count.isdigit() and len(count) < 4 else 0


def _parties(stanza: Node) -> tuple[str | None, ...]:
    return tuple(stanza.get(name) for name in _PARTIES)


def _named(stanza: Node) -> tuple[str | None, ...]:
    sender, participant, kind = _parties(stanza)
    return sender, participant, kind if stanza.tag != "message" else None
