"""Presence and typing, of clients and of contacts. Nothing of it is queued: who is away does not learn of it."""

from __future__ import annotations

from typing import Literal

from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.wire.jid import GROUP_SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Account, Device

TypingState = Literal["composing", "recording", "paused"]


class Presence:
    """One for the whole simulator."""

    def __init__(self, context: Context, delivery: Delivery) -> None:
        self._context = context
        self._delivery = delivery
        self._available: dict[str, bool] = {}
        """Number → what was last said; companions count as their account."""
        self._last_seen: dict[str, int] = {}

    # clients

    def handle(self, link: Link, device: Device, presence: Node) -> None:
        """`<presence>` of a client: its own state, or a subscription to somebody's."""
        account = self._context.world.account(device.number)
        account.name = presence.get("name") or account.name
        if presence.get("type") == "subscribe":
            watched = self._context.world.find(presence.jid("to"))
            if watched is not None:
                self._context.subscribers.setdefault(watched.number, set()).add(device.key)
                link.send(self._stanza(watched))
        else:
            self.set(account, available=presence.get("type") == "available")

    def chatstate(self, _link: Link, device: Device, state: Node) -> None:
        """`<chatstate>` of a client."""
        to = state.jid("to")
        if state.children:
            self._type(device, to, state.children[0])

    # contacts

    def set(self, account: Account, *, available: bool, last_seen: int | None = None) -> None:
        """Somebody comes online or leaves; `last_seen`: Unix seconds."""
        self._available[account.number] = available
        if not available:
            self._last_seen[account.number] = self._context.timestamp() if last_seen is None else last_seen
        for key in list(self._context.subscribers.get(account.number, ())):
            link = self._context.online.get(key)
            if link is not None and link.active:
                link.send(self._stanza(account))

    def type(self, account: Account, to: Jid, state: TypingState) -> None:
        """A contact types, records a voice note, or stops; `to`: a person's LID or a group."""
        attrs = {"media": "audio"} if state == "recording" else {}
        self._type(account.phone, to, element("paused" if state == "paused" else "composing", attrs))

    def _stanza(self, account: Account) -> Node:
        online = self._available.get(account.number)
        if online is None:
            online = any(map(self._context.link, account.devices.values()))
        last = self._last_seen.get(account.number, self._context.timestamp())
        return element("presence", {"from": account.lid} | ({} if online else {"type": "unavailable", "last": last}))

    def _type(self, device: Device, to: Jid, content: Node) -> None:
        world = self._context.world
        if to.server == GROUP_SERVER:
            group = world.groups.get(to.user)
            if group is None or device.lid_user not in group.members:
                return
            told = [account for account in world.members(group) if account.number != device.number]
            attrs = {"from": to, "participant": device.lid.bare, "participant_pn": device.pn.bare}
        else:
            account = world.find(to)
            told = [account] if account is not None else []
            attrs = {"from": device.lid.bare, "sender_pn": device.pn.bare}
        for receiver in [receiver for account in told for receiver in account.devices.values()]:
            self._delivery.pass_on(receiver, element("chatstate", attrs, [content]))
