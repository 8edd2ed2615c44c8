"""Who calls: passwords, access tokens, refresh tokens and API keys. Routes ask it through `dependencies`."""

import asyncio
import hashlib
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from whatsam_api.errors import EmailTaken, Forbidden, NotAuthenticated
from whatsam_api.models.accounts import User
from whatsam_api.policies.tiers import Role, Tier
from whatsam_api.settings import ApiSettings
from whatsam_api.storage.api_keys import ApiKeyStore
from whatsam_api.storage.users import UserStore

KEY_PREFIX = "wsk_"
"""How an API key can be recognised, by people and by scanners of leaked secrets."""
HASHES_AT_A_TIME = 2
"""Passwords that are hashed at the same time by one process."""
BELIEVED = 2.0
"""Seconds for which an access token that was verified is believed: an account that is switched off is out after them.

To verify it and to read its account for every call would cost more than accepting a message."""
_BELIEVED_MOST = 10_000
_ALGORITHM = "HS256"
_AUDIENCE = "whatsam-api"


@dataclass(frozen=True)
class Principal:
    """Whose call it is. With a key, only the key's session and scopes."""

    tenant: str
    user: User
    """The account: of the person who calls, or of the owner of the key."""
    person: bool
    """A person who logged in, not a program with a key."""
    session: str | None = None
    """`<namespace>/<name>` of the only session that a key opens."""
    scopes: frozenset[str] = frozenset({"send", "read", "manage"})
    identity: str = ""
    """What rate limits count by."""


@dataclass(frozen=True)
class Tokens:
    """What a login gives."""

    access: str
    refresh: str
    expires_in: int
    """Seconds that the access token lives."""


class IdentityService:
    """Accounts and credentials."""

    def __init__(self, settings: ApiSettings, users: UserStore, keys: ApiKeyStore) -> None:
        self._settings = settings
        self._users = users
        self._keys = keys
        self._hasher = PasswordHasher()
        self._nobody: str | None = None
        self._believed: dict[bytes, tuple[float, Principal]] = {}
        """By hash of the access token: until when (CLOCK_MONOTONIC), and whose it is."""
        # Each hash takes 64 MiB: as many at a time as logins may come would end the process.
        self._hashing = asyncio.Semaphore(HASHES_AT_A_TIME)

    async def register(self, *, email: str, name: str, password: str) -> tuple[User, Tokens]:
        """A new account, of the tier BASIC. Raises `EmailTaken`, or `Forbidden` when registration is switched off."""
        if not self._settings.registration_enabled:
            raise Forbidden("registration is switched off; ask the administrator for an account")
        user = await self._add(email=email, name=name, password=password, tier=Tier.BASIC, role=Role.USER)
        return user, await self._issue(user)

    async def login(self, email: str, password: str) -> tuple[User, Tokens]:
        """Tokens for the right password. Raises `NotAuthenticated`, equally for a wrong address or password."""
        user = await self._users.by_email(email)
        # An account that does not exist takes as long to refuse as one that does.
        known = user.password_hash if user else await self._hash_of_nobody()
        async with self._hashing:
            good = await asyncio.to_thread(self._verify, known, password)
        if user is None or not good or not user.active:
            raise NotAuthenticated("the address or the password is wrong")
        return user, await self._issue(user)

    async def refresh(self, token: str) -> tuple[User, Tokens]:
        """New tokens for a refresh token, which is used up by it."""
        user_id = await self._users.take_refresh_token(_digest(token))
        user = await self._users.by_id(user_id) if user_id else None
        if user is None or not user.active:
            raise NotAuthenticated("the refresh token is unknown, used or expired; log in again")
        return user, await self._issue(user)

    async def logout(self, token: str) -> None:
        """End a refresh token. An unknown one is fine."""
        await self._users.take_refresh_token(_digest(token))

    async def ensure_admin(self) -> None:
        """Make the administrator of the settings when there is none with that address."""
        email, password = self._settings.admin_email, self._settings.admin_password
        if email and password and await self._users.by_email(email) is None:
            with suppress(EmailTaken):  # by another replica that starts at the same time
                await self._add(
                    email=email,
                    name="Administrator",
                    password=password.get_secret_value(),
                    tier=Tier.MAX,
                    role=Role.ADMIN,
                )

    async def authenticate(self, credential: str) -> Principal:
        """Who shows this access token or API key. Raises `NotAuthenticated`."""
        if credential.startswith(KEY_PREFIX):
            return await self._by_key(credential)
        name, now = _digest(credential), time.monotonic()
        known = self._believed.get(name)
        if known is not None and now < known[0]:
            return known[1]
        caller, expires_in = await self._by_token(credential)
        if len(self._believed) >= _BELIEVED_MOST:
            self._believed.clear()
        self._believed[name] = (now + min(BELIEVED, expires_in), caller)
        return caller

    async def _by_token(self, credential: str) -> tuple[Principal, float]:
        """The caller and the seconds for which the token is still good."""
        try:
            claims = jwt.decode(
                credential,
                self._settings.jwt_secret.get_secret_value(),
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "sub"]},
            )
            user_id = UUID(claims["sub"])
        except (jwt.InvalidTokenError, ValueError):
            raise NotAuthenticated("the access token is not valid or has expired; refresh it or log in again") from None
        user = await self._users.by_id(user_id)
        if user is None or not user.active:
            raise NotAuthenticated("the account is gone or not active")
        caller = Principal(tenant=user.tenant, user=user, person=True, identity=str(user.id))
        return caller, float(claims["exp"]) - time.time()

    async def _by_key(self, key: str) -> Principal:
        row = await self._keys.use(_digest(key))
        if row is None:
            raise NotAuthenticated("the API key is unknown or has expired")
        owner = await self._users.by_tenant(row.tenant)
        if owner is None or not owner.active:
            raise NotAuthenticated("the account that owns the key is gone or not active")
        return Principal(
            tenant=row.tenant,
            user=owner,
            person=False,
            session=row.session,
            scopes=frozenset(row.scopes),
            identity=f"key-{row.id}",
        )

    async def _add(self, *, email: str, name: str, password: str, tier: Tier, role: Role) -> User:
        user_id = uuid4()
        return await self._users.add(
            user_id=user_id,
            email=email,
            name=name,
            password_hash=await self._hash(password),
            tier=tier,
            role=role,
            tenant=f"t-{user_id.hex[:12]}",
        )

    async def _issue(self, user: User) -> Tokens:
        now = datetime.now(UTC)
        lifetime = timedelta(minutes=self._settings.access_token_minutes)
        access = jwt.encode(
            {"sub": str(user.id), "aud": _AUDIENCE, "iat": now, "exp": now + lifetime},
            self._settings.jwt_secret.get_secret_value(),
            algorithm=_ALGORITHM,
        )
        refresh = secrets.token_urlsafe(32)
        await self._users.add_refresh_token(
            _digest(refresh), user.id, now + timedelta(days=self._settings.refresh_token_days)
        )
        return Tokens(access=access, refresh=refresh, expires_in=int(lifetime.total_seconds()))

    async def _hash(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def _hash_of_nobody(self) -> str:
        if self._nobody is None:
            self._nobody = await self._hash(secrets.token_urlsafe())
        return self._nobody

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def new_api_key() -> tuple[str, str, bytes]:
    """A fresh API key, the prefix by which people recognise it, and the hash that is stored."""
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, key[: len(KEY_PREFIX) + 6], _digest(key)


def _digest(secret: str) -> bytes:
    """Tokens and keys are random 256 bit values: a plain hash is enough, nothing can be guessed."""
    return hashlib.sha256(secret.encode()).digest()
