"""Accounts and credentials, through HTTP and a real database."""

import asyncio
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from api_rig import PASSWORD, Instance, Rig

from whatsam_api.services import identity


async def test_register_login_refresh_logout(api: Instance) -> None:
    tenant = await api.register()
    me = (await tenant.client.get("/api/v1/users/me")).json()["data"]
    assert me["tenant"] == tenant.tenant == f"t-{me['id'].replace('-', '')[:12]}"
    assert me["tier"] == "BASIC"

    login = await api.http.post("/api/v1/auth/login", json={"email": tenant.email.upper(), "password": PASSWORD})
    assert login.status_code == 200
    first = login.json()["data"]["refreshToken"]

    rotated = await api.http.post("/api/v1/auth/refresh", json={"refreshToken": first})
    assert rotated.status_code == 200
    second = rotated.json()["data"]["refreshToken"]
    assert second != first
    again = await api.http.post("/api/v1/auth/refresh", json={"refreshToken": first})
    assert again.status_code == 401, "a used refresh token is used up"

    assert (await api.http.post("/api/v1/auth/logout", json={"refreshToken": second})).status_code == 200
    assert (await api.http.post("/api/v1/auth/refresh", json={"refreshToken": second})).status_code == 401
    assert (await api.http.post("/api/v1/auth/logout", json={"refreshToken": second})).status_code == 200


async def test_one_refresh_token_gives_one_pair_however_often_it_is_shown_at_once(api: Instance) -> None:
    tenant = await api.register()
    body = {"refreshToken": tenant.refresh}
    answers = await asyncio.gather(*(api.http.post("/api/v1/auth/refresh", json=body) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401, 401]


async def test_wrong_address_and_wrong_password_cannot_be_told_apart(api: Instance) -> None:
    tenant = await api.register()
    wrong = await api.http.post("/api/v1/auth/login", json={"email": tenant.email, "password": "not this one"})
    nobody = await api.http.post("/api/v1/auth/login", json={"email": "no@tenants.org", "password": "not this one"})
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json()["error"] == nobody.json()["error"]
    shown = set(wrong.headers) | {"www-authenticate"}
    assert shown == set(nobody.headers)


async def test_a_token_is_believed_for_a_moment_and_not_for_longer(
    api: Instance, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = await api.register(), await api.register()
    for tenant, seconds in ((long, 300.0), (short, 0.2)):
        monkeypatch.setattr(identity, "BELIEVED", seconds)
        assert (await tenant.client.get("/api/v1/sessions")).status_code == 200
        await rig.rows("update users set active = false where tenant = $1", tenant.tenant)
    assert (await long.client.get("/api/v1/sessions")).status_code == 200
    async with asyncio.timeout(20):
        while (await short.client.get("/api/v1/sessions")).status_code != 401:
            pass


async def test_an_account_that_is_switched_off_is_out(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    _, key = await rig.session(tenant)
    await rig.rows("update users set active = false where tenant = $1", tenant.tenant)
    assert (await tenant.client.get("/api/v1/users/me")).status_code == 401
    assert (await api.client(**{"x-api-key": key}).get("/api/v1/sessions")).status_code == 401
    assert (await api.http.post("/api/v1/auth/refresh", json={"refreshToken": tenant.refresh})).status_code == 401
    login = await api.http.post("/api/v1/auth/login", json={"email": tenant.email, "password": PASSWORD})
    assert login.status_code == 401


async def test_an_address_has_one_account_in_any_case_of_letters(api: Instance) -> None:
    tenant = await api.register()
    body = {"name": "Twin", "email": tenant.email.capitalize(), "password": PASSWORD}
    answers = await asyncio.gather(*(api.http.post("/api/v1/auth/register", json=body) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {409}
    assert answers[0].json()["error"]["code"] == "EMAIL_TAKEN"


async def test_registration_gives_basic_whatever_was_asked(api: Instance) -> None:
    body = {"name": "Rich", "email": "rich@tenants.org", "password": PASSWORD, "tier": "MAX"}
    assert (await api.http.post("/api/v1/auth/register", json=body)).json()["data"]["user"]["tier"] == "BASIC"


async def test_registration_can_be_switched_off(rig: Rig) -> None:
    api = await rig.replica(registration_enabled=False)
    body = {"name": "Late", "email": "late@tenants.org", "password": PASSWORD}
    assert (await api.http.post("/api/v1/auth/register", json=body)).status_code == 403


async def test_the_administrator_is_made_once_by_replicas_that_start_together(rig: Rig) -> None:
    wanted = {"admin_email": "admin@tenants.org", "admin_password": PASSWORD}
    replicas = [await rig.replica(**wanted) for _ in range(2)]
    await asyncio.gather(*(one.context.identity.ensure_admin() for one in replicas))
    await replicas[0].context.identity.ensure_admin()
    assert await rig.rows("select role from users where email = 'admin@tenants.org'") == [{"role": "ADMIN"}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "a@tenants.org", "password": PASSWORD}, "name"),
        ({"name": "A", "email": "not an address", "password": PASSWORD}, "email"),
        ({"name": "A", "email": "a@tenants.org", "password": "short"}, "password"),
        ({"name": "A", "email": "a@tenants.org", "password": PASSWORD, "role": "ADMIN"}, "role"),
        ({"name": "A\x00", "email": "a@tenants.org", "password": PASSWORD}, "name"),
    ],
)
async def test_a_wrong_body_is_refused_by_the_field(api: Instance, body: dict[str, str], field: str) -> None:
    answer = await api.http.post("/api/v1/auth/register", json=body)
    assert answer.status_code == 422
    failure = answer.json()
    assert failure["success"] is False
    assert failure["error"]["code"] == "VALIDATION_ERROR"
    assert [problem["field"] for problem in failure["error"]["details"]] == [field]
    assert failure["requestId"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("text", ["{", "[1]", '"\\ud800"', "nothing"])
async def test_a_body_that_is_no_object_is_refused(api: Instance, text: str) -> None:
    answer = await api.http.post("/api/v1/auth/register", content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["success"] is False


async def test_only_tokens_of_this_secret_audience_and_time_are_taken(api: Instance) -> None:
    tenant = await api.register()
    user = (await tenant.client.get("/api/v1/users/me")).json()["data"]["id"]
    soon, secret = datetime.now(UTC) + timedelta(minutes=5), "s" * 40
    good = {"sub": user, "aud": "whatsam-api", "exp": soon}
    bad = [
        jwt.encode(good, "x" * 40, "HS256"),
        jwt.encode({**good, "aud": "another"}, secret, "HS256"),
        jwt.encode({**good, "exp": datetime.now(UTC) - timedelta(minutes=1)}, secret, "HS256"),
        jwt.encode({"sub": user, "aud": "whatsam-api"}, secret, "HS256"),
        jwt.encode({**good, "sub": "nobody"}, secret, "HS256"),
        jwt.encode(good, "", "none"),
        "wsk_unknown",
        "not.a.token",
    ]
    for token in bad:
        assert (await api.client(authorization=f"Bearer {token}").get("/api/v1/users/me")).status_code == 401
    genuine = api.client(authorization=f"Bearer {jwt.encode(good, secret, 'HS256')}")
    assert (await genuine.get("/api/v1/users/me")).status_code == 200


async def test_logins_are_throttled_and_say_when_to_come_again(rig: Rig) -> None:
    api = await rig.replica(login_limit="3/15minutes")
    body = {"email": "guess@tenants.org", "password": "wrong wrong"}
    answers = [await api.http.post("/api/v1/auth/login", json=body) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert int(answers[3].headers["retry-after"]) > 0
    other = await api.http.post("/api/v1/auth/login", json={**body, "email": "other@tenants.org"})
    assert other.status_code == 401


async def test_a_body_beyond_every_call_is_refused_before_it_is_read(api: Instance) -> None:
    async def pieces():
        for _ in range(40):
            yield b"x" * 65536

    for content in (b"x" * 2_000_000, pieces()):
        answer = await api.http.post("/api/v1/auth/login", content=content)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "TOO_LARGE"
