"""A device's offline queue: every stanza stays until the device acknowledges it."""

from __future__ import annotations

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

    def acknowledge_message(self, message_id: str) -> bool:
        """A receipt of whatever type takes the message out; tells whether one was waiting."""
        return self._waiting.pop(("message", message_id), None) is not None

    def acknowledge(self, tag: str, stanza_id: str, sender: str, participant: str | None, kind: str | None) -> None:
        """An `<ack>`: takes out the stanza it names, and no other of the same id."""
        waiting = self._waiting.get((tag, stanza_id), [])
        named = (sender, participant, kind if tag != "message" else None)
        left = [stanza for stanza in waiting if _named(stanza) != named]
        if left:
            self._waiting[tag, stanza_id] = left
        else:
            self._waiting.pop((tag, stanza_id), None)

    def waiting(self) -> list[Node]:
        return [stanza for same in self._waiting.values() for stanza in same]

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))


def _parties(stanza: Node) -> tuple[str | None, ...]:
    return tuple(stanza.get(name) for name in _PARTIES)


def _named(stanza: Node) -> tuple[str | None, ...]:
    sender, participant, kind = _parties(stanza)
    return sender, participant, kind if stanza.tag != "message" else None
