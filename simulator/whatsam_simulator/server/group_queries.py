"""What clients ask and change about groups: queries of the namespace `w:g2`. Source: whatsmeow, `group.go`."""

from __future__ import annotations

from collections.abc import Callable

from whatsam_simulator.errors import QueryRefused
from whatsam_simulator.server.connection import result
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.groups import CHANGES, Groups
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Device, Group

MAX_SUBJECT = 100


BAD_REQUEST = QueryRefused(400, "bad-request")
NOT_AUTHORIZED = QueryRefused(401, "not-authorized")
FORBIDDEN = QueryRefused(403, "forbidden")
NOT_FOUND = QueryRefused(404, "item-not-found")
NOT_ACCEPTABLE = QueryRefused(406, "not-acceptable")
GONE = QueryRefused(410, "gone")


class GroupQueries:
    """Answers one client's query after the other."""

    def __init__(self, context: Context, groups: Groups) -> None:
        self._context = context
        self._groups = groups
        self._changes: dict[str, Callable[[Group, Device, Node], None]] = {
            "subject": self._subject,
            "description": self._description,
            "announcement": lambda group, device, _: groups.set_announce(group, device, on=True),
            "not_announcement": lambda group, device, _: groups.set_announce(group, device, on=False),
            "locked": lambda group, device, _: groups.set_locked(group, device, on=True),
            "unlocked": lambda group, device, _: groups.set_locked(group, device, on=False),
            "ephemeral": lambda group, device, node: groups.set_ephemeral(group, device, node.number("expiration", 0)),
            "not_ephemeral": lambda group, device, _: groups.set_ephemeral(group, device, 0),
            "membership_approval_mode": self._approval_mode,
            "member_add_mode": self._member_add_mode,
        }

    def handle(self, link: Link, device: Device, iq: Node) -> None:
        """One query; raises `QueryRefused`."""
        link.send(result(iq, self._answer(device, iq)))

    def _answer(self, device: Device, iq: Node) -> list[Node] | None:
        if not iq.children:
            raise BAD_REQUEST
        asked, to = iq.children[0], iq.jid("to")
        if not to.user:
            return self._about_all(device, iq, asked)
        group = self._context.world.groups.get(to.user)
        if group is None:
            raise NOT_FOUND
        if asked.tag == "accept":
            return self._accept(group, device, asked)
        if asked.tag == "query" and asked.child("add_request") is not None:
            return [self._groups.node(group)]
        if device.lid_user not in group.members:
            raise FORBIDDEN
        return self._about_one(device, iq, asked, group)

    def _about_all(self, device: Device, iq: Node, asked: Node) -> list[Node]:
        world = self._context.world
        account = world.account(device.number)
        if asked.tag == "create":
            return [self._create(device, asked)]
        if asked.tag == "participating":
            mine = [group for group in world.groups.values() if account.lid_user in group.members]
            return [element("groups", {}, [self._groups.node(group) for group in mine])]
        if asked.tag == "leave":
            for wanted in asked.children:
                group = world.groups.get(wanted.jid("id").user or wanted.text("id"))
                if group is not None:
                    self._groups.change_members(group, device, "leave", [account.lid])
            return [asked]
        if asked.tag != "invite":
            raise BAD_REQUEST
        group = self._by_code(asked.text("code"))
        if iq.get("type") == "get":
            return [self._groups.node(group)]
        if self._groups.join(group, device):
            return [element("group", {"jid": group.jid})]
        return [element("membership_approval_request", {"jid": group.jid})]

    def _create(self, device: Device, asked: Node) -> Node:
        world = self._context.world
        wanted = [member.jid("jid") for member in asked.every("participant")]
        known = [account for account in map(world.find, wanted) if account is not None]
        subject = asked.get("subject") or ""
        if len(subject) > MAX_SUBJECT:
            raise NOT_ACCEPTABLE
        group, refused = self._groups.create(device, subject, known)
        group.announce, group.locked = asked.child("announcement") is not None, asked.child("locked") is not None
        ephemeral, approval = asked.child("ephemeral"), asked.child("membership_approval_mode")
        group.ephemeral = ephemeral.number("expiration", 0) if ephemeral is not None else 0
        group.approval = approval is not None and _state(approval)
        return self._groups.node(group, refused)

    def _by_code(self, code: str) -> Group:
        for group in self._context.world.groups.values():
            if group.invite == code:
                return group
            if code in group.revoked_invites:
                raise GONE
        raise NOT_ACCEPTABLE

    def _accept(self, group: Group, device: Device, asked: Node) -> list[Node]:
        """An invitation that came as a message."""
        inviter = self._context.world.find(asked.jid("admin"))
        if asked.get("code") != group.invite or inviter is None or not group.is_admin(inviter.lid_user):
            raise GONE
        self._groups.join(group, device)
        return [element("group", {"jid": group.jid})]

    def _about_one(self, device: Device, iq: Node, asked: Node, group: Group) -> list[Node] | None:
        admin = group.is_admin(device.lid_user)
        if asked.tag == "query":
            return [self._groups.node(group)]
        if asked.tag == "invite":
            if not admin:
                raise NOT_AUTHORIZED
            if iq.get("type") == "set":
                self._groups.reset_invite(group, device)
            return [element("invite", {"code": group.invite})]
        if asked.tag == "membership_approval_requests":
            return [self._requests(group, admin=admin)]
        if asked.tag == "membership_requests_action":
            return [self._decide(group, device, asked, admin=admin)]
        if not admin and not self._open_to_all(group, asked.tag):
            raise FORBIDDEN
        if asked.tag in CHANGES:
            wanted = [participant.jid("jid") for participant in asked.every("participant")]
            outcomes = self._groups.change_members(group, device, asked.tag, wanted)
            return [self._groups.results(group, asked.tag, outcomes)]
        change = self._changes.get(asked.tag)
        if change is None:
            raise BAD_REQUEST
        change(group, device, asked)
        return None

    @staticmethod
    def _open_to_all(group: Group, change: str) -> bool:
        """What members who are no admins may do."""
        if change in ("subject", "description", "ephemeral", "not_ephemeral"):
            return not group.locked
        return change == "add" and group.member_add_mode == "all_member_add"

    def _requests(self, group: Group, *, admin: bool) -> Node:
        if not admin:
            raise FORBIDDEN
        waiting = [
            element("membership_approval_request", {"jid": self._context.world.by_lid(lid).lid, "request_time": at})
            for lid, at in group.requests.items()
        ]
        return element("membership_approval_requests", {}, waiting)

    def _decide(self, group: Group, device: Device, asked: Node, *, admin: bool) -> Node:
        if not admin:
            raise FORBIDDEN
        action = next((child for child in asked.children if child.tag in ("approve", "reject")), None)
        if action is None:
            raise BAD_REQUEST
        wanted = [participant.jid("jid") for participant in action.every("participant")]
        outcomes = self._groups.decide(group, device, wanted, approve=action.tag == "approve")
        return element("membership_requests_action", {}, [self._groups.results(group, action.tag, outcomes)])

    # single settings

    def _subject(self, group: Group, device: Device, asked: Node) -> None:
        subject = asked.data.decode(errors="replace")
        if not subject or len(subject) > MAX_SUBJECT:
            raise NOT_ACCEPTABLE
        self._groups.set_subject(group, device, subject)

    def _description(self, group: Group, device: Device, asked: Node) -> None:
        body = asked.child("body")
        previous = asked.get("prev")
        if previous is not None and previous != group.description_id:
            raise QueryRefused(409, "conflict")
        text = body.data.decode(errors="replace") if body is not None else ""
        self._groups.set_description(group, device, text, asked.get("id") or "0")

    def _approval_mode(self, group: Group, device: Device, asked: Node) -> None:
        self._groups.set_approval(group, device, on=_state(asked))

    def _member_add_mode(self, group: Group, device: Device, asked: Node) -> None:
        mode = asked.data.decode(errors="replace")
        if mode not in ("admin_add", "all_member_add"):
            raise BAD_REQUEST
        self._groups.set_member_add_mode(group, device, mode)


def _state(mode: Node) -> bool:
    join = mode.child("group_join")
    return join is not None and join.get("state") == "on"
