"""What the outbox asks for before a message goes to the engine: WhatsApp's protobuf of a row. The seam to `preparing`.

A text is turned into bytes at once; anything else may take a while (a file is fetched and uploaded, a target looked up,
a pause waited out), and does so before its row is claimed: a crash in between costs nothing.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from whatsam_connector.messages.rules import OutRow
from whatsam_core.errors import WhatsamError
from whatsam_core.resources.session import Pacing


@dataclass(frozen=True, slots=True)
class PreparedMessage:
    """A row, ready for the engine."""

    to: str
    """JID of the chat."""
    message: bytes
    """WhatsApp's protobuf `Message`."""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A message of the session, as far as one that is about it needs to know."""

    wa_id: str | None
    """None: it is not sent yet, or never was."""
    status: str


class PreparationFailed(WhatsamError):
    """A row could not be prepared. Nothing of it has reached WhatsApp, so it is never uncertain."""

    def __init__(self, code: str, message: str, retry_after: float | None) -> None:
        """`retry_after`: seconds after which to try again; None: it can never be sent."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after


class Uploader(Protocol):
    """The engine, as far as a preparation needs it."""

    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float) -> Any:
        """One call of `engine/methods`. Raises any `EngineError`."""
        ...


class MessagePreparer(Protocol):
    """Turns the rows of one session into messages. `preparing.Preparing.open` makes it."""

    def pace(self, pacing: Pacing) -> None:
        """How fast the session's messages leave from now on."""
        ...

    def immediate(self, row: OutRow) -> PreparedMessage | None:
        """The message, when that needs neither a file nor a look-up nor a pause; else None: call `prepare`.

        Raises `PreparationFailed`.
        """
        ...

    async def prepare(self, row: OutRow, engine: Uploader) -> PreparedMessage:
        """The message, whatever it takes. Changes nothing, so it may be called again or cancelled at any time.

        Raises `PreparationFailed`, `DatabaseUnavailable` or `EngineGone`.
        """
        ...
