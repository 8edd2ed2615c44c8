"""Groups: what clients ask about them, and what members are told. Used by queries and by the control API."""

from __future__ import annotations

import os

from whatsam_simulator.server.context import Context
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Account, Device, Group, Role

ROLE_AFTER: dict[str, Role] = {"add": "", "promote": "admin", "demote": ""}
CHANGES = ("add", "remove", "promote", "demote")


class Groups:
    """Changes groups and announces each change to everybody concerned, except the device that made it."""

    def __init__(self, context: Context, delivery: Delivery) -> None:
        self._context = context
        self._delivery = delivery

    def node(self, group: Group) -> Node:
        """The group as clients see it."""
        world = self._context.world
        members = [
            element(
                "participant",
                {"jid": account.lid, "phone_number": account.pn, "type": group.members[account.lid_user] or None},
            )
            for account in world.members(group)
        ]
        attrs = {
            "id": group.id,
            "subject": group.subject,
            "creation": group.created,
            "s_t": group.created,
            "creator": world.by_lid(group.creator).lid,
            "addressing_mode": "lid",
        }
        return element("group", attrs, members)

    def create(self, creator: Device, subject: str, members: list[Account]) -> Group:
        """A new group with its creator as superadmin."""
        world = self._context.world
        group = world.create_group(subject, world.account(creator.number), members, self._context.timestamp())
        content = element("create", {"type": "new", "reason": "invite"}, [self.node(group)])
        self._announce(group, creator, content, list(world.members(group)))
        return group

    def change_members(self, group: Group, actor: Device, kind: str, accounts: list[Account]) -> None:
        """`kind`: add, remove, promote, demote or leave. Those who are no longer members are told as well."""
        world = self._context.world
        told = list(world.members(group))
        for account in accounts:
            if kind in ROLE_AFTER:
                group.members[account.lid_user] = ROLE_AFTER[kind]
            else:
                group.members.pop(account.lid_user, None)
        told += [account for account in accounts if account not in told]
        participants = [element("participant", {"jid": a.lid, "phone_number": a.pn}) for a in accounts]
        content = element("remove" if kind == "leave" else kind, {}, participants)
        self._announce(group, actor, content, told)
        world.changed.add(actor.number)

    def _announce(self, group: Group, actor: Device, content: Node, told: list[Account]) -> None:
        for device in [device for account in told for device in account.devices.values()]:
            if device is actor:
                continue
            attrs = {
                "from": group.jid,
                "type": "w:gp2",
                "id": os.urandom(6).hex(),
                "t": self._context.timestamp(),
                "participant": actor.lid.bare,
                "participant_pn": actor.pn.bare,
                "addressing_mode": "lid",
            }
            self._delivery.deliver(device, element("notification", attrs, [content]))
