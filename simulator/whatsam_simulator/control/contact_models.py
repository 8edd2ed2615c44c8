"""Requests and answers of the control API about phones and contacts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from whatsam_simulator.contacts.inbox import InboxEvent, InboxMessage, InboxReceipt
from whatsam_simulator.contacts.outgoing import MessageBody, Number, Request


class ContactRequest(Request):
    name: str | None = Field(default=None, description="Push name")


class Contact(BaseModel):
    """A phone or contact."""

    number: str
    name: str
    lid: str
    companions: list[str] = Field(description="Linked devices, number:id")


class ProfileRequest(Request):
    """What a person shows of itself; what is null stays."""

    name: str | None = Field(default=None, description="Push name")
    about: str | None = None
    picture: str | None = Field(default=None, description="JPEG in base64; empty: takes it away")
    picture_hidden: bool | None = None
    business_name: str | None = Field(default=None, description="Empty: no business account")
    privacy: dict[str, str] | None = Field(default=None, description="groupadd=none: cannot be added to groups …")


class ProfileView(BaseModel):
    """A person's profile and settings as the server has them."""

    number: str
    name: str
    about: str
    picture_id: str
    picture_sha256: str = Field(description="Empty: no picture")
    picture_hidden: bool
    business_name: str
    privacy: dict[str, str]
    blocked: list[str] = Field(description="Numbers")
    default_timer: int


class MessageRequest(MessageBody):
    """A message to a person or a group."""

    to: str = Field(pattern=r"^([0-9]{5,15}|[0-9-]+@g\.us)$", description="A number, or a group's address")


class BatchedMessage(MessageRequest):
    """One of many messages."""

    sender: Number = Field(alias="from")


class BatchRequest(Request):
    messages: list[BatchedMessage] = Field(min_length=1, max_length=20_000)


class Inbox(BaseModel):
    messages: list[InboxMessage]


class Receipts(BaseModel):
    receipts: list[InboxReceipt]


class Events(BaseModel):
    events: list[InboxEvent]


class ReadRequest(Request):
    id: str
    played: bool = Field(default=False, description="A voice note or video was also played")
    on_companion: bool = Field(default=False, description="Only the own linked devices learn of it (read-self)")


class TypingRequest(Request):
    to: str = Field(pattern=r"^([0-9]{5,15}|[0-9-]+@g\.us)$")
    state: Literal["composing", "recording", "paused"] = "composing"


class PresenceRequest(Request):
    available: bool
    last_seen: int | None = Field(default=None, ge=0, description="Unix seconds; null: now")
