"""Look-ups and changes at WhatsApp through the engine of a session: asks its holder, and says what became of it.

Every call ends within its time limit, with an answer or one of the errors of `errors`. Nothing is kept for later: a
look-up that cannot be made now is answered with 503 and may be repeated.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from whatsam_api.errors import (
    ApiError,
    NoAnswer,
    NotSupported,
    SessionNotReady,
    TooManyRequests,
    Unavailable,
    WhatsAppConflict,
    WhatsAppForbidden,
    WhatsAppNotFound,
    WhatsAppRateLimited,
    WhatsAppRefused,
    WhatsAppUnacceptable,
)
from whatsam_api.services.readiness import Readiness
from whatsam_api.storage.connectors import Answered, CallFailure, ConnectorClient, NotDone
from whatsam_core.resources import WhatsAppSession

Shape = TypeVar("Shape")

RATE_LIMIT_PAUSE = 60
"""Seconds that a caller is told to wait when WhatsApp wants fewer calls: it does not say how long itself."""
BUSY_PAUSE = 2

_REFUSALS: dict[str, type[WhatsAppRefused]] = {
    "NotFound": WhatsAppNotFound,
    "UnknownRecipient": WhatsAppNotFound,
    "NotAuthorized": WhatsAppForbidden,
    "Forbidden": WhatsAppForbidden,
    "Conflict": WhatsAppConflict,
    "LimitReached": WhatsAppConflict,
    "Rejected": WhatsAppUnacceptable,
    "Invalid": WhatsAppUnacceptable,
    "Unsupported": NotSupported,
}
"""Words of engines (`supervision.errors.EngineRefused`, `calls/answers.py`) and what tenants are told."""


class SessionCalls:
    """Calls of sessions that the caller was found to own."""

    def __init__(self, connectors: ConnectorClient, readiness: Readiness, wait: float) -> None:
        self._connectors = connectors
        self._readiness = readiness
        self._wait = wait

    async def ask(self, session: WhatsAppSession, method: str, shape: type[Shape], **arguments: Any) -> Shape:
        """Call `method` and return its answer as a `shape`. Raises `ApiError`, never anything else."""
        return _parsed(shape, await self._call(await self._readiness.require(session), method, arguments))

    async def do(self, session: WhatsAppSession, method: str, **arguments: Any) -> None:
        """Call a method that changes something and tells nothing."""
        await self.ask(session, method, object, **arguments)

    async def pair(self, session: WhatsAppSession, method: str, **arguments: Any) -> None:
        """Call a method that is for sessions without a device."""
        await self._call(session, method, arguments)

    async def _call(self, session: WhatsAppSession, method: str, arguments: dict[str, Any]) -> Any:
        outcome = await self._connectors.call(session, method, arguments, self._wait)
        if isinstance(outcome, Answered):
            return outcome.value
        raise _refusal(outcome) if isinstance(outcome, NotDone) else _failure(outcome)

    @asynccontextmanager
    async def altogether(self) -> AsyncGenerator[None]:
        """Several calls that take no longer together than one may take. Raises `NoAnswer`."""
        try:
            async with asyncio.timeout(self._wait):
                yield
        except TimeoutError:
            raise _failure(CallFailure.TIMED_OUT) from None


def _parsed(shape: type[Shape], value: Any) -> Shape:
    try:
        return TypeAdapter(shape).validate_python(value)
    except ValidationError as error:
        raise WhatsAppRefused("the session gave an answer that cannot be read") from error


def _refusal(refused: NotDone) -> ApiError:
    message = refused.message or "WhatsApp refused"
    match refused.code:
        case "RateLimited":
            return WhatsAppRateLimited(message, retry_after=RATE_LIMIT_PAUSE)
        case "NotReady":
            return SessionNotReady(message)
        case "TimedOut":
            return NoAnswer("WhatsApp did not answer in time; try again")
        case code:
            return _REFUSALS.get(code, WhatsAppRefused)(message)


def _failure(failure: CallFailure) -> ApiError:
    match failure:
        case CallFailure.NO_HOLDER:
            return Unavailable("the session is connecting or moving; try again")
        case CallFailure.BUSY:
            return TooManyRequests("too many calls wait for this session", retry_after=BUSY_PAUSE)
        case CallFailure.TIMED_OUT:
            return NoAnswer("no answer in time; a change may have been made, so look before you repeat it")
