"""Turns rows of the outbox into WhatsApp's messages: files uploaded, targets looked up, pauses waited out.

The implementation of `prepared.MessagePreparer`; one `Preparing` per connector, one `SessionPreparer` per session.
Nothing here changes anything that matters: what is interrupted is done again.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from whatsam_connector.clock import Clock
from whatsam_connector.content.building import build, plain_text
from whatsam_connector.content.context import Named, Surroundings
from whatsam_connector.messages.pacing import Pace, plan
from whatsam_connector.messages.prepared import PreparationFailed, PreparedMessage, TargetRow, Uploader
from whatsam_connector.messages.rules import OutRow
from whatsam_connector.messages.uploads import UploadFailed, Uploads
from whatsam_connector.supervision.errors import EngineError, EngineGone, EngineRefused
from whatsam_connector.supervision.outgoing import recipient_jid
from whatsam_core.logging import get_logger
from whatsam_core.messages import (
    MAX_TEXT,
    AudioBody,
    ContentBody,
    EditBody,
    FileBody,
    InvalidBody,
    MessageType,
    OutgoingBody,
    Quoted,
    ReactionBody,
    RevokeBody,
    Target,
    parse_body,
)
from whatsam_core.resources.session import Pacing, PacingMode

_log = get_logger(__name__)

_MOST_TRIES: Final = 5
"""Failed preparations after which a row is given up."""
_TARGET_PAUSE: Final = 0.5
"""Seconds before a target that is not sent yet is looked up again."""
_INDICATOR_SECONDS: Final = 5.0
"""Time limit for telling the chat that somebody writes; the message goes out all the same."""
_PLAIN: Final = frozenset({"text", "fingerprint"})
_OPEN: Final = frozenset({"pending", "sending", "uncertain"})
_UPLOAD_KINDS: Final = {
    MessageType.IMAGE: "image",
    MessageType.VIDEO: "video",
    MessageType.GIF: "video",
    MessageType.AUDIO: "audio",
    MessageType.VOICE: "audio",
    MessageType.DOCUMENT: "document",
    MessageType.STICKER: "sticker",
}


class TargetRows(Protocol):
    """The table of messages, for look-ups. Raises `DatabaseUnavailable`."""

    async def target(self, session: str, message: UUID) -> TargetRow | None: ...


class Preparing:
    """What the preparations of all sessions share."""

    def __init__(self, targets: TargetRows, uploads: Uploads, clock: Clock, chance: Callable[[], float]) -> None:
        self.targets = targets
        self.uploads = uploads
        self.clock = clock
        self.chance = chance

    def open(self, session: str, tenant: str, uid: str) -> "SessionPreparer":
        """The preparer of one session. `session`: namespace/name."""
        return SessionPreparer(self, session, tenant, uid)


class SessionPreparer:
    """Prepares the messages of one session."""

    def __init__(self, shared: Preparing, session: str, tenant: str, uid: str) -> None:
        self._shared = shared
        self._session = session
        self._tenant = tenant
        self._uid = uid
        self._pacing = Pacing()
        self._last: float | None = None
        """When a message was last let through, CLOCK_MONOTONIC."""
        self._tries: dict[UUID, int] = {}

    def pace(self, pacing: Pacing) -> None:
        """How fast the session's messages leave from now on."""
        self._pacing = pacing

    def immediate(self, row: OutRow) -> PreparedMessage | None:
        """The message of a plain text; None when there is more to do. Raises `PreparationFailed`."""
        if row.type != MessageType.TEXT or row.ephemeral_seconds or self._paced:
            return None
        if not row.body.keys() <= _PLAIN:
            return None
        text = row.body.get("text")
        if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
            raise PreparationFailed("InvalidMessage", "a text has 1 to 65,536 characters", None)
        try:
            return PreparedMessage(_recipient(row), plain_text(text))
        except (UnicodeEncodeError, ValueError) as error:
            raise PreparationFailed("InvalidMessage", "the text is not valid Unicode", None) from error

    async def prepare(self, row: OutRow, engine: Uploader) -> PreparedMessage:
        """The message of any row, when it may leave.

        Raises `PreparationFailed`, `DatabaseUnavailable` or `EngineGone`.
        """
        try:
            message = await self._prepare(row, engine)
        except PreparationFailed as failure:
            raise self._counted(row, failure) from failure
        self._tries.pop(row.id, None)
        return message

    @property
    def _paced(self) -> bool:
        return self._pacing.mode is not PacingMode.OFF or self._pacing.messages_per_minute is not None

    def _counted(self, row: OutRow, failure: PreparationFailed) -> PreparationFailed:
        """A failure that does not go away by itself is final after some tries; a store that is away is not."""
        if isinstance(failure, UploadFailed):
            tries = self._tries[row.id] = self._tries.get(row.id, 0) + 1
            if tries >= _MOST_TRIES:
                failure = PreparationFailed(failure.code, failure.message, None)
        if failure.retry_after is None:
            self._tries.pop(row.id, None)
        return failure

    async def _prepare(self, row: OutRow, engine: Uploader) -> PreparedMessage:
        to = _recipient(row)
        try:
            body = parse_body(row.type, row.body)
            around = await self._surroundings(row, to, body, engine)
            message = build(row.type, body, around)
        except (InvalidBody, UnicodeEncodeError) as error:
            text = str(error) if isinstance(error, InvalidBody) else "a text is not valid Unicode"
            raise PreparationFailed("InvalidMessage", text, None) from error
        await self._wait_out(self._plan(row, body), to, engine)
        return PreparedMessage(to, message)

    async def _surroundings(self, row: OutRow, to: str, body: OutgoingBody, engine: Uploader) -> Surroundings:
        uploaded, quoted, target = None, None, None
        if isinstance(body, FileBody) and body.media is not None and body.raw is None:
            kind = _UPLOAD_KINDS[MessageType(row.type)]
            uploaded = await self._shared.uploads.upload(self._uid, self._tenant, body.media, kind, engine)
        if isinstance(body, ContentBody) and body.quoted is not None:
            quoted = await self._named(to, body.quoted)
        if isinstance(body, ReactionBody | EditBody | RevokeBody):
            target = await self._named(to, body.target)
        return Surroundings(
            now=self._now(),
            ephemeral_seconds=row.ephemeral_seconds,
            uploaded=uploaded,
            quoted=quoted,
            target=target,
        )

    async def _named(self, chat: str, about: Quoted | Target) -> Named:
        """What WhatsApp calls the other message. One of ours may have got its name only a moment ago."""
        wa_id = about.wa_id
        if wa_id is None:
            if about.message_id is None:
                raise InvalidBody("the message that this one is about has no id")
            row = await self._shared.targets.target(self._session, about.message_id)
            if row is None:
                raise PreparationFailed("TargetMissing", "the message that this one is about was deleted", None)
            wa_id = row.wa_id
            if wa_id is None:
                if row.status in _OPEN:
                    raise PreparationFailed("TargetOpen", "the message is not sent yet", _TARGET_PAUSE)
                raise PreparationFailed("TargetFailed", "the message that this one is about was not sent", None)
        return Named(chat, wa_id, about.sender, about.from_me, about.type)

    def _plan(self, row: OutRow, body: OutgoingBody) -> Pace | None:
        if not self._paced:
            return None
        now = self._shared.clock.monotonic()
        text = getattr(body, "text", None) or getattr(body, "caption", None) or ""
        return plan(
            self._pacing,
            row.type,
            length=len(text),
            seconds=(body.seconds or 0) if isinstance(body, AudioBody) else 0,
            since_last=None if self._last is None else now - self._last,
            chance=self._shared.chance(),
        )

    async def _wait_out(self, pace: Pace | None, to: str, engine: Uploader) -> None:
        if pace is None:
            return
        await asyncio.sleep(pace.wait)
        if pace.indicator is not None:
            await self._indicate(to, pace.indicator, engine)
            await asyncio.sleep(pace.indicate)
        self._last = self._shared.clock.monotonic()

    async def _indicate(self, to: str, state: str, engine: Uploader) -> None:
        try:
            await engine.call(self._uid, "chat_presence", {"chat": to, "state": state}, _INDICATOR_SECONDS)
        except EngineGone:
            raise
        except EngineError as error:
            # Nobody sees that somebody writes; the message matters more.
            _log.info("pacing.not_shown", session=self._session, error=type(error).__name__)

    def _now(self) -> datetime:
        return self._shared.clock.now()


def _recipient(row: OutRow) -> str:
    try:
        return recipient_jid(row.chat)
    except EngineRefused as refused:
        raise PreparationFailed(refused.code, refused.message, None) from refused
