"""What somebody does with chats on the phone (archive, pin, mute …), told to the companions by app state; and what the
companions have told the phone. Used by the control API."""

from __future__ import annotations

import base64
from typing import Literal

from pydantic import BaseModel, Field

from whatsam_simulator.contacts.outgoing import Request
from whatsam_simulator.crypto.app_state import (
    REMOVE,
    AppStateKey,
    CollectionState,
    Mutation,
    decrypt_patch,
    encrypt_patch,
)
from whatsam_simulator.errors import RequestRefused
from whatsam_simulator.server.app_state import AppState
from whatsam_simulator.server.context import Context
from whatsam_simulator.wire.jid import PHONE_SERVER, Jid
from whatsam_simulator.wire.protobuf import Value, encode
from whatsam_simulator.world.records import Account

Collection = Literal["critical_block", "critical_unblock_low", "regular_high", "regular", "regular_low"]


class ChatChangeRequest(Request):
    """One thing that somebody does on the phone; exactly one of the fields below `chat`."""

    chat: str = Field(default="", description="A number, or any address")
    archived: bool | None = None
    pinned: bool | None = None
    muted: bool | None = None
    muted_until: int | None = Field(default=None, description="With `muted`: Unix milliseconds; null: for ever")
    read: bool | None = Field(default=None, description="False: marked as unread")
    deleted: bool | None = None
    cleared: bool | None = None
    contact_name: str | None = Field(default=None, description="Saves the person in the address book")
    push_name: str | None = Field(default=None, description="The account's own name; no chat")


class RawChangeRequest(Request):
    """Any mutation."""

    collection: Collection
    index: list[str] = Field(min_length=1)
    version: int = 1
    value: str = Field(description="A `SyncActionValue` in base64")
    remove: bool = False


class MutationView(BaseModel):
    """One mutation as the phone reads it."""

    collection: str
    index: list[str]
    version: int
    removed: bool
    value: str = Field(description="A `SyncActionValue` in base64")


class PhoneAppState:
    """Encrypts and reads patches with the keys that the phone has shared."""

    def __init__(self, context: Context, server: AppState) -> None:
        self._context = context
        self._server = server

    def change(self, account: Account, body: ChatChangeRequest) -> None:
        """Raises `RequestRefused` when the body does not say exactly one thing."""
        asked = body.model_fields_set - {"chat", "muted_until"}
        if len(asked) != 1:
            raise RequestRefused("exactly one change at a time")
        name, mutations = _mutations(body, self._milliseconds())
        self._issue(account, name, mutations)

    def change_raw(self, account: Account, body: RawChangeRequest) -> None:
        operation = REMOVE if body.remove else 0
        value = base64.b64decode(body.value)
        self._issue(account, body.collection, [Mutation(body.index, value, body.version, operation)])

    def _issue(self, account: Account, name: str, mutations: list[Mutation]) -> None:
        keys = self._keys(account)
        if not keys:
            raise RequestRefused("no app-state key has been shared: no device was ever linked to this phone")
        state = CollectionState()
        for patch in account.app_state.get(name, []):
            state.apply(patch)
        newest = list(keys.values())[-1]
        self._server.phone_patch(account, name, encrypt_patch(state, name, newest, mutations))

    def mutations(self, account: Account) -> list[MutationView]:
        """Everything in app state, oldest first in each collection; what companions wrote is checked."""
        keys = self._keys(account)
        return [
            MutationView(
                collection=name,
                index=list(mutation.index),
                version=mutation.version,
                removed=mutation.operation == REMOVE,
                value=base64.b64encode(mutation.value).decode(),
            )
            for name, patches in account.app_state.items()
            for patch in patches
            for mutation in decrypt_patch(patch, keys)
        ]

    @staticmethod
    def _keys(account: Account) -> dict[bytes, AppStateKey]:
        return {
            bytes.fromhex(key_id): AppStateKey.of(bytes.fromhex(key_id), secret)
            for key_id, secret in account.app_state_keys.items()
        }

    def _milliseconds(self) -> int:
        return self._context.timestamp() * 1000


def _mutations(body: ChatChangeRequest, now: int) -> tuple[str, list[Mutation]]:  # noqa: PLR0911, one per change
    """Collection and mutations; index words, field numbers and versions as whatsmeow's `appstate/encode.go`."""
    chat = str(Jid.parse(body.chat) if "@" in body.chat else Jid(body.chat, PHONE_SERVER))
    when = encode((1, now // 1000))

    def one(word: str, number: int, version: int, value: list[tuple[int, Value]], *more: str) -> Mutation:
        index = [word, *([] if word == "setting_pushName" else [chat]), *more]
        return Mutation(index, encode((1, now), (number, encode(*value))), version)

    if body.archived is not None:
        archive = one("archive", 17, 3, [(1, body.archived), (2, when)])
        return "regular_low", [archive, *([one("pin_v1", 5, 5, [(1, False)])] if body.archived else [])]
    if body.pinned is not None:
        return "regular_low", [one("pin_v1", 5, 5, [(1, body.pinned)])]
    if body.muted is not None:
        until = (-1 if body.muted_until is None else body.muted_until) if body.muted else None
        return "regular_high", [one("mute", 4, 2, [(1, body.muted), (2, until)])]
    if body.read is not None:
        return "regular_low", [one("markChatAsRead", 20, 3, [(1, body.read), (2, when)])]
    if body.deleted is not None:
        return "regular_high", [one("deleteChat", 22, 6, [(1, when)], "0")]
    if body.cleared is not None:
        return "regular_high", [one("clearChat", 21, 6, [(1, when)], "1", "0")]
    if body.contact_name is not None:
        names: list[tuple[int, Value]] = [(1, body.contact_name), (2, body.contact_name.split(" ")[0]), (4, True)]
        return "critical_unblock_low", [one("contact", 3, 2, names)]
    return "critical_block", [one("setting_pushName", 7, 1, [(1, body.push_name or "")])]
