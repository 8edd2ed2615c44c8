"""The route of forwarded sends. The only one on the way of every message, so it is plain Starlette.

FastAPI's parsing of a path, two headers and a query would cost more than everything else that the call does here.
"""

import math
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from whatsam_connector.http.calls import Address, Calls, Refusal
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


def send_route(calls: Calls, tokens: TokenChecker) -> Route:
    """`POST /sessions/{uid}/messages/{message}/send?wait=<seconds>` with the headers of an `Address`."""

    async def send(request: Request) -> Response:
        await tokens.check(request.headers.get("authorization"))
        try:
            address, message, wait = _parse(request)
        except (ValueError, KeyError):
            return _failure(
                422, "INVALID", "a message id, X-Whatsam-Epoch, X-Whatsam-Boot and 0 ≤ wait ≤ 30 are needed"
            )
        outcome = await calls.send(address, message, wait)
        if isinstance(outcome, Refusal):
            return refusal_answer(outcome)
        return JSONResponse(_wire(outcome), status_code=200 if outcome.settled else 202)

    return Route("/sessions/{uid}/messages/{message}/send", send, methods=["POST"])


def refusal_answer(refusal: Refusal) -> Response:
    """What a caller gets who asked the wrong holder, or at the wrong time."""
    status, text = _FAILURES[refusal]
    return _failure(status, refusal.value, text)


def _parse(request: Request) -> tuple[Address, UUID, float]:
    """Raises ValueError or KeyError."""
    wait = float(request.query_params.get("wait", _WAIT))
    if not (math.isfinite(wait) and 0 <= wait <= _LONGEST_WAIT):
        raise ValueError("wait")
    epoch = int(request.headers["x-whatsam-epoch"])
    address = Address(request.path_params["uid"], epoch, request.headers["x-whatsam-boot"])
    return address, UUID(request.path_params["message"]), wait


def _wire(view: MessageView) -> dict[str, str | None]:
    return {
        "messageId": str(view.id),
        "status": view.status,
        "waId": view.wa_id,
        "timestamp": view.timestamp.isoformat() if view.timestamp else None,
        "error": view.error,
    }


def _failure(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status_code=status)
