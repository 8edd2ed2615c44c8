"""Requests and answers of the control API about groups."""

from __future__ import annotations

from pydantic import BaseModel, Field

from whatsam_simulator.contacts.outgoing import MessageBody, Number, Request


class GroupRequest(Request):
    subject: str = ""
    creator: Number
    members: list[Number] = Field(default_factory=list[Number])


class GroupMessageRequest(MessageBody):
    sender: Number = Field(alias="from", description="A phone or contact that is a member")


class GroupMembersRequest(Request):
    """Changes of members, as `actor` makes them; nobody asks whether `actor` is an admin."""

    actor: Number
    add: list[Number] = Field(default_factory=list[Number])
    remove: list[Number] = Field(default_factory=list[Number])
    promote: list[Number] = Field(default_factory=list[Number])
    demote: list[Number] = Field(default_factory=list[Number])


class GroupChangeRequest(Request):
    """Settings of a group; what is null stays."""

    actor: Number
    subject: str | None = Field(default=None, min_length=1, max_length=100)
    description: str | None = Field(default=None, description="Empty: deletes it")
    announce: bool | None = None
    locked: bool | None = None
    ephemeral: int | None = Field(default=None, ge=0, description="Seconds; 0: off")
    approval: bool | None = Field(default=None, description="Who joins by link waits for an admin")
    member_add_mode: str | None = Field(default=None, pattern="^(admin_add|all_member_add)$")
    picture: str | None = Field(default=None, description="JPEG in base64; empty: takes it away")
    reset_invite: bool = False


class GroupActorRequest(Request):
    number: Number


class GroupDecisionRequest(Request):
    actor: Number
    approve: list[Number] = Field(default_factory=list[Number])
    reject: list[Number] = Field(default_factory=list[Number])


class GroupView(BaseModel):
    """A group; `members`: number → role ("", admin, superadmin)."""

    id: str
    jid: str
    subject: str
    creator: str
    members: dict[str, str]
    description: str = ""
    announce: bool = False
    locked: bool = False
    ephemeral: int = 0
    approval: bool = False
    member_add_mode: str = ""
    invite: str = Field(default="", description="Code of the link https://chat.whatsapp.com/…")
    picture_id: str = ""
    requests: list[str] = Field(default_factory=list[str], description="Numbers that wait for approval")


class Joined(BaseModel):
    joined: bool = Field(description="False: waits for approval")
