"""The connector's HTTP API: forwarded sends and calls, health, probes, metrics. Parses, calls one service, answers."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from whatsam_connector.errors import TokenRefused
from whatsam_connector.http.bodies import LARGEST_BODY, BodyProblem, read_arguments
from whatsam_connector.http.calls import Calls
from whatsam_connector.http.engine_calls import CallEnd, Declined, EngineCalls, Outcome, Value
from whatsam_connector.http.health import Health
from whatsam_connector.http.holding import Address, Refusal
from whatsam_connector.http.sending import Sends, refusal_answer, refused_token
from whatsam_connector.http.tokens import TokenChecker
from whatsam_core.metrics import CONTENT_TYPE

_CALL_ENDS = {
    CallEnd.UNKNOWN_METHOD: (404, "UNKNOWN_METHOD", "there is no such call"),
    CallEnd.BUSY: (429, "BUSY", "too many calls wait for this session; nothing was done"),
    CallEnd.NOT_CONNECTED: (503, "NOT_CONNECTED", "the session is not connected; nothing was done"),
    CallEnd.TIMED_OUT: (504, "TIMED_OUT", "WhatsApp did not answer in time"),
    CallEnd.UNCERTAIN: (504, "UNCERTAIN", "no answer in time: the change may have been made"),
}
_BODY_PROBLEMS = {
    BodyProblem.TOO_LARGE: (413, "TOO_LARGE", f"a body has at most {LARGEST_BODY} bytes"),
    BodyProblem.NOT_JSON: (422, "Invalid", "the body must be a JSON object"),
}
_CALL_WAIT = 20.0
_LONGEST_CALL = 60.0


def create_app(calls: Calls, engine_calls: EngineCalls, tokens: TokenChecker, health: Health) -> FastAPI:
    """The application; the services come from the factory."""
    app = FastAPI(title="Whatsam connector", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_middleware(Sends, calls=calls, tokens=tokens)
    app.include_router(_session_routes(engine_calls, tokens))
    app.include_router(_health_routes(health))

    @app.exception_handler(TokenRefused)
    async def refused(_request: Request, error: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]  # FastAPI calls it
        if not isinstance(error, TokenRefused):
            raise error
        status, content = refused_token(error)
        return JSONResponse(content, status_code=status)

    return app


def _session_routes(engine_calls: EngineCalls, tokens: TokenChecker) -> APIRouter:
    async def caller(authorization: Annotated[str | None, Header()] = None) -> None:
        await tokens.check(authorization)

    def addressed(
        uid: str, x_whatsam_epoch: Annotated[int, Header()], x_whatsam_boot: Annotated[str, Header()]
    ) -> Address:
        return Address(uid, x_whatsam_epoch, x_whatsam_boot)

    router = APIRouter(prefix="/sessions/{uid}", dependencies=[Depends(caller)])

    @router.post("/calls/{method}")
    async def call(  # pyright: ignore[reportUnusedFunction]  # FastAPI calls it
        method: str,
        request: Request,
        address: Annotated[Address, Depends(addressed)],
        wait: Annotated[float, Query(ge=0, le=_LONGEST_CALL)] = _CALL_WAIT,
    ) -> Response:
        arguments = await read_arguments(request)
        if isinstance(arguments, BodyProblem):
            return _failure(*_BODY_PROBLEMS[arguments])
        return _call_answer(await engine_calls.call(address, method, arguments, wait))

    return router


def _call_answer(outcome: Outcome) -> Response:
    match outcome:
        case Value():
            # ASCII: a half character in what somebody wrote must not break the answer.
            return Response(json.dumps({"value": outcome.value}), media_type="application/json")
        case Declined():
            return _failure(422, outcome.code, outcome.message)
        case CallEnd():
            return _failure(*_CALL_ENDS[outcome])
        case Refusal():
            return refusal_answer(outcome)


def _health_routes(health: Health) -> APIRouter:
    router = APIRouter()

    @router.get("/live")
    async def live() -> Response:  # pyright: ignore[reportUnusedFunction]  # FastAPI calls it
        problem = health.not_alive()
        return JSONResponse({"live": problem is None, "problem": problem}, status_code=200 if problem is None else 503)

    @router.get("/ready")
    async def ready() -> Response:  # pyright: ignore[reportUnusedFunction]  # FastAPI calls it
        problem = health.not_ready()
        return JSONResponse({"ready": problem is None, "problem": problem}, status_code=200 if problem is None else 503)

    @router.get("/health")
    async def details() -> Response:  # pyright: ignore[reportUnusedFunction]  # FastAPI calls it
        return JSONResponse(await health.details())

    @router.get("/metrics")
    async def metrics(accept: Annotated[str, Header()] = "") -> Response:  # pyright: ignore[reportUnusedFunction]  # FastAPI calls it
        if "application/json" in accept:
            return JSONResponse(health.figures())
        return Response(health.exposition(), media_type=CONTENT_TYPE)

    return router


def _failure(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status_code=status)
