"""Checks the tokens that callers show: projected service-account tokens with the connector's audience, offline.

The keys come from the API server (`/openid/v1/jwks`) and are kept while it is away, so that sends do not depend on it.
A token says who called; whether the call is for the right holder is checked by epoch and boot (`calls`).
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from whatsam_connector.errors import TokenForbidden, TokenRefused
from whatsam_core import names
from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster_errors import ClusterError

_log = get_logger(__name__)

_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
"""What kube-apiserver signs with. Never `none`, never a symmetric one: the key is public."""
_KEEP = 3600.0
"""Seconds after which keys are asked for again although all tokens match: rotated keys must go some day."""
_BELIEVED = 30.0
"""Seconds for which a token that was good is not verified again; keys are withdrawn much more slowly than that."""
_MOST_REMEMBERED = 64
_LEAST_PAUSE = 10.0
"""Seconds between two questions for keys: tokens with invented key ids must not become load for the API server."""


class Issuer(Protocol):
    """The API server's public documents."""

    async def get_raw(self, path: str, *, timeout: float) -> dict[str, Any]:
        """A JSON document. Raises `ClusterError`."""
        ...


@dataclass(frozen=True)
class _Keys:
    issuer: str
    by_id: dict[str, jwt.PyJWK]
    fetched_at: float


class TokenChecker:
    """Accepts the tokens of one service account."""

    def __init__(self, issuer: Issuer, *, subject: str, monotonic: Callable[[], float]) -> None:
        self._issuer = issuer
        self._subject = subject
        self._monotonic = monotonic
        self._keys: _Keys | None = None
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()
        self._good: dict[bytes, float] = {}
        """Digests of tokens that were good, and until when that is believed: a caller shows the same one every time."""

    async def check(self, authorization: str | None) -> None:
        """Raises `TokenRefused` (not a good token) or `TokenForbidden` (good, of somebody else)."""
        digest = hashlib.sha256((authorization or "").encode("utf-8", "surrogateescape")).digest()
        if self._good.get(digest, 0.0) > self._monotonic():
            return
        expires = await self._check(authorization)
        if len(self._good) >= _MOST_REMEMBERED:
            self._good.clear()
        self._good[digest] = self._monotonic() + min(_BELIEVED, expires - time.time())

    async def _check(self, authorization: str | None) -> float:
        """When the token expires (seconds since 1970)."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenRefused("a bearer token is needed")
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid"))
        except jwt.InvalidTokenError as error:
            raise TokenRefused("not a token") from error
        keys = await self._keys_with(key_id)
        if keys is None or key_id not in keys.by_id:
            raise TokenRefused("the token is not signed by this cluster, or its keys are not known yet")
        try:
            claims = jwt.decode(
                token,
                keys.by_id[key_id],
                algorithms=list(_ALGORITHMS),
                audience=names.CONNECTOR_AUDIENCE,
                issuer=keys.issuer,
                leeway=10,
                options={"require": ["exp", "aud", "iss", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            raise TokenRefused(f"the token is not accepted: {type(error).__name__}") from error
        if claims["sub"] != self._subject:
            raise TokenForbidden("this service account may not call a connector")
        return float(claims["exp"])

    async def warm_up(self) -> bool:
        """Fetch the keys before the first call needs them. Whether they are there."""
        return await self._keys_with("") is not None

    async def _keys_with(self, key_id: str) -> _Keys | None:
        """The known keys; asks for them again when they lack this one or are old."""
        async with self._asking:
            now, keys = self._monotonic(), self._keys
            fresh = keys is not None and now - keys.fetched_at < _KEEP
            if keys is not None and fresh and (not key_id or key_id in keys.by_id):
                return keys
            if self._asked_at is not None and now - self._asked_at < _LEAST_PAUSE:
                return keys
            self._asked_at = now
            try:
                self._keys = await self._fetch(now)
            except (ClusterError, jwt.PyJWTError, KeyError, TypeError) as error:
                _log.warning("tokens.keys_not_fetched", error=str(error))
            return self._keys

    async def _fetch(self, now: float) -> _Keys:
        about = await self._issuer.get_raw("/.well-known/openid-configuration", timeout=5.0)
        found = jwt.PyJWKSet.from_dict(await self._issuer.get_raw("/openid/v1/jwks", timeout=5.0))
        return _Keys(about["issuer"], {str(key.key_id): key for key in found.keys}, now)
