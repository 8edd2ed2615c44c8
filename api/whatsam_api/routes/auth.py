"""Registering, logging in and out, refreshing."""

import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import EmailStr, StringConstraints

from whatsam_api.dependencies import Context, Person, address_of, apply_allowance
from whatsam_api.envelope import Success, Wire, Writable, ok
from whatsam_api.limiting import AnonymousLimit, CallerLimit
from whatsam_api.models.accounts import User
from whatsam_api.policies.tiers import Role, Tier
from whatsam_api.services.identity import Tokens

router = APIRouter(tags=["accounts"])

Password = Annotated[str, StringConstraints(min_length=8, max_length=256)]


class Registration(Wire):
    """A new account."""

    name: Annotated[Writable, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]
    email: EmailStr
    password: Password
    tier: Tier | None = None
    """Accepted for the sake of older clients; a new account is BASIC and only an administrator raises it."""


class Login(Wire):
    """Address and password."""

    email: EmailStr
    password: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class RefreshToken(Wire):
    """The refresh token of an earlier answer."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class UserView(Wire):
    """A user as he sees himself."""

    id: UUID
    email: str
    name: str
    tier: Tier
    role: Role
    tenant: str


class LoginView(Wire):
    """The user and what he shows with his next calls."""

    user: UserView
    token: str
    refresh_token: str
    expires_in: int


def _user(user: User) -> UserView:
    return UserView(id=user.id, email=user.email, name=user.name, tier=user.tier, role=user.role, tenant=user.tenant)


def _answer(user: User, tokens: Tokens) -> Success[LoginView]:
    return ok(
        LoginView(user=_user(user), token=tokens.access, refresh_token=tokens.refresh, expires_in=tokens.expires_in)
    )


@router.post("/auth/register", status_code=201, summary="Make an account")
async def register(body: Registration, context: Context, _: AnonymousLimit) -> Success[LoginView]:
    """Make an account of the tier BASIC and log in."""
    return _answer(*await context.identity.register(email=body.email, name=body.name, password=body.password))


@router.post("/auth/login", summary="Log in")
async def login(
    body: Login, request: Request, response: Response, context: Context, _: AnonymousLimit
) -> Success[LoginView]:
    """Tokens for address and password; throttled per account and address."""
    apply_allowance(response, await context.limits.login(body.email, address_of(request)), time.time())
    return _answer(*await context.identity.login(body.email, body.password))


@router.post("/auth/refresh", summary="New tokens for a refresh token")
async def refresh(body: RefreshToken, context: Context, _: AnonymousLimit) -> Success[LoginView]:
    """New tokens; the shown refresh token is used up."""
    return _answer(*await context.identity.refresh(body.refresh_token))


@router.post("/auth/logout", summary="End a refresh token")
async def logout(body: RefreshToken, context: Context, _: AnonymousLimit) -> Success[None]:
    """End a refresh token. The access token ends by itself within minutes."""
    await context.identity.logout(body.refresh_token)
    return ok(None)


@router.get("/users/me", summary="Who am I")
async def me(person: Person, _: CallerLimit) -> Success[UserView]:
    """The account that the access token belongs to."""
    return ok(_user(person.user))
