"""Groups: what clients ask about them, and what members are told. Also used by the control API."""

from __future__ import annotations

import os

from whatsam_simulator.server.context import Context
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Account, Group, Role


def group_node(context: Context, group: Group) -> Node:
    """The group as clients see it."""
    members = [
        element(
            "participant",
            {"jid": account.lid, "phone_number": account.pn, "type": group.members[account.lid_user] or None},
        )
        for account in context.world.members(group)
    ]
    attrs = {
        "id": group.id,
        "subject": group.subject,
        "creation": group.created,
        "s_t": group.created,
        "creator": context.world.by_lid(group.creator).lid,
        "addressing_mode": "lid",
    }
    return element("group", attrs, members)


def create(context: Context, delivery: Delivery, creator: Account, subject: str, members: list[Account]) -> Group:
    """A new group; its members are told."""
    group = context.world.create_group(subject, creator, members, context.timestamp())
    content = element("create", {"type": "new", "reason": "invite"}, [group_node(context, group)])
    announce(context, delivery, group, creator, content)
    return group


def change_members(
    context: Context, delivery: Delivery, group: Group, actor: Account, kind: str, accounts: list[Account]
) -> None:
    """Adds, removes, promotes or demotes members, or lets them leave; everybody concerned is told."""
    told = list(context.world.members(group))
    roles: dict[str, Role] = {"add": "", "promote": "admin", "demote": ""}
    for account in accounts:
        if kind in roles:
            group.members[account.lid_user] = roles[kind]
        else:
            group.members.pop(account.lid_user, None)
    told += [account for account in accounts if account not in told]
    participants = [element("participant", {"jid": a.lid, "phone_number": a.pn}) for a in accounts]
    announce(context, delivery, group, actor, element("remove" if kind == "leave" else kind, {}, participants), told)


def announce(
    context: Context, delivery: Delivery, group: Group, actor: Account, content: Node, told: list[Account] | None = None
) -> None:
    """A notification about the group to its members, the actor's own device excepted."""
    for account in told if told is not None else list(context.world.members(group)):
        if account is actor:
            continue
        for device in list(account.devices.values()):
            attrs = {
                "from": group.jid,
                "type": "w:gp2",
                "id": os.urandom(6).hex(),
                "t": context.timestamp(),
                "participant": actor.lid,
                "participant_pn": actor.pn,
                "addressing_mode": "lid",
            }
            delivery.deliver(device, element("notification", attrs, [content]))
