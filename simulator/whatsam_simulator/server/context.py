"""What all handlers share: the world, the journal, the faults, and who is connected. Built once by `simulation.py`."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Protocol

from whatsam_simulator.clock import Clock
from whatsam_simulator.faults import Faults
from whatsam_simulator.journal.journal import Journal
from whatsam_simulator.journal.records import EndReason
from whatsam_simulator.wire.node import Node
from whatsam_simulator.world.records import Device
from whatsam_simulator.world.world import World

TRACED_STANZAS = 2_000
"""Stanzas kept for `GET /journal/stanzas`."""


class Link(Protocol):
    """A client's connection, as handlers see it."""

    id: str
    device: Device | None
    active: bool
    """The client has asked for its messages."""

    def send(self, stanza: Node) -> None:
        """Queues a stanza for the client; never waits, never fails."""

    def end(self, stanza: Node, reason: EndReason) -> None:
        """Sends a last stanza, takes the device away, and closes after the time that clients need to read it."""

    def cut(self) -> None:
        """Ends the TCP connection without a word."""


@dataclass
class Context:
    """The simulator's shared state."""

    world: World
    journal: Journal
    clock: Clock
    faults: Faults = field(default_factory=Faults)
    online: dict[str, Link] = field(default_factory=dict[str, Link])
    """Device key → the connection that is logged in as it."""
    links: dict[str, Link] = field(default_factory=dict[str, Link])
    """Connection id → every open connection."""
    trace: deque[tuple[float, str, str, Node]] = field(default_factory=lambda: deque(maxlen=TRACED_STANZAS))
    """Monotonic time, direction, connection or device, stanza."""
    unknown: Counter[str] = field(default_factory=Counter[str])
    """Stanzas that nothing here understands."""

    def link(self, device: Device) -> Link | None:
        return self.online.get(device.key)

    def timestamp(self) -> int:
        """Unix seconds for a stanza's `t`."""
        return self.clock.seconds()
