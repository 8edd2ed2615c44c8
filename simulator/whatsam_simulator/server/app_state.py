"""The server's side of app state: keeps each collection's patches, hands out what a device lacks.

The server cannot read patches; what the phone writes into them is in `contacts/app_state.py`.
"""

from __future__ import annotations

import os

from whatsam_simulator.errors import QueryRefused
from whatsam_simulator.server.connection import result
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.wire.jid import SERVER
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import encode
from whatsam_simulator.world.records import Account, Device

COLLECTIONS = ("critical_block", "critical_unblock_low", "regular_high", "regular", "regular_low")


class AppState:
    """Answers the namespace `w:sync:app:state`, and takes the phone's patches."""

    def __init__(self, context: Context, delivery: Delivery) -> None:
        self._context = context
        self._delivery = delivery

    def handle(self, link: Link, device: Device, iq: Node) -> None:
        """One query; raises `QueryRefused`."""
        account = self._context.world.account(device.number)
        wanted = iq.need("sync").children
        if any(collection.get("name") not in COLLECTIONS for collection in wanted):
            raise QueryRefused(400, "bad-request")
        changed = [collection.text("name") for collection in wanted if collection.child("patch") is not None]
        link.send(result(iq, [element("sync", {}, [self._collection(account, each) for each in wanted])]))
        if changed:
            self._notify(account, changed, device)

    def _collection(self, account: Account, wanted: Node) -> Node:
        name, have = wanted.text("name"), wanted.number("version", 0)
        patches, new = account.app_state.setdefault(name, []), wanted.child("patch")
        missing = [element("patch", {}, patch) for patch in patches[have:]]
        content: list[Node] = [element("patches", {}, missing)] if missing else []
        kind = "result"
        if new is not None and have != len(patches):
            kind = "error"
            if not self._context.faults.conflict_with_patches:
                content = []
            content.insert(0, element("error", {"code": 409, "text": "conflict"}))
        elif new is not None:
            self._keep(account, name, new.data)
        return element("collection", {"name": name, "type": kind, "version": len(patches)}, content or None)

    def _keep(self, account: Account, name: str, patch: bytes) -> None:
        patches = account.app_state.setdefault(name, [])
        patches.append(encode((1, encode((1, len(patches) + 1)))) + patch)
        self._context.world.changed.add(account.number)

    def phone_patch(self, account: Account, name: str, patch: bytes) -> None:
        """The phone has changed something: all companions are told to fetch it."""
        self._keep(account, name, patch)
        self._notify(account, [name], None)

    def _notify(self, account: Account, names: list[str], author: Device | None) -> None:
        """Every companion but the one that made the change."""
        content = [
            element("collection", {"name": name, "version": len(account.app_state.get(name, []))}) for name in names
        ]
        for device in account.companions:
            if device is not author:
                attrs = {"from": SERVER, "type": "server_sync", "id": os.urandom(6).hex()}
                stanza = element("notification", {**attrs, "t": self._context.timestamp()}, content)
                self._delivery.deliver(device, stanza)
