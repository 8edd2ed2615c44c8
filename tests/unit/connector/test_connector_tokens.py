"""The check of callers' tokens: offline, by audience, issuer, time and subject; keys survive an outage."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from whatsam_connector.errors import TokenForbidden, TokenRefused
from whatsam_connector.http.tokens import TokenChecker
from whatsam_core.storage.cluster_errors import Unreachable

ISSUER = "https://kubernetes.default.svc"
API = "system:serviceaccount:whatsam:whatsam-api"


class FakeIssuer:
    """The API server's public documents."""

    def __init__(self) -> None:
        self.keys = {"k1": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.away = False
        self.asked = 0

    async def get_raw(self, path: str, *, timeout: float) -> dict[str, Any]:
        self.asked += 1
        if self.away:
            raise Unreachable("away")
        if path == "/.well-known/openid-configuration":
            return {"issuer": ISSUER}
        return {
            "keys": [
                {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": name, "alg": "RS256", "use": "sig"}
                for name, key in self.keys.items()
            ]
        }

    def token(self, key: str = "k1", **changes: Any) -> str:
        claims = {"iss": ISSUER, "aud": ["whatsam-connector"], "sub": API, "exp": time.time() + 600} | changes
        return "Bearer " + jwt.encode(claims, self.keys[key], algorithm="RS256", headers={"kid": key})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def checker(issuer: FakeIssuer, clock: Clock) -> TokenChecker:
    return TokenChecker(issuer, subject=API, monotonic=clock)


async def test_the_apis_token_is_accepted(checker: TokenChecker, issuer: FakeIssuer) -> None:
    await checker.check(issuer.token())


@pytest.mark.parametrize(
    "changes",
    [{"aud": ["another"]}, {"iss": "https://elsewhere"}, {"exp": time.time() - 3600}, {"nbf": time.time() + 3600}],
    ids=["audience", "issuer", "expired", "not yet"],
)
async def test_a_token_for_something_else_is_refused(
    checker: TokenChecker, issuer: FakeIssuer, changes: dict[str, Any]
) -> None:
    with pytest.raises(TokenRefused) as refused:
        await checker.check(issuer.token(**changes))
    assert not isinstance(refused.value, TokenForbidden)


async def test_another_service_account_is_forbidden(checker: TokenChecker, issuer: FakeIssuer) -> None:
    with pytest.raises(TokenForbidden):
        await checker.check(issuer.token(sub="system:serviceaccount:whatsam:default"))


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x.y.z", "Basic abc", "Bearer " + "a" * 50])
async def test_what_is_no_token_is_refused(checker: TokenChecker, header: str | None) -> None:
    with pytest.raises(TokenRefused):
        await checker.check(header)


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(
    checker: TokenChecker, issuer: FakeIssuer
) -> None:
    claims = {"iss": ISSUER, "aud": "whatsam-connector", "sub": API, "exp": time.time() + 600}
    for algorithm, key in (("HS256", "k" * 32), ("none", "")):
        forged = jwt.encode(claims, key or None, algorithm=algorithm, headers={"kid": "k1"})
        with pytest.raises(TokenRefused):
            await checker.check(f"Bearer {forged}")


async def test_keys_are_kept_while_the_api_server_is_away(
    checker: TokenChecker, issuer: FakeIssuer, clock: Clock
) -> None:
    await checker.check(issuer.token())
    issuer.away = True
    clock.now += 24 * 3600
    await checker.check(issuer.token())


async def test_a_rotated_key_is_fetched(checker: TokenChecker, issuer: FakeIssuer, clock: Clock) -> None:
    await checker.check(issuer.token())
    issuer.keys["k2"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    clock.now += 60
    await checker.check(issuer.token("k2"))


async def test_invented_key_ids_are_no_load_for_the_api_server(checker: TokenChecker, issuer: FakeIssuer) -> None:
    await checker.check(issuer.token())
    asked = issuer.asked
    stranger = FakeIssuer()
    stranger.keys = {f"x{number}": next(iter(stranger.keys.values())) for number in range(50)}
    for key in stranger.keys:
        with pytest.raises(TokenRefused):
            await checker.check(stranger.token(key))
    assert issuer.asked == asked
