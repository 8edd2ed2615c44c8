"""Calls: a contact rings, gives up, or picks up elsewhere; no sound behind them. Source: whatsmeow, `call.go`."""

from __future__ import annotations

import os

from whatsam_simulator.server.context import Context
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.wire.jid import Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Account, Device, Group


class Calls:
    """Calls of contacts to linked accounts, and what clients answer."""

    def __init__(self, context: Context, delivery: Delivery) -> None:
        self._context = context
        self._delivery = delivery

    def ring(self, caller: Account, to: Account, *, video: bool, group: Group | None) -> str:
        """An offer to every companion of `to`; returns the call's id."""
        call_id = os.urandom(16).hex().upper()
        media = element("video" if video else "audio", {"enc": "opus", "rate": "16000"})
        offer = self._inner("offer", caller, call_id, {"group-jid": group.jid if group else None}, [media])
        self._send(caller, to, offer)
        return call_id

    def follow(self, caller: Account, to: Account, call_id: str, change: str, reason: str | None) -> None:
        """`change`: accept, terminate, preaccept, reject, relaylatency, transport."""
        self._send(caller, to, self._inner(change, caller, call_id, {"reason": reason}))

    def handle(self, _link: object, device: Device, call: Node) -> None:
        """`<call>` of a client: rejections and the like; the caller sees it among its events."""
        account = self._context.world.find(call.jid("to"))
        if account is None or not call.children:
            return
        attrs = {"from": device.lid, "id": call.text("id"), "t": self._context.timestamp()}
        for receiver in list(account.devices.values()):
            self._delivery.pass_on(receiver, element("call", attrs, call.content))

    @staticmethod
    def _inner(
        tag: str, caller: Account, call_id: str, more: dict[str, str | Jid | None], content: list[Node] | None = None
    ) -> Node:
        attrs = {"call-id": call_id, "call-creator": caller.lid, "caller_pn": caller.pn, **more}
        return element(tag, attrs, content)

    def _send(self, caller: Account, to: Account, inner: Node) -> None:
        attrs = {
            "from": caller.lid,
            "id": os.urandom(8).hex().upper(),
            "t": self._context.timestamp(),
            "platform": "android",
            "version": "2.26.30.1",
            "notify": caller.name,
        }
        for device in to.companions:
            self._delivery.deliver(device, element("call", attrs, [inner]))
