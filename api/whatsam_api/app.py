"""The FastAPI application: routes, the envelope of failures, request ids, metrics."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from whatsam_api.body_limit import BodyLimit
from whatsam_api.envelope import Failure, Problem
from whatsam_api.errors import ApiError
from whatsam_api.observation import Observation
from whatsam_api.routes import (
    api_keys,
    auth,
    chat_list,
    chats,
    contacts,
    files,
    group_members,
    groups,
    jobs,
    messages,
    newsletters,
    operations,
    pairing,
    passkeys,
    profile,
    sending,
    sending_directly,
    sessions,
)
from whatsam_core.logging import get_logger

log = get_logger()

DIRECTORY = (chats, contacts, groups, group_members, profile, newsletters)
"""What is asked of WhatsApp through the session's engine."""


def create_app(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """The application; `lifespan` puts the process's parts into `app.state.context`."""
    app = FastAPI(
        title="Whatsam",
        version="1",
        summary="WhatsApp sessions for tenants",
        lifespan=lifespan,
        # A redirect would have to decode whatever bytes a stranger puts into the query.
        redirect_slashes=False,
        responses={422: {"model": Failure}, "4XX": {"model": Failure}, "5XX": {"model": Failure}},
    )
    for part in (auth, sessions, pairing, passkeys, sending, messages, files, chat_list, jobs, *DIRECTORY, api_keys):
        app.include_router(part.router, prefix="/api/v1")
    app.include_router(operations.router)
    app.router.routes.insert(0, sending_directly.direct_route())
    app.add_middleware(BodyLimit)
    app.add_middleware(Observation)
    app.exception_handler(ApiError)(_refused)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(Exception)(_crashed)
    describe = app.openapi
    app.openapi = lambda: sending.described(describe())
    return app


def _failure(request: Request, status: int, problem: Problem, retry_after: int | None = None) -> JSONResponse:
    request_id = getattr(request.state, "request_id", "")
    headers = {"X-Request-Id": request_id}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = Failure(error=problem, request_id=request_id)
    return JSONResponse(body.model_dump(mode="json", by_alias=True), status_code=status, headers=headers)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        return await _crashed(request, error)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request.unavailable", reason=error.message, cause=type(error.__cause__).__name__)
    return _failure(
        request,
        error.status,
        Problem(code=error.code, message=error.message, details=error.details),
        error.retry_after,
    )


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        return await _crashed(request, error)
    fields = [
        {"field": ".".join(str(part) for part in problem["loc"] if part != "body") or "body", "message": problem["msg"]}
        for problem in error.errors()
    ]
    text = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
    return _failure(request, 422, Problem(code="VALIDATION_ERROR", message=text, details=fields))


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return await _crashed(request, error)
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE"}.get(error.status_code, "BAD_REQUEST")
    return _failure(request, error.status_code, Problem(code=code, message=str(error.detail)))


async def _crashed(request: Request, error: Exception) -> Response:
    log.error("request.crashed", request_id=getattr(request.state, "request_id", ""), exc_info=error)
    return _failure(
        request,
        500,
        Problem(code="INTERNAL", message="something is broken on our side; tell us the request id"),
    )
