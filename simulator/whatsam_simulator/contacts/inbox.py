"""What a phone or contact has got: messages and receipts, in order. Read through the control API."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from whatsam_simulator.contacts.details import Details
from whatsam_simulator.journal.journal import Journal


class InboxMedia(BaseModel):
    """A file that came with a message; its bytes are at `GET /contacts/{number}/media/{id}`."""

    mimetype: str
    size: int
    sha256: str
    file_name: str | None = None


@dataclass(kw_only=True)
class InboxMessage(Details):
    """One message as a phone or contact saw it. A message that becomes readable by a retry appears a second time."""

    sequence: Annotated[int, Field(description="Grows by arrival; `after=` takes it")]
    id: str
    chat: Annotated[str, Field(description="Number of the other party, or the group's id with @g.us")]
    group: bool
    sender: Annotated[str, Field(description="Number of the sender")]
    sender_device: int
    own: Annotated[bool, Field(description="A copy of what another device of the same account sent")]
    readable: bool
    reason: Annotated[str | None, Field(description="Why it is not readable")] = None
    kind: Annotated[
        str,
        Field(
            description="text, image, video, gif, ptv, audio, voice, document, sticker, location, live_location, "
            "contact, contacts, poll, vote, reaction, edit, revoke, timer, group_invite, protocol, other; empty: not "
            "readable"
        ),
    ]
    text: str | None = None
    media: InboxMedia | None = None
    raw: Annotated[str, Field(description="The `Message` protobuf as it was decrypted, base64")] = ""
    type: Annotated[str, Field(description="The stanza's type: text, media, poll, reaction")] = ""
    edit: Annotated[str | None, Field(description="The stanza's edit attribute: 1 edit, 7 revoke, 8 admin revoke")] = (
        None
    )
    received_at: datetime
    read: Annotated[bool, Field(description="The control API has marked it as read")] = False

    @property
    def protobuf(self) -> bytes:
        """The bytes of `raw`."""
        return base64.b64decode(self.raw)


@dataclass(slots=True, kw_only=True)
class InboxReceipt:
    """A receipt for a message that a phone or contact sent."""

    sequence: int
    message_id: str
    type: Annotated[str, Field(description="delivered, read, played, retry …")]
    sender: Annotated[str, Field(description="Number of who sent the receipt")]
    sender_device: int
    received_at: datetime


class InboxEvent(BaseModel):
    """What a phone or contact saw besides messages and receipts."""

    sequence: int
    kind: str = Field(description="group, picture, typing, call, about …")
    change: str = Field(description="The tag inside: add, remove, subject, composing, paused, offer, reject …")
    chat: str = Field(description="Number of the other party, or the group's address")
    sender: str = Field(description="Number of who caused it")
    attributes: dict[str, str] = Field(default_factory=dict[str, str], description="Of the tag inside")
    members: list[str] = Field(default_factory=list[str], description="Numbers, where it concerns members")
    text: str | None = None
    received_at: datetime


class Inbox:
    """Messages, receipts and other events of one account's phone."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.events: list[InboxEvent] = []
        self.messages: list[InboxMessage] = []
        self.receipts: list[InboxReceipt] = []
        self._sequence = 0

    def next(self) -> int:
        self._sequence += 1
        return self._sequence

    def add(self, entry: InboxMessage) -> None:
        self.messages.append(entry)
        self._trim(self.messages)

    def add_receipt(self, entry: InboxReceipt) -> None:
        self.receipts.append(entry)
        self._trim(self.receipts)

    def add_event(self, entry: InboxEvent) -> None:
        self.events.append(entry)
        self._trim(self.events)

    def _trim(self, entries: list[Any]) -> None:
        """The oldest go first, many at a time."""
        most = self._journal.settings.inbox
        if len(entries) > most + most // 10:
            del entries[: len(entries) - most]

    def find(self, message_id: str) -> InboxMessage | None:
        """The readable copy of a message if there is one."""
        found = [message for message in self.messages if message.id == message_id]
        return next((message for message in found if message.readable), found[0] if found else None)
