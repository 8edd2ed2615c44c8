"""Message history as a phone sends it to its companions: blobs of type `HistorySync`.

The models are bodies of the control API; `encode_history` turns them into the protobuf. Used by `phone.py`.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from whatsam_simulator.contacts.compose import compose_text, message_key
from whatsam_simulator.contacts.details import Target
from whatsam_simulator.contacts.memory import Known
from whatsam_simulator.contacts.outgoing import Number, Request
from whatsam_simulator.wire.jid import GROUP_SERVER, PHONE_SERVER, Jid
from whatsam_simulator.wire.protobuf import Value, encode
from whatsam_simulator.world.records import Account

SYNC_TYPES = {
    "initial_bootstrap": 0,
    "initial_status": 1,
    "full": 2,
    "recent": 3,
    "push_name": 4,
    "non_blocking_data": 5,
    "on_demand": 6,
}
SyncType = Literal[
    "initial_bootstrap", "initial_status", "full", "recent", "push_name", "non_blocking_data", "on_demand"
]
STATUSES = ("error", "pending", "server_ack", "delivery_ack", "read", "played")
Status = Literal["error", "pending", "server_ack", "delivery_ack", "read", "played"]


class PastMessage(Request):
    """One message of the past (`WebMessageInfo`)."""

    text: str = ""
    raw: str | None = Field(default=None, description="A `Message` protobuf in base64, in place of `text`")
    info: str | None = Field(default=None, description="A whole `WebMessageInfo` in base64, in place of everything")
    id: str | None = None
    from_me: bool = False
    sender: Number | None = Field(default=None, description="In groups: who wrote it")
    timestamp: int | None = Field(default=None, ge=0, description="Unix seconds; null: an hour ago, in order")
    push_name: str | None = None
    status: Status | None = None


class PastChat(Request):
    """One conversation."""

    chat: str = Field(description="A number, or any address: …@lid, …@g.us, …@s.whatsapp.net")
    messages: list[PastMessage] = Field(default_factory=list[PastMessage])
    name: str | None = None
    unread: int | None = None
    archived: bool | None = None
    pinned: int | None = Field(default=None, description="Unix seconds")
    muted_until: int | None = Field(default=None, description="Unix milliseconds")
    marked_unread: bool | None = None
    expiration: int | None = None
    complete: bool = Field(default=True, description="The phone has nothing older of this chat")

    @property
    def jid(self) -> Jid:
        return Jid.parse(self.chat) if "@" in self.chat else Jid(self.chat, PHONE_SERVER)


class HistoryRequest(Request):
    """A history blob, from conversations or as raw bytes."""

    conversations: list[PastChat] = Field(default_factory=list[PastChat])
    push_names: dict[str, str] = Field(default_factory=dict[str, str], description="Address or number → name")
    raw: str | None = Field(default=None, description="A `HistorySync` protobuf in base64, in place of the above")
    type: SyncType = "recent"
    inline: bool = Field(default=True, description="Inside the message; false: as a file on the media host")
    chunk: int = Field(default=0, ge=0)
    progress: int = Field(default=100, ge=0, le=100)


def encode_history(body: HistoryRequest, find: Callable[[str], Account], now: int) -> bytes:
    """The `HistorySync` protobuf; `find` gives the account of a number."""
    if body.raw is not None:
        return base64.b64decode(body.raw)
    names = [
        (7, encode((1, who if "@" in who else f"{who}@{PHONE_SERVER}"), (2, name)))
        for who, name in body.push_names.items()
    ]
    chats = [(2, _conversation(chat, find, now)) for chat in body.conversations]
    return encode((1, SYNC_TYPES[body.type]), *chats, (5, body.chunk), (6, body.progress), *names)


def _conversation(chat: PastChat, find: Callable[[str], Account], now: int) -> bytes:
    first = now - 3600
    messages: list[tuple[int, Value]] = [
        (2, encode((1, _web_message(chat.jid, message, find, first + n)))) for n, message in enumerate(chat.messages)
    ]
    newest = max((message.timestamp or first for message in chat.messages), default=first)
    return encode(
        (1, str(chat.jid)),
        *messages,
        (5, newest),
        (6, chat.unread),
        (8, chat.complete),
        (9, chat.expiration),
        (11, 1 if chat.complete else 0),
        (12, newest),
        (13, chat.name),
        (16, chat.archived),
        (19, chat.marked_unread),
        (24, chat.pinned),
        (25, chat.muted_until),
    )


def _web_message(chat: Jid, message: PastMessage, find: Callable[[str], Account], at: int) -> bytes:
    if message.info is not None:
        return base64.b64decode(message.info)
    participant = None
    if chat.server == GROUP_SERVER and message.sender is not None:
        participant = str(find(message.sender).lid)
    message_id = message.id or "3A" + os.urandom(9).hex().upper()
    content = base64.b64decode(message.raw) if message.raw is not None else compose_text(message.text)
    key = Target(id=message_id, chat=str(chat), from_me=message.from_me, participant=participant)
    return encode(
        (1, message_key(key)),
        (2, content),
        (3, at if message.timestamp is None else message.timestamp),
        (4, STATUSES.index(message.status) if message.status else None),
        (5, participant),
        (19, message.push_name),
    )


def web_message_of(known: Known) -> bytes:
    """What a phone answers when a companion asks for one message."""
    participant = known.target.participant
    return encode(
        (1, message_key(known.target)),
        (2, known.message),
        (3, known.at),
        (5, participant),
        (19, known.sender.name),
        (49, known.secret),
    )


def encode_known(chat: Jid, messages: list[Known], *, complete: bool) -> bytes:
    """An on-demand history of one chat, newest first."""
    entries: list[tuple[int, Value]] = [(2, encode((1, web_message_of(known)))) for known in reversed(messages)]
    conversation = encode((1, str(chat)), *entries, (8, complete), (11, 1 if complete else 2))
    return encode((1, SYNC_TYPES["on_demand"]), (2, conversation), (5, 1), (6, 100))
