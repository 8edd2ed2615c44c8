"""Calls to the connector that holds a session: waking it for a message, and asking it for look-ups and changes."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import aiohttp
import httpx

from whatsam_core.logging import get_logger
from whatsam_core.resources import Assignment, WhatsAppSession

log = get_logger()

CONNECT_TIMEOUT = 1.0
"""Seconds: a holder that does not take the connection is gone or cut off, and the row waits for the next one."""

_TOKEN_READ = 5.0
"""Seconds between two reads of the token's file: the kubelet puts a new one there long before the old one ends."""


class Wake(Enum):
    """What became of a call to the holder."""

    SETTLED = "settled"
    """It is settled, but the answer does not tell how; the row does."""
    WAITING = "waiting"
    """It works on it; the row is still open."""
    ELSEWHERE = "elsewhere"
    """There is no holder that could send now; the next one finds the row."""


@dataclass(frozen=True)
class Told:
    """The holder has settled the message, and its row says the same."""

    status: str
    wa_id: str | None
    timestamp: datetime | None
    error: str | None


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
        self._read_token, self._token_until = "", 0.0
        self._for_sends: aiohttp.ClientSession | None = None
        self._http = httpx.AsyncClient(
            trust_env=False, limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()
        if self._for_sends is not None:
            await self._for_sends.close()

    async def send(self, session: WhatsAppSession, message_id: UUID, wait: float) -> Told | Wake:
        """Wake the holder for a row and wait at most `wait` seconds for its outcome. Never raises: the row is safe."""
        assignment = session.status.assignment
        if assignment is None:
            return Wake.ELSEWHERE
        try:
            async with self._sends().post(
                f"{assignment.endpoint}/sessions/{session.metadata.uid}/messages/{message_id}/send",
                params={"wait": f"{wait:g}"},
                headers=self._headers(session, assignment),
                timeout=aiohttp.ClientTimeout(total=wait + 2, connect=CONNECT_TIMEOUT),
            ) as answer:
                status = answer.status
                told = _told(await answer.read()) if status == HTTPStatus.OK else None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
            log.info("connector.unreachable", worker=assignment.worker, error=type(error).__name__)
            return Wake.ELSEWHERE
        if status == HTTPStatus.OK:
            return told or Wake.SETTLED
        if status == HTTPStatus.ACCEPTED:
            return Wake.WAITING
        log.info("connector.refused", worker=assignment.worker, status=status)
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

    def _sends(self) -> aiohttp.ClientSession:
        """The client of sends: it takes a fifth of the other one's time. Made at its first use: it needs the loop."""
        if self._for_sends is None:
            connections = aiohttp.TCPConnector(limit=0, limit_per_host=100, keepalive_timeout=25)
            self._for_sends = aiohttp.ClientSession(
                connector=connections, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
            )
        return self._for_sends

    def _token(self) -> str:
        now = time.monotonic()
        if now >= self._token_until:
            self._read_token, self._token_until = self._token_file.read_text().strip(), now + _TOKEN_READ
        return self._read_token

    def _headers(self, session: WhatsAppSession, assignment: Assignment) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token()}",
            "X-Whatsam-Epoch": str(session.status.epoch),
            "X-Whatsam-Boot": assignment.boot_id,
        }


def _told(content: bytes) -> Told | None:
    """The outcome that a holder tells; None when it is not one."""
    try:
        told = json.loads(content)
        at = told["timestamp"]
        return Told(str(told["status"]), told["waId"], datetime.fromisoformat(at) if at else None, told["error"])
    except (ValueError, KeyError, TypeError):
        return None


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
