"""The short way of `POST /sessions/{session_id}/send`: the one call that comes for every message. Put into the app.

FastAPI's own way to the same function (dependencies, a response model, stacks of exits) costs about as much as
accepting the message. `sending.send` stays what describes the call in the OpenAPI document; a test compares both ways.
"""

from typing import Annotated, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import StringConstraints, TypeAdapter, ValidationError
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from whatsam_api.context import ProcessContext
from whatsam_api.dependencies import credential_of, session_of
from whatsam_api.envelope import Success
from whatsam_api.routes.sending import IDEMPOTENCY_KEY, SentView, answer_send, router, send

_PREFIX: Final = "/api/v1"

_KEY: Final = TypeAdapter(Annotated[str, StringConstraints(pattern=IDEMPOTENCY_KEY)])
_ANSWER: Final = TypeAdapter(Success[SentView])


class _DirectSend:
    """The call as an ASGI application. What it raises is answered where all failures are."""

    def __init__(self, described: BaseRoute) -> None:
        self._described = described

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        scope["route"] = self._described
        request = Request(scope, receive)
        context: ProcessContext = scope["app"].state.context
        caller = await context.identity.authenticate(credential_of(request))
        session = await session_of(context, caller, scope["path_params"]["session_id"], "send")
        response = Response(media_type="application/json")
        sent = await answer_send(request, caller, session, context, key=_key(request), response=response)
        response.body = _ANSWER.dump_json(sent, by_alias=True)
        response.headers["Content-Length"] = str(len(response.body))
        await response(scope, receive, send)


def direct_route() -> Route:
    """The route. It must stand before FastAPI's, under whose name it is counted."""
    described = next(route for route in router.routes if isinstance(route, APIRoute) and route.endpoint is send)
    return Route(_PREFIX + described.path, _DirectSend(described), methods=["POST"], include_in_schema=False)


def _key(request: Request) -> str | None:
    """The Idempotency-Key. Raises `RequestValidationError` as FastAPI would."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    try:
        return _KEY.validate_python(given)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**problem, "loc": ("header", "Idempotency-Key")} for problem in problems]
        ) from None
