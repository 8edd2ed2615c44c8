"""Groups: how they look to clients, and every change of them. Used by the clients' queries and by the control API.

Each change is told to everybody concerned except the device that made it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from whatsam_simulator.server.context import Context
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.wire.jid import Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Account, Device, Group, Role, new_picture_id

ROLE_AFTER: dict[str, Role] = {"add": "", "promote": "admin", "demote": ""}
CHANGES = ("add", "remove", "promote", "demote")
FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409
"""Why one member could not be changed."""
REQUEST_SECONDS = 3 * 86_400
"""How long an invitation is good that takes the place of an addition."""


@dataclass(frozen=True)
class Outcome:
    """What came of the change of one member; `error` is 0 when it was made."""

    jid: Jid
    account: Account | None
    error: int = 0


class Groups:
    """`on_members` is called after members have left or been removed: sender keys have to change."""

    def __init__(self, context: Context, delivery: Delivery, on_members: Callable[[Group], None]) -> None:
        self._context = context
        self._delivery = delivery
        self._on_members = on_members

    # how a group looks

    def node(self, group: Group, failed: Iterable[Outcome] = ()) -> Node:
        """The group as clients see it; `failed`: who could not be added when it was made."""
        world, creator = self._context.world, self._context.world.by_lid(group.creator)
        namer = world.by_lid(group.subject_by or group.creator)
        attrs = {
            "id": group.id,
            "subject": group.subject,
            "creation": group.created,
            "s_t": group.subject_at or group.created,
            "s_o": namer.lid,
            "s_o_pn": namer.pn,
            "creator": creator.lid,
            "creator_pn": creator.pn,
            "addressing_mode": "lid",
            "size": len(group.members),
            "p_v_id": group.version,
            "a_v_id": group.version,
        }
        members = [_participant(account, group.members[account.lid_user]) for account in world.members(group)]
        refused = [self._refused(outcome) for outcome in failed]
        return element("group", attrs, [*members, *refused, *self._settings(group)])

    def _settings(self, group: Group) -> list[Node]:
        content: list[Node] = []
        if group.description:
            by = self._context.world.by_lid(group.description_by or group.creator)
            attrs = {
                "id": group.description_id,
                "participant": by.lid,
                "participant_pn": by.pn,
                "t": group.description_at,
            }
            content.append(element("description", attrs, [element("body", {}, group.description)]))
        if group.announce:
            content.append(element("announcement"))
        if group.locked:
            content.append(element("locked"))
        if group.ephemeral:
            content.append(element("ephemeral", {"expiration": group.ephemeral}))
        if group.approval:
            content.append(_approval(on=True))
        content.append(element("member_add_mode", {}, group.member_add_mode))
        return content

    # members

    def create(self, creator: Device, subject: str, members: list[Account]) -> tuple[Group, list[Outcome]]:
        """A new group with its creator as superadmin, and who could not be added."""
        world = self._context.world
        refused = [member for member in members if not _may_be_added(member, creator)]
        welcome = [member for member in members if member not in refused]
        group = world.create_group(subject, world.account(creator.number), welcome, self._context.timestamp())
        content = element("create", {"type": "new", "reason": "invite"}, [self.node(group)])
        self._announce(group, creator, content, list(world.members(group)))
        return group, [Outcome(member.lid, member, FORBIDDEN) for member in refused]

    def change_members(
        self, group: Group, actor: Device, kind: str, wanted: list[Jid], *, reason: str | None = None
    ) -> list[Outcome]:
        """`kind`: add, remove, promote, demote or leave. Those who are no longer members are told as well."""
        outcomes = [self._outcome(group, actor, kind, jid) for jid in wanted]
        changed = [outcome.account for outcome in outcomes if outcome.account is not None and not outcome.error]
        if changed:
            self._apply(group, actor, kind, changed, reason)
        return outcomes

    def _outcome(self, group: Group, actor: Device, kind: str, jid: Jid) -> Outcome:
        account = self._context.world.find(jid)
        if account is None:
            return Outcome(jid, None, NOT_FOUND)
        member = account.lid_user in group.members
        if kind == "add" and member:
            return Outcome(jid, account, CONFLICT)
        if kind == "add" and not _may_be_added(account, actor):
            return Outcome(jid, account, FORBIDDEN)
        if kind != "add" and not member:
            return Outcome(jid, account, NOT_FOUND)
        return Outcome(jid, account)

    def _apply(self, group: Group, actor: Device, kind: str, accounts: list[Account], reason: str | None) -> None:
        world = self._context.world
        told = list(world.members(group))
        for account in accounts:
            group.requests.pop(account.lid_user, None)
            if kind in ROLE_AFTER:
                group.members[account.lid_user] = ROLE_AFTER[kind]
            else:
                group.members.pop(account.lid_user, None)
        before, group.version = group.version, group.version + 1
        participants = [_participant(account) for account in accounts]
        attrs = {"v_id": group.version, "prev_v_id": before, "reason": reason}
        content = element("remove" if kind == "leave" else kind, attrs, participants)
        self._announce(group, actor, content, told)
        if kind == "add":
            welcome = element("create", {"type": "new", "reason": reason or "invite"}, [self.node(group)])
            self._announce(group, actor, welcome, accounts)
        if kind in ("remove", "leave"):
            self._on_members(group)
        world.changed.add(actor.number)

    def results(self, group: Group, kind: str, outcomes: Iterable[Outcome]) -> Node:
        """The answer to a change of members, one by one."""
        content = [
            self._refused(outcome)
            if outcome.error or outcome.account is None
            else _participant(outcome.account, group.members.get(outcome.account.lid_user, ""))
            for outcome in outcomes
        ]
        return element(kind, {}, content)

    def _refused(self, outcome: Outcome) -> Node:
        attrs = {"jid": outcome.jid, "error": outcome.error or None}
        if outcome.error != FORBIDDEN:
            return element("participant", attrs)
        expires = self._context.timestamp() + REQUEST_SECONDS
        request = element("add_request", {"code": os.urandom(8).hex(), "expiration": expires})
        return element("participant", attrs, [request])

    # settings

    def set_subject(self, group: Group, actor: Device, subject: str) -> None:
        group.subject, group.subject_by, group.subject_at = subject, actor.lid_user, self._context.timestamp()
        attrs = {"subject": subject, "s_t": group.subject_at, "s_o": actor.lid.bare, "s_o_pn": actor.pn.bare}
        self._tell(group, actor, element("subject", attrs))

    def set_description(self, group: Group, actor: Device, text: str, description_id: str) -> None:
        """An empty text deletes it."""
        group.description, group.description_id = text, description_id
        group.description_by, group.description_at = actor.lid_user, self._context.timestamp()
        inner = element("body", {}, text) if text else element("delete")
        self._tell(group, actor, element("description", {"id": description_id}, [inner]))

    def set_announce(self, group: Group, actor: Device, *, on: bool) -> None:
        group.announce = on
        self._tell(group, actor, element("announcement" if on else "not_announcement", {"v_id": group.version}))

    def set_locked(self, group: Group, actor: Device, *, on: bool) -> None:
        group.locked = on
        self._tell(group, actor, element("locked" if on else "unlocked"))

    def set_ephemeral(self, group: Group, actor: Device, seconds: int) -> None:
        group.ephemeral = seconds
        on = element("ephemeral", {"expiration": seconds, "trigger": 1})
        self._tell(group, actor, on if seconds else element("not_ephemeral"))

    def set_approval(self, group: Group, actor: Device, *, on: bool) -> None:
        """Whether admins have to approve who joins by link."""
        group.approval = on
        self._tell(group, actor, _approval(on=on))

    def set_member_add_mode(self, group: Group, actor: Device, mode: str) -> None:
        group.member_add_mode = mode
        self._tell(group, actor, element("member_add_mode", {}, mode))

    def set_picture(self, group: Group, actor: Device, jpeg: bytes) -> str:
        """The new picture's id; no bytes take the picture away."""
        group.picture, group.picture_id = jpeg, new_picture_id() if jpeg else ""
        attrs = {"jid": group.jid, "author": actor.lid.bare, "id": group.picture_id or None}
        change = element("set" if jpeg else "delete", attrs)
        self._announce(group, actor, change, list(self._context.world.members(group)), kind="picture")
        return group.picture_id

    # joining

    def reset_invite(self, group: Group, actor: Device) -> None:
        """A new link; the old one is worth nothing from now on."""
        group.revoked_invites.append(group.invite)
        group.invite = os.urandom(8).hex()
        self._tell(group, actor, element("invite", {"code": group.invite}))

    def join(self, group: Group, device: Device) -> bool:
        """Somebody opens the link: joins (true), or waits for approval (false)."""
        if device.lid_user in group.members:
            return True
        if not group.approval:
            account = self._context.world.account(device.number)
            self._apply(group, device, "add", [account], "invite")
            return True
        if device.lid_user not in group.requests:
            group.requests[device.lid_user] = self._context.timestamp()
            user = element("requested_user", {"jid": device.lid.bare, "phone_number": device.pn.bare})
            created = element("created_membership_requests", {"request_method": "invite_link"}, [user])
            admins = [account for account in self._context.world.members(group) if group.is_admin(account.lid_user)]
            self._announce(group, device, created, admins)
            self._context.world.changed.add(device.number)
        return False

    def decide(self, group: Group, actor: Device, wanted: list[Jid], *, approve: bool) -> list[Outcome]:
        """Admits or rejects people who wait."""
        outcomes: list[Outcome] = []
        for jid in wanted:
            account = self._context.world.find(jid)
            if account is None or group.requests.pop(account.lid_user, None) is None:
                outcomes.append(Outcome(jid, account, NOT_FOUND))
                continue
            if approve:
                self._apply(group, actor, "add", [account], "linked_group_join")
            outcomes.append(Outcome(jid, account))
        self._context.world.changed.add(actor.number)
        return outcomes

    # telling

    def _tell(self, group: Group, actor: Device, change: Node) -> None:
        self._context.world.changed.add(actor.number)
        self._announce(group, actor, change, list(self._context.world.members(group)))

    def _announce(
        self, group: Group, actor: Device, content: Node, told: list[Account], *, kind: str = "w:gp2"
    ) -> None:
        attrs = {
            "from": group.jid,
            "type": kind,
            "id": os.urandom(6).hex(),
            "t": self._context.timestamp(),
            "participant": actor.lid.bare,
            "participant_pn": actor.pn.bare,
            "notify": self._context.world.account(actor.number).name,
            "addressing_mode": "lid",
        }
        stanza = element("notification", attrs, [content])
        for device in [device for account in told for device in account.devices.values()]:
            if device is not actor:
                self._delivery.deliver(device, stanza)


def _participant(account: Account, role: Role = "") -> Node:
    return element("participant", {"jid": account.lid, "phone_number": account.pn, "type": role or None})


def _approval(*, on: bool) -> Node:
    return element("membership_approval_mode", {}, [element("group_join", {"state": "on" if on else "off"})])


def _may_be_added(account: Account, actor: Device) -> bool:
    return account.profile.privacy.get("groupadd") != "none" or account.number == actor.number
