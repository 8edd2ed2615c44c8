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
from whatsam_simulator.world.records import Account, Device
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

    def swallow(self) -> None:
        """From now on nothing goes through in either direction, and nothing says so: no end, no reset."""


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

    acquainted: dict[str, set[str]] = field(default_factory=dict[str, "set[str]"])
    """Number → numbers it has exchanged messages with; they learn of its new picture and about text."""
    subscribers: dict[str, set[str]] = field(default_factory=dict[str, "set[str]"])
    """Number → keys of the devices that want to know when it is online."""

    def acquaint(self, one: str, other: str) -> None:
        self.acquainted.setdefault(one, set()).add(other)
        self.acquainted.setdefault(other, set()).add(one)

    def watchers(self, account: Account) -> list[Device]:
        """Companions of the account and of everybody who knows it, from a chat or a group."""
        numbers = {account.number} | self.acquainted.get(account.number, set())
        for group in self.world.groups.values():
            if account.lid_user in group.members:
                numbers |= {member.number for member in self.world.members(group)}
        return [device for number in sorted(numbers) for device in self.world.account(number).companions]

    def link(self, device: Device) -> Link | None:
        return self.online.get(device.key)

    def timestamp(self) -> int:
        """Unix seconds for a stanza's `t`."""
        return self.clock.seconds()
