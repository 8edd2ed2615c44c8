"""Routes that play members of groups."""

from __future__ import annotations

from fastapi import APIRouter

from whatsam_simulator.control.dependencies import Service
from whatsam_simulator.control.models import (
    GroupMembersRequest,
    GroupMessageRequest,
    GroupRequest,
    GroupView,
    MessageId,
)

router = APIRouter(prefix="/groups", tags=["groups"])


@router.get("")
async def list_groups(service: Service) -> list[GroupView]:
    """All groups."""
    return service.groups()


@router.post("", status_code=201)
async def create(body: GroupRequest, service: Service) -> GroupView:
    """A phone or contact makes a group."""
    return service.create_group(body.subject, body.creator, body.members)


@router.get("/{group_id}")
async def get_group(group_id: str, service: Service) -> GroupView:
    """One group, by id or address."""
    return service.group(group_id)


@router.post("/{group_id}/members")
async def change_members(group_id: str, body: GroupMembersRequest, service: Service) -> GroupView:
    """Adds and removes members."""
    return service.change_group(group_id, body.actor, body.add, body.remove)


@router.post("/{group_id}/messages")
async def send(group_id: str, body: GroupMessageRequest, service: Service) -> MessageId:
    """A phone or contact writes to the group."""
    return MessageId(id=service.send_to_group(group_id, body.sender, body))
