"""Brings a stanza to a device: through its mailbox to a client, or directly to a phone or contact.

Used by the router and by contacts; whatever goes to a device goes through here.
"""

from __future__ import annotations

from typing import Protocol

from whatsam_simulator.journal.records import MessageStep
from whatsam_simulator.server.context import Context
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Device


class SimulatedReceiver(Protocol):
    """What receives for the devices that live in the simulator."""

    def receive(self, device: Device, stanza: Node) -> None: ...


class Delivery:
    """One for the whole simulator."""

    def __init__(self, context: Context, receiver: SimulatedReceiver) -> None:
        self._context = context
        self._receiver = receiver

    def deliver(self, device: Device, stanza: Node, sender: Device | None = None) -> None:
        """Hands over now or when the device comes back. `sender` is given for messages, for the journal."""
        if device.signal is not None:
            self._receiver.receive(device, stanza)
            return
        if stanza.tag == "message":
            stanza = self._damage(device, stanza)
        self._context.world.mailbox(device).put(stanza)
        link = self._context.link(device)
        reachable = link if link is not None and link.active else None
        if sender is not None:
            step = MessageStep.SENT if reachable else MessageStep.QUEUED
            self._context.journal.message(step, stanza.text("id"), sender=sender.key, receiver=device.key)
        if reachable is not None:
            reachable.send(stanza)

    def pass_on(self, device: Device, stanza: Node) -> None:
        """Hands over what nobody keeps for a device that is away: typing, presence, calls."""
        if device.signal is not None:
            self._receiver.receive(device, stanza)
            return
        link = self._context.link(device)
        if link is not None and link.active:
            link.send(stanza)

    def _damage(self, device: Device, stanza: Node) -> Node:
        faults = self._context.faults
        if not faults.concern(device.number) or stanza.get("category") == "peer":
            return stanza
        if faults.unavailable_messages:
            faults.unavailable_messages -= 1
            return Node(stanza.tag, stanza.attrs, [element("unavailable", {"type": "view_once"})])
        if faults.damage_messages:
            faults.damage_messages -= 1
            return Node(stanza.tag, stanza.attrs, [_flip(child) for child in stanza.children])
        return stanza


def _flip(node: Node) -> Node:
    """A copy of an `<enc>` with one bit of its last ciphertext block turned over."""
    if node.tag != "enc" or not isinstance(node.content, bytes) or len(node.content) < 9:
        return node
    damaged = bytearray(node.content)
    damaged[-9] ^= 1
    return Node(node.tag, node.attrs, bytes(damaged))
