"""Routes that play members of groups."""

from __future__ import annotations

from fastapi import APIRouter

from whatsam_simulator.control.dependencies import Groups
from whatsam_simulator.control.group_models import (
    GroupActorRequest,
    GroupChangeRequest,
    GroupDecisionRequest,
    GroupMembersRequest,
    GroupMessageRequest,
    GroupRequest,
    GroupView,
    Joined,
)
from whatsam_simulator.control.models import MessageId

router = APIRouter(prefix="/groups", tags=["groups"])


@router.get("")
async def list_groups(groups: Groups) -> list[GroupView]:
    """All groups."""
    return groups.all()


@router.post("", status_code=201)
async def create(body: GroupRequest, groups: Groups) -> GroupView:
    """A phone or contact makes a group."""
    return groups.create(body.subject, body.creator, body.members)


@router.get("/{group_id}")
async def get_group(group_id: str, groups: Groups) -> GroupView:
    """One group, by id or address."""
    return groups.one(group_id)


@router.patch("/{group_id}")
async def change(group_id: str, body: GroupChangeRequest, groups: Groups) -> GroupView:
    """A member changes subject, description, picture or settings; all others are told."""
    return groups.change(group_id, body)


@router.post("/{group_id}/members")
async def change_members(group_id: str, body: GroupMembersRequest, groups: Groups) -> GroupView:
    """Adds, removes, promotes and demotes members."""
    return groups.change_members(group_id, body)


@router.post("/{group_id}/leave")
async def leave(group_id: str, body: GroupActorRequest, groups: Groups) -> GroupView:
    """A member leaves."""
    return groups.leave(group_id, body.number)


@router.post("/{group_id}/join")
async def join(group_id: str, body: GroupActorRequest, groups: Groups) -> Joined:
    """Somebody opens the invite link."""
    return Joined(joined=groups.join(group_id, body.number))


@router.post("/{group_id}/requests")
async def decide(group_id: str, body: GroupDecisionRequest, groups: Groups) -> GroupView:
    """An admin admits or rejects people who wait for approval."""
    return groups.decide(group_id, body)


@router.post("/{group_id}/messages")
async def send(group_id: str, body: GroupMessageRequest, groups: Groups) -> MessageId:
    """A phone or contact writes to the group."""
    return MessageId(id=groups.send(group_id, body.sender, body))
