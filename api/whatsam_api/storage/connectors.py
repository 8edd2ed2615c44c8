"""Calls to the connector that holds a session: waking it for a message, and asking it for look-ups and changes."""

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx

from whatsam_core.logging import get_logger
from whatsam_core.resources import Assignment, WhatsAppSession

log = get_logger()

CONNECT_TIMEOUT = 1.0
"""Seconds: a holder that does not take the connection is gone or cut off, and the row waits for the next one."""


class Wake(Enum):
    """What became of a call to the holder."""

    SETTLED = "settled"
    """It answered; the row tells the outcome."""
    WAITING = "waiting"
    """It works on it; the row is still open."""
    ELSEWHERE = "elsewhere"
    """There is no holder that could send now; the next one finds the row."""


@dataclass(frozen=True)
class Answered:
    """What the session's engine answered: JSON."""

    value: Any


@dataclass(frozen=True)
class NotDone:
    """The engine or WhatsApp refused. `code` is the engine's word for it, `message` a sentence."""

    code: str
    message: str


class CallFailure(Enum):
    """How a call ends without an answer of the engine."""

    NO_HOLDER = "no holder"
    """Nobody holds the session, or whoever does is not connected, or cannot be reached: certainly not done."""
    BUSY = "busy"
    """Too many calls wait for the session: certainly not done."""
    TIMED_OUT = "timed out"
    """A look-up without an answer, or a change that may have been made."""


class ConnectorClient:
    """Forwarded calls, each with the epoch and boot that the session was read with, and this pod's own token."""

    def __init__(self, token_file: Path) -> None:
        self._token_file = token_file
        self._http = httpx.AsyncClient(
            trust_env=False, limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def send(self, session: WhatsAppSession, message_id: UUID, wait: float) -> Wake:
        """Wake the holder for a row and wait at most `wait` seconds for its outcome. Never raises: the row is safe."""
        assignment = session.status.assignment
        if assignment is None:
            return Wake.ELSEWHERE
        try:
            answer = await self._http.post(
                f"{assignment.endpoint}/sessions/{session.metadata.uid}/messages/{message_id}/send",
                params={"wait": f"{wait:g}"},
                headers=self._headers(session, assignment),
                timeout=httpx.Timeout(wait + 2, connect=CONNECT_TIMEOUT),
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            log.info("connector.unreachable", worker=assignment.worker, error=type(error).__name__)
            return Wake.ELSEWHERE
        if answer.status_code == HTTPStatus.OK:
            return Wake.SETTLED
        if answer.status_code == HTTPStatus.ACCEPTED:
            return Wake.WAITING
        log.info("connector.refused", worker=assignment.worker, status=answer.status_code)
        return Wake.ELSEWHERE

    async def call(
        self, session: WhatsAppSession, method: str, arguments: dict[str, Any], wait: float
    ) -> Answered | NotDone | CallFailure:
        """Ask the session's engine for something, for at most about `wait` seconds. Never raises."""
        assignment = session.status.assignment
        if assignment is None:
            return CallFailure.NO_HOLDER
        try:
            answer = await self._http.post(
                f"{assignment.endpoint}/sessions/{session.metadata.uid}/calls/{method}",
                params={"wait": f"{wait:g}"},
                json=arguments,
                headers=self._headers(session, assignment),
                timeout=httpx.Timeout(wait + 2, connect=CONNECT_TIMEOUT),
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            log.info("connector.unreachable", worker=assignment.worker, error=type(error).__name__)
            return CallFailure.NO_HOLDER
        except httpx.HTTPError as error:  # it may have got the call
            log.info("connector.silent", worker=assignment.worker, error=type(error).__name__)
            return CallFailure.TIMED_OUT
        except (httpx.InvalidURL, OSError, ValueError) as error:
            log.info("connector.unreachable", worker=assignment.worker, error=type(error).__name__)
            return CallFailure.NO_HOLDER
        return _outcome(answer, assignment.worker)

    def _headers(self, session: WhatsAppSession, assignment: Assignment) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token_file.read_text().strip()}",
            "X-Whatsam-Epoch": str(session.status.epoch),
            "X-Whatsam-Boot": assignment.boot_id,
        }


def _outcome(answer: httpx.Response, worker: str) -> Answered | NotDone | CallFailure:
    try:
        body: Any = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {}
    status, told = answer.status_code, cast("dict[str, Any]", body)
    if status == HTTPStatus.OK and "value" in told:
        return Answered(told["value"])
    if status == HTTPStatus.UNPROCESSABLE_ENTITY and isinstance(told.get("code"), str):
        return NotDone(told["code"], str(told.get("message", "")))
    log.info("connector.refused", worker=worker, status=status, code=told.get("code"))
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return CallFailure.BUSY
        case HTTPStatus.GATEWAY_TIMEOUT | HTTPStatus.INTERNAL_SERVER_ERROR | HTTPStatus.OK:
            return CallFailure.TIMED_OUT
        case _:  # 409, 503, and tokens that are not accepted yet
            return CallFailure.NO_HOLDER
