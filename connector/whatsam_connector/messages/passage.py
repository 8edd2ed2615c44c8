"""One row on its way through the engine: made into a message, given to the engine, its result taken. For the outbox."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from whatsam_connector.clock import Clock
from whatsam_connector.engine.protocol import Capabilities
from whatsam_connector.messages.prepared import MessagePreparer, PreparationFailed, PreparedMessage, Uploader
from whatsam_connector.messages.results import Results
from whatsam_connector.messages.rules import OutRow, Refusal, judge_refusal
from whatsam_connector.messages.taking import TakenRows
from whatsam_connector.state import SendCredit
from whatsam_connector.supervision.errors import EngineGone, EngineRefused, EngineUncertain
from whatsam_connector.supervision.outgoing import OutgoingMessage, SendResult
from whatsam_core import tracing

REFUSED_PAUSE = 1.0
"""Seconds before a message that could not leave just now is tried again."""
_SEND_TIMEOUT = 80.0
"""Seconds; neonize itself gives up waiting for WhatsApp after 75."""
_PREPARATION_LIMIT = 300.0
"""Seconds after which a preparation is given up: the messages behind it have waited long enough."""


class Sender(Uploader, Protocol):
    """The engine, as the outbox uses it."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; for the outbox: whether it takes message ids."""
        ...

    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult:
        """Raises `EngineRefused`, `EngineUncertain` or `EngineGone`."""
        ...


class Went(Enum):
    """What became of a claimed row, and with it of those behind."""

    ON = "it is through, one way or the other: the next one"
    BACK = "it did not leave: put it back with those behind it, and pause"
    LATER = "it did not leave and is put back: put those behind it back, too, and pause"
    NOBODY_KNOWS = "it is uncertain: put those behind it back, its fate comes first"


class Passage:
    """The way of one session's messages, one at a time."""

    def __init__(
        self,
        *,
        session: str,
        uid: str,
        rows: TakenRows,
        preparer: MessagePreparer,
        results: Results,
        credit: SendCredit,
        clock: Clock,
        count: Callable[[str], None],
    ) -> None:
        self._session = session
        self._uid = uid
        self._rows = rows
        self._preparer = preparer
        self._results = results
        self._credit = credit
        self._clock = clock
        self._count = count
        self._preparing: asyncio.Task[PreparedMessage] | None = None

    def interrupt(self) -> None:
        """End the preparation under way, if there is one: the session was unlinked."""
        if self._preparing is not None:
            self._preparing.cancel()

    async def prepare(self, engine: Sender, row: OutRow) -> PreparedMessage | float:
        """The message of a row that takes a while, or the seconds until the next look."""
        self._preparing = asyncio.ensure_future(self._preparer.prepare(row, engine))
        try:
            async with asyncio.timeout(_PREPARATION_LIMIT):
                with tracing.span("message.prepare", parent=row.trace, attributes={"message.type": row.type}):
                    return await self._preparing
        except PreparationFailed as failed:
            return await self.not_prepared(row, failed)
        except TimeoutError:
            late = PreparationFailed("PreparationFailed", f"not ready after {_PREPARATION_LIMIT:.0f} s", None)
            return await self.not_prepared(row, late)
        except EngineGone:
            return REFUSED_PAUSE
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return REFUSED_PAUSE  # the session was unlinked
        finally:
            self._preparing.cancel()
            self._preparing = None

    async def not_prepared(self, row: OutRow, failed: PreparationFailed) -> float:
        """Seconds until the next look; what can never be prepared has failed."""
        if failed.retry_after is not None:
            return failed.retry_after
        await self._results.fail(row, f"{failed.code}: {failed.message}")
        return 0.0

    async def send(
        self, engine: Sender, row: OutRow, prepared: PreparedMessage, under_way: Callable[[], None] = lambda: None
    ) -> Went:
        """One claimed row through the engine. `BACK` leaves it to the caller to put it back.

        `under_way` is called before the engine gets it, when its send is counted already.
        """
        own_id = row.wa_id if engine.capabilities.own_message_ids else None
        message = OutgoingMessage(row_id=str(row.id), to=prepared.to, message=prepared.message, message_id=own_id)
        self._credit.sending(row.id)
        try:
            under_way()
            with tracing.span("message.send", parent=row.trace, attributes={"message.type": row.type}):
                result = await engine.send(self._uid, message, _SEND_TIMEOUT)
        except EngineRefused as refused:
            return await self._refused(row, refused.code, refused.message)
        except EngineGone as gone:
            return await self._refused(row, "EngineGone", str(gone))
        except EngineUncertain:
            await self._results.until_written(lambda: self._rows.mark_uncertain(self._session, row.id))
            return Went.NOBODY_KNOWS
        finally:
            self._credit.settled(row.id, self._clock.monotonic())
        self._results.sent(row, result)
        return Went.ON

    async def _refused(self, row: OutRow, code: str, message: str) -> Went:
        match judge_refusal(code, row.attempts + 1):
            case Refusal.PUT_BACK:
                self._count("put_back")
                return Went.BACK
            case Refusal.TRY_AGAIN:
                await self._results.put_back([row], counted=True)
                self._count("put_back")
                return Went.LATER
            case Refusal.FAIL:
                await self._results.fail(row, f"{code}: {message}")
                return Went.ON
