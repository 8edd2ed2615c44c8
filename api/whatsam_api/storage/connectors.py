"""Calls to the connector that holds a session: waking it for a message and waiting for the outcome."""

from enum import Enum
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import httpx

from whatsam_core.logging import get_logger
from whatsam_core.resources import WhatsAppSession

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
            token = self._token_file.read_text().strip()
            answer = await self._http.post(
                f"{assignment.endpoint}/sessions/{session.metadata.uid}/messages/{message_id}/send",
                params={"wait": f"{wait:g}"},
                headers={
                    "Authorization": f"Bearer {token}",
                    "X-Whatsam-Epoch": str(session.status.epoch),
                    "X-Whatsam-Boot": assignment.boot_id,
                },
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
