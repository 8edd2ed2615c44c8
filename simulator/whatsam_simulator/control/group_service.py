"""What the control API can do with groups. Used by its routes."""

from __future__ import annotations

import os

from whatsam_simulator.contacts.authoring import decoded
from whatsam_simulator.contacts.outgoing import MessageBody
from whatsam_simulator.control.group_models import (
    GroupChangeRequest,
    GroupDecisionRequest,
    GroupMembersRequest,
    GroupView,
)
from whatsam_simulator.simulation import Simulation
from whatsam_simulator.world.records import Group


class GroupService:
    """One method per route."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._groups = simulation.groups
        self._world = simulation.context.world

    def all(self) -> list[GroupView]:
        return [self._view(group) for group in self._world.groups.values()]

    def one(self, group_id: str) -> GroupView:
        return self._view(self._world.group(group_id))

    def create(self, subject: str, creator: str, members: list[str]) -> GroupView:
        accounts = [self._world.account(number) for number in members]
        group, _ = self._groups.create(self._world.account(creator).phone, subject, accounts)
        return self._view(group)

    def change_members(self, group_id: str, body: GroupMembersRequest) -> GroupView:
        group, actor = self._world.group(group_id), self._world.account(body.actor).phone
        changes = (("add", body.add), ("remove", body.remove), ("promote", body.promote), ("demote", body.demote))
        known = [(kind, [self._world.account(number).lid for number in numbers]) for kind, numbers in changes]
        for kind, wanted in known:
            if wanted:
                self._groups.change_members(group, actor, kind, wanted)
        return self._view(group)

    def leave(self, group_id: str, number: str) -> GroupView:
        group, account = self._world.group(group_id), self._world.account(number)
        self._groups.change_members(group, account.phone, "leave", [account.lid])
        return self._view(group)

    def join(self, group_id: str, number: str) -> bool:
        """Somebody opens the invite link; false: waits for approval."""
        return self._groups.join(self._world.group(group_id), self._world.account(number).phone)

    def decide(self, group_id: str, body: GroupDecisionRequest) -> GroupView:
        group, actor = self._world.group(group_id), self._world.account(body.actor).phone
        for approve, numbers in ((True, body.approve), (False, body.reject)):
            wanted = [self._world.account(number).lid for number in numbers]
            self._groups.decide(group, actor, wanted, approve=approve)
        return self._view(group)

    def change(self, group_id: str, body: GroupChangeRequest) -> GroupView:
        group, actor = self._world.group(group_id), self._world.account(body.actor).phone
        if body.subject is not None:
            self._groups.set_subject(group, actor, body.subject)
        if body.description is not None:
            self._groups.set_description(group, actor, body.description, os.urandom(8).hex())
        if body.announce is not None:
            self._groups.set_announce(group, actor, on=body.announce)
        if body.locked is not None:
            self._groups.set_locked(group, actor, on=body.locked)
        if body.ephemeral is not None:
            self._groups.set_ephemeral(group, actor, body.ephemeral)
        if body.approval is not None:
            self._groups.set_approval(group, actor, on=body.approval)
        if body.member_add_mode is not None:
            self._groups.set_member_add_mode(group, actor, body.member_add_mode)
        if body.picture is not None:
            self._groups.set_picture(group, actor, decoded(body.picture, "picture"))
        if body.reset_invite:
            self._groups.reset_invite(group, actor)
        return self._view(group)

    def send(self, group_id: str, number: str, body: MessageBody) -> str:
        group, sender = self._world.group(group_id), self._world.account(number)
        return self._simulation.sending.send_to_group(sender, group, self._simulation.authoring.write(sender, body))

    def _view(self, group: Group) -> GroupView:
        return GroupView(
            id=group.id,
            jid=str(group.jid),
            subject=group.subject,
            creator=self._world.by_lid(group.creator).number,
            members={self._world.by_lid(lid).number: str(role) for lid, role in group.members.items()},
            description=group.description,
            announce=group.announce,
            locked=group.locked,
            ephemeral=group.ephemeral,
            approval=group.approval,
            member_add_mode=group.member_add_mode,
            invite=group.invite,
            picture_id=group.picture_id,
            requests=[self._world.by_lid(lid).number for lid in group.requests],
        )
