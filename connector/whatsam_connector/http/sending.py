"""Forwarded sends: `POST /sessions/{uid}/messages/{message}/send?wait=<seconds>` with the headers of an `Address`.

The only call on the way of every message, so it is answered before the application: parsing and layers of FastAPI and
Starlette would cost several times what the call does here.
"""

import json
import math
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from whatsam_connector.errors import TokenForbidden, TokenRefused
from whatsam_connector.http.calls import Calls
from whatsam_connector.http.holding import Address, Refusal
from whatsam_connector.http.tokens import TokenChecker
from whatsam_connector.messages.rows import MessageView

_FAILURES = {
    Refusal.STALE_EPOCH: (409, "the session runs here under another epoch; read its status again"),
    Refusal.NOT_HOLDER: (409, "this boot does not hold the session; read its status again"),
    Refusal.FENCED: (409, "this worker has lost touch with the cluster; the message stays pending"),
    Refusal.NOT_CONNECTED: (503, "the session is not connected; the message stays pending"),
    Refusal.UNKNOWN_MESSAGE: (404, "the session has no such message"),
    Refusal.DATABASE_UNAVAILABLE: (503, "the database does not answer; try again"),
}
_WAIT = 5.0
_LONGEST_WAIT = 30.0


class Sends:
    """ASGI middleware: answers forwarded sends, and passes on everything else."""

    path: Final = "/sessions/{uid}/messages/{message}/send"
    """Under which figures count these calls: `Observation` asks the scope's `route` for it."""

    def __init__(self, app: ASGIApp, calls: Calls, tokens: TokenChecker) -> None:
        self._app = app
        self._calls = calls
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, or pass it on."""
        if scope["type"] == "http" and scope["method"] == "POST":
            match scope["path"].split("/"):
                case ["", "sessions", uid, "messages", message, "send"] if uid and message:
                    scope["route"] = self
                    await _write(send, *await self._answer(scope, uid, message))
                    return
                case _:
                    pass
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, uid: str, message: str) -> tuple[int, dict[str, str | None]]:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        try:
            await self._tokens.check(headers.get(b"authorization"))
        except TokenRefused as error:
            return refused_token(error)
        try:
            address = Address(uid, int(headers[b"x-whatsam-epoch"]), headers[b"x-whatsam-boot"])
            row, wait = UUID(message), _wait(scope["query_string"])
        except (ValueError, KeyError):
            return _failure(
                422, "INVALID", "a message id, X-Whatsam-Epoch, X-Whatsam-Boot and 0 ≤ wait ≤ 30 are needed"
            )
        outcome = await self._calls.send(address, row, wait)
        if isinstance(outcome, Refusal):
            return _refusal(outcome)
        return 200 if outcome.settled else 202, _wire(outcome)


def refused_token(error: TokenRefused) -> tuple[int, dict[str, str | None]]:
    """Status and content for a caller whose token is not accepted."""
    if isinstance(error, TokenForbidden):
        return _failure(403, "FORBIDDEN", str(error))
    return _failure(401, "UNAUTHORIZED", str(error))


def refusal_answer(refusal: Refusal) -> Response:
    """What a caller gets who asked the wrong holder, or at the wrong time."""
    status, content = _refusal(refusal)
    return JSONResponse(content, status_code=status)


def _refusal(refusal: Refusal) -> tuple[int, dict[str, str | None]]:
    status, text = _FAILURES[refusal]
    return _failure(status, refusal.value, text)


def _wait(query: bytes) -> float:
    """Raises ValueError."""
    wait = float(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)).get("wait", _WAIT))
    if not (math.isfinite(wait) and 0 <= wait <= _LONGEST_WAIT):
        raise ValueError("wait")
    return wait


def _wire(view: MessageView) -> dict[str, str | None]:
    return {
        "messageId": str(view.id),
        "status": view.status,
        "waId": view.wa_id,
        "timestamp": view.timestamp.isoformat() if view.timestamp else None,
        "error": view.error,
    }


def _failure(status: int, code: str, message: str) -> tuple[int, dict[str, str | None]]:
    return status, {"code": code, "message": message}


async def _write(send: Send, status: int, content: dict[str, Any]) -> None:
    # ASCII: a half character in an error must not break the answer.
    body = json.dumps(content, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
