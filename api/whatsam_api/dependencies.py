"""What routes need of a request: the process's parts, who calls, and whether he may call that often."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Response

from whatsam_api.context import ProcessContext
from whatsam_api.errors import Forbidden, NotAuthenticated, TooManyRequests
from whatsam_api.models.limits import Allowance
from whatsam_api.services.identity import Principal
from whatsam_core.resources import WhatsAppSession


async def context_of(request: Request) -> ProcessContext:
    """The process's parts. Async, because FastAPI runs plain functions in a thread: too dear for every call."""
    return request.app.state.context


Context = Annotated[ProcessContext, Depends(context_of)]


def address_of(request: Request) -> str:
    """The caller's address, for limits of calls without credentials."""
    return request.client.host if request.client else "unknown"


def apply_allowance(response: Response, allowance: Allowance, now: float) -> None:
    """Write the limit into the answer's headers, or refuse the call with `TooManyRequests`."""
    wait = max(1, round(allowance.reset - now))
    if not allowance.allowed:
        raise TooManyRequests(f"too many calls; try again in {wait} s", retry_after=wait)
    response.headers["RateLimit-Limit"] = str(allowance.limit)
    response.headers["RateLimit-Remaining"] = str(allowance.remaining)
    response.headers["RateLimit-Reset"] = str(wait)


def credential_of(request: Request) -> str:
    """The bearer token or API key of the request. Raises `NotAuthenticated`."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    if key := request.headers.get("x-api-key"):
        return key.strip()
    raise NotAuthenticated("send an access token or an API key as `Authorization: Bearer …`, or a key as `X-API-Key`")


async def principal_of(request: Request, context: Context) -> Principal:
    """Who calls."""
    return await context.identity.authenticate(credential_of(request))


Caller = Annotated[Principal, Depends(principal_of)]


async def user_of(caller: Caller) -> Principal:
    """Who calls, when only a person will do."""
    if not caller.person:
        raise Forbidden("an API key cannot do this; log in")
    return caller


Person = Annotated[Principal, Depends(user_of)]


async def session_of(context: ProcessContext, caller: Principal, session_id: str, scope: str) -> WhatsAppSession:
    """The session, if the caller owns it and his key has `scope`."""
    session = await context.sessions.find(caller, session_id)
    if scope not in caller.scopes:
        raise Forbidden(f"this API key lacks the scope {scope!r}")
    return session


def owned_session(scope: str) -> Callable[..., Awaitable[WhatsAppSession]]:
    """A dependency: the session of the path, if the caller owns it and his key has `scope`."""

    async def find(session_id: str, caller: Caller, context: Context) -> WhatsAppSession:
        return await session_of(context, caller, session_id, scope)

    return find


ReadSession = Annotated[WhatsAppSession, Depends(owned_session("read"))]
SendSession = Annotated[WhatsAppSession, Depends(owned_session("send"))]
ManageSession = Annotated[WhatsAppSession, Depends(owned_session("manage"))]
