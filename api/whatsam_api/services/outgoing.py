"""Messages of every kind on their way out: what a caller asked for becomes the body of a row.

A row names everything that the connector needs: files are in the object store, numbers are JIDs, other messages are
named by their rows, so that a message that is not sent yet can be answered, too.
"""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from whatsam_api.errors import CannotChange, InvalidField, MessageNotFound, QuotaExceeded
from whatsam_api.models.limits import Allowance
from whatsam_api.models.messages import MessageRow
from whatsam_api.models.sending import (
    Content,
    Edit,
    FileMessage,
    ReactionMessage,
    Sendable,
    TextMessage,
)
from whatsam_api.policies.recipients import recipient
from whatsam_api.policies.row_names import is_row_id
from whatsam_api.services.acceptance import Acceptance, Outcome, row_key
from whatsam_api.services.identity import Principal
from whatsam_api.services.link_previews import LinkPreviews
from whatsam_api.services.media_intake import Incoming, MediaIntake
from whatsam_api.services.outgoing_parts import (
    FORWARDABLE,
    GROUP,
    MARKS,
    file_parts,
    forwarded,
    own_jid,
    people,
    plain_parts,
    refuse_dead,
    surrounded,
    target,
)
from whatsam_api.services.rate_limits import RateLimits
from whatsam_api.storage.messages import MessageStore
from whatsam_core.messages import (
    BODIES,
    MESSAGE_SECRET_BYTES,
    EditBody,
    MessageType,
    OutgoingBody,
    ReactionBody,
    RevokeBody,
    dump_body,
)
from whatsam_core.resources import WhatsAppSession

_QUOTED_TEXT: Final = 1024
"""Characters of a quoted message that are shown again."""
_EDITABLE: Final = frozenset(
    {MessageType.TEXT, MessageType.IMAGE, MessageType.VIDEO, MessageType.DOCUMENT, MessageType.GIF}
)
Make = Callable[[], Awaitable[dict[str, Any]]]
"""Makes the body of a row, once nothing speaks against it."""


@dataclass(frozen=True)
class _Wish:
    """One call that wants a row."""

    caller: Principal
    session: WhatsAppSession
    chat: str
    kind: str
    key: str | None
    asked: Any
    """What the caller said, for the comparison with an earlier call of the same key."""
    make: Make
    refuse: Callable[[], None] = lambda: None
    """Raises an `ApiError` when it cannot be done, unless an earlier call of the same key did it."""


@dataclass(frozen=True)
class Sent:
    """A message that was accepted, and what is left of the hour's messages; None: no limit, or it was there before."""

    outcome: Outcome
    allowance: Allowance | None


class OutgoingService:
    """Accepts messages of sessions that the caller was found to own."""

    def __init__(
        self,
        messages: MessageStore,
        acceptance: Acceptance,
        limits: RateLimits,
        intake: MediaIntake,
        previews: LinkPreviews,
    ) -> None:
        self._messages = messages
        self._acceptance = acceptance
        self._limits = limits
        self._intake = intake
        self._previews = previews

    async def send(
        self,
        caller: Principal,
        session: WhatsAppSession,
        wanted: Sendable,
        *,
        key: str | None,
        incoming: Incoming | None = None,
        folder: Path | None = None,
    ) -> Sent:
        """Accept a message. `incoming`: its file, where it came with the call; `folder`: where that lies."""
        if isinstance(wanted, ReactionMessage):
            return await self._react(caller, session, wanted, key)
        to = recipient(wanted.to)
        if isinstance(wanted, FileMessage) and incoming is None and wanted.media is None:
            raise InvalidField("media", "give a URL, base64, or upload the file as part 'file' of a form")

        async def body() -> dict[str, Any]:
            if isinstance(wanted, TextMessage) and not wanted.link_preview and not surrounded(wanted):
                return {"text": wanted.text}
            parts = await self._content(session, wanted)
            if isinstance(wanted, FileMessage):
                parts |= await self._file(session, wanted, incoming, folder)
            elif isinstance(wanted, TextMessage):
                parts |= {"text": wanted.text}
                if wanted.link_preview:
                    preview = await self._previews.preview(wanted.text)
                    parts |= {"link_preview": True, "preview": preview}
            else:
                secret = base64.b64encode(secrets.token_bytes(MESSAGE_SECRET_BYTES)).decode()
                parts |= plain_parts(wanted, secret)
            return dump_body(BODIES[wanted.type].model_validate(parts))

        asked: Any = None
        if key is not None:
            uploaded = None if incoming is None else await asyncio.to_thread(_hash_of, incoming.path)
            asked = (wanted.model_dump(mode="json", exclude_defaults=True), uploaded)
        return await self._accept(_Wish(caller, session, to, wanted.type, key, asked, body))

    async def edit(
        self, caller: Principal, session: WhatsAppSession, message: str, wanted: Edit, key: str | None
    ) -> Sent:
        """Give a message of this session a new text. Raises `MessageNotFound`, `CannotChange`."""
        row = await self._existing(session, message)
        if row.direction != "out" or row.type not in _EDITABLE:
            raise CannotChange("only texts and captions that this session sent can be edited")
        body = EditBody(text=wanted.text, mentions=people(wanted.mentions, "mentions"), target=target(session, row))
        asked = (wanted.model_dump(mode="json"), str(row.id))
        return await self._accept(
            _Wish(caller, session, row.chat, MessageType.EDIT, key, asked, _ready(body), lambda: refuse_dead(row))
        )

    async def revoke(self, caller: Principal, session: WhatsAppSession, message: str, key: str | None) -> Sent:
        """Delete a message for everyone. Raises `MessageNotFound`, `CannotChange`."""
        row = await self._existing(session, message)
        if row.direction != "out" and not row.chat.endswith(GROUP):
            raise CannotChange("messages of others can be deleted by administrators of a group only")
        if row.type in MARKS:
            raise CannotChange("this is no message of its own; take a reaction back with an empty one")
        body = RevokeBody(target=target(session, row))
        asked = str(row.id)
        return await self._accept(
            _Wish(caller, session, row.chat, MessageType.REVOKE, key, asked, _ready(body), lambda: refuse_dead(row))
        )

    async def forward(
        self, caller: Principal, session: WhatsAppSession, message: str, to: str, key: str | None
    ) -> Sent:
        """Send a message on. Raises `MessageNotFound`, `CannotChange`, `MediaNotReady`."""
        row = await self._existing(session, message)
        if row.type not in FORWARDABLE or row.body.get("viewOnce") or row.deleted_at is not None:
            raise CannotChange("messages of this kind cannot be forwarded")
        chat = recipient(to)
        body = forwarded(row)
        asked = ("forward", str(row.id))
        return await self._accept(_Wish(caller, session, chat, row.type, key, asked, _ready(body)))

    async def _react(
        self, caller: Principal, session: WhatsAppSession, wanted: ReactionMessage, key: str | None
    ) -> Sent:
        row = await self._existing(session, wanted.message_id, "messageId")
        if row.type in MARKS:
            raise CannotChange("this is no message that can be reacted to")
        if wanted.to is not None and recipient(wanted.to) not in (row.chat, row.contact):
            raise InvalidField("to", "the message is in another chat")
        body = ReactionBody.model_validate(
            {"reaction": {"emoji": wanted.emoji}, "target": target(session, row), "actor": own_jid(session)}
        )
        asked = (wanted.emoji, str(row.id))
        return await self._accept(
            _Wish(caller, session, row.chat, MessageType.REACTION, key, asked, _ready(body), lambda: refuse_dead(row))
        )

    # --- the row ------------------------------------------------------------------------------------------------------

    async def _accept(self, wish: _Wish) -> Sent:
        """Look for an earlier call with the same key, count, make the body, write the row, wake the holder."""
        fingerprint = _fingerprint(wish) if wish.key is not None else None
        if wish.key is not None and fingerprint is not None:
            first = await self._acceptance.repeated(wish.session, wish.key, fingerprint)
            if first is not None:
                return Sent(first, None)
        session = await self._acceptance.require_ready(wish.session)
        wish.refuse()
        allowance = await self._limits.messages(wish.caller)
        if allowance is not None and not allowance.allowed:
            wait = max(1, round(allowance.reset - time.time()))
            raise QuotaExceeded(f"the tier allows {allowance.limit} messages an hour", retry_after=wait)
        body = await wish.make()
        if fingerprint is not None:
            body["fingerprint"] = fingerprint
        secret = body.get("poll", {}).get("secret")
        outcome = await self._acceptance.accept(
            session,
            chat=wish.chat,
            kind=wish.kind,
            body=body,
            key=wish.key,
            secret=base64.b64decode(secret) if secret else None,
            quoted_wa_id=body.get("quoted", {}).get("waId"),
        )
        return Sent(outcome, allowance)

    async def _content(self, session: WhatsAppSession, wanted: Content) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        if wanted.mentions:
            parts["mentions"] = people(wanted.mentions, "mentions")
        if wanted.quoted_message_id is not None:
            row = await self._existing(session, wanted.quoted_message_id, "quotedMessageId")
            if row.type in MARKS:
                raise InvalidField("quotedMessageId", "this is no message that can be answered")
            own = row.direction == "out"
            parts["quoted"] = {
                "message_id": row.id,
                "wa_id": row.wa_id,
                "sender": own_jid(session) if own else row.sender,
                "from_me": own,
                "type": row.type,
                "text": str(row.body.get("text") or row.body.get("caption") or "")[:_QUOTED_TEXT],
            }
        return parts

    async def _file(
        self, session: WhatsAppSession, wanted: FileMessage, incoming: Incoming | None, folder: Path | None
    ) -> dict[str, Any]:
        kind, tenant = MessageType(_type_of(wanted)), session.spec.tenant
        if incoming is not None and folder is not None:
            accepted = await self._intake.accept(tenant, kind, _named(incoming, wanted), folder)
        else:
            async with self._intake.turn(tenant) as place:
                if wanted.media is None:
                    raise InvalidField("media", "a file is missing")
                incoming = await self._intake.from_source(place, wanted.media)
                accepted = await self._intake.accept(tenant, kind, _named(incoming, wanted), place)
        return file_parts(wanted, accepted)

    async def _existing(self, session: WhatsAppSession, name: str, field: str | None = None) -> MessageRow:
        """The message of this session with the given row id or WhatsApp id."""
        tenant, key = session.spec.tenant, row_key(session)
        if is_row_id(name):
            row = await self._messages.get(tenant, key, UUID(name))
        else:
            row = await self._messages.by_wa_id(tenant, key, name)
        if row is not None:
            return row
        if field is None:
            raise MessageNotFound("there is no such message in this session")
        raise InvalidField(field, "there is no such message in this session")


def _type_of(wanted: Any) -> str:
    return str(wanted.type)


def _ready(body: OutgoingBody) -> Make:
    async def made() -> dict[str, Any]:
        return dump_body(body)

    return made


def _named(incoming: Incoming, wanted: FileMessage) -> Incoming:
    return Incoming(incoming.path, incoming.declared, wanted.file_name or incoming.file_name)


def _fingerprint(wish: _Wish) -> str:
    """What tells two calls with one Idempotency-Key apart."""
    text = json.dumps([wish.chat, wish.kind, wish.asked], sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
