"""Who may do what, over every route that the application has: a new route is in here by itself."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_rig import Instance, Rig

from whatsam_api.app import create_app

OPEN_ROUTES = {
    ("post", "/api/v1/auth/register"),
    ("post", "/api/v1/auth/login"),
    ("post", "/api/v1/auth/refresh"),
    ("post", "/api/v1/auth/logout"),
    ("get", "/live"),
    ("get", "/ready"),
    ("get", "/health"),
}
"""Routes that need no credentials. Everything else must refuse who has none."""
SCOPES = {
    ("get", "/api/v1/sessions"): "read",
    ("get", "/api/v1/sessions/{session_id}"): "read",
    ("get", "/api/v1/sessions/{session_id}/status"): "read",
    ("get", "/api/v1/sessions/{session_id}/qr"): "read",
    ("get", "/api/v1/sessions/{session_id}/messages"): "read",
    ("get", "/api/v1/sessions/{session_id}/messages/{message_id}"): "read",
    ("post", "/api/v1/sessions/{session_id}/send"): "send",
    ("post", "/api/v1/send"): "send",
    ("post", "/api/v1/sessions/{session_id}/connect"): "manage",
    ("post", "/api/v1/sessions/{session_id}/disconnect"): "manage",
    ("post", "/api/v1/sessions/{session_id}/pairing-code"): "manage",
    ("get", "/api/v1/sessions/{session_id}/passkey"): "read",
    ("post", "/api/v1/sessions/{session_id}/passkey"): "manage",
    ("post", "/api/v1/sessions/{session_id}/passkey/confirm"): "manage",
    **{
        (method, f"/api/v1/sessions/{{session_id}}/{path}"): scope
        for scope, routes in {
            "read": (
                "get chats", "get messages/{message_id}/media", "get messages/{message_id}/votes",
                "get contacts", "get contacts/check", "get users/{jid}", "get users/{jid}/avatar", "get blocklist",
                "get groups", "get groups/preview", "get groups/{jid}", "get groups/{jid}/members",
                "get groups/{jid}/requests", "get profile", "get privacy", "get newsletters",
                "get newsletters/preview", "get newsletters/{jid}",
            ),
            "send": (
                "patch messages/{message_id}", "delete messages/{message_id}", "post messages/{message_id}/forward",
                "post messages/{message_id}/read", "post typing", "put presence",
                "put blocklist", "post groups", "post groups/join", "patch groups/{jid}", "put groups/{jid}/picture",
                "delete groups/{jid}/picture", "get groups/{jid}/invite", "post groups/{jid}/invite",
                "post groups/{jid}/leave", "post groups/{jid}/members", "patch groups/{jid}/members",
                "post chats/sync", "post chats/{jid}/history", "patch chats/{jid}", "delete chats/{jid}",
                "delete groups/{jid}/members", "post groups/{jid}/requests", "post newsletters",
                "patch newsletters/{jid}", "post newsletters/{jid}/follow", "post newsletters/{jid}/unfollow",
            ),
            "manage": (
                "post exports", "get exports", "get exports/{job_id}", "get exports/{job_id}/file", "post erasure",
                "get erasure/{job_id}", "put profile", "put profile/picture", "delete profile/picture", "put privacy",
            ),
        }.items()
        for method, path in (route.split(" ") for route in routes)
    },
}  # fmt: skip
"""What a key must have. For every other route a key is never enough: 403."""
CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    ("put", "/blocklist"): {"block": ["491511000002"]},
    ("patch", "/groups/{jid}"): {"subject": "Team"},
    ("patch", "/chats/{jid}"): {"archived": True},
    ("patch", "/members"): {"participants": ["491511000002"], "role": "admin"},
    ("put", "/picture"): {"picture": "aGVsbG8="},
    ("put", "/profile"): {"name": "Ada"},
    ("put", "/privacy"): {"online": "all"},
    ("put", "/presence"): {"available": True},
    ("patch", "/messages/{message_id}"): {"text": "better"},
    ("patch", "/newsletters/{jid}"): {"muted": True},
}
"""Bodies of what is not POST."""
BODIES: dict[str, dict[str, Any]] = {
    "/groups": {"subject": "Team", "participants": []},
    "/join": {"link": "https://chat.whatsapp.com/AbCdEfGhIjKl"},
    "/members": {"participants": ["491511000002"]},
    "/requests": {"participants": ["491511000002"], "action": "approve"},
    "/newsletters": {"name": "News"},
    "/forward": {"to": "491511000002"},
    "/typing": {"to": "491511000002"},
    "/erasure": {},
    "/history": {},
    "/send": {"to": "491511000002", "text": "hello"},
    "/pairing-code": {"phoneNumber": "491511000001"},
    "/passkey": {
        "id": "aGVsbG8",
        "rawId": "aGVsbG8",
        "type": "public-key",
        "response": {"clientDataJSON": "aGVsbG8", "authenticatorData": "aGVsbG8", "signature": "aGVsbG8"},
    },
    "/api-keys": {"name": "k", "scopes": ["read"]},
    "/sessions": {"name": "x", "connect": False},
}


QUERY = {"phones": "491511000002", "participants": "491511000002", "link": "https://chat.whatsapp.com/AbCdEfGhIjKl"}
"""What look-ups need; others ignore it."""


def _all_routes() -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = create_app(lambda _: None).openapi()["paths"]  # pyright: ignore[reportArgumentType] - never entered: only the description is read
    return sorted((method, path) for path, methods in paths.items() for method in methods)


ROUTES = _all_routes()
CLOSED = [route for route in ROUTES if route not in OPEN_ROUTES]
OF_A_SESSION = [route for route in ROUTES if "{session_id}" in route[1]]


async def call(client: httpx.AsyncClient, route: tuple[str, str], session: str) -> httpx.Response:
    method, path = route
    bodies = BODIES if method == "post" else {end: body for (of, end), body in CHANGES.items() if of == method}
    body = next((body for end, body in bodies.items() if path.endswith(end)), None)
    url = path.format(session_id=session, message_id=uuid4(), key_id=uuid4(), job_id=uuid4(), jid="120363012345678901")
    return await client.request(method, url, json=body, params=QUERY if method in {"get", "delete"} else None)


def test_the_table_of_scopes_names_only_routes_that_exist() -> None:
    assert set(SCOPES) | OPEN_ROUTES <= set(ROUTES)


async def test_no_credentials_or_foreign_ones_open_nothing(api: Instance, rig: Rig) -> None:
    owner, stranger = await api.register(), await api.register()
    name, _ = await rig.session(owner)
    _, foreign_key = await rig.session(stranger)
    before = dict(rig.cluster.objects[name])
    with_key = api.client(**{"x-api-key": foreign_key})
    for route in CLOSED:
        answer = await call(api.http, route, name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "NOT_AUTHENTICATED"), route
        assert answer.headers["www-authenticate"] == "Bearer"
    for route in OF_A_SESSION:
        answer = await call(stranger.client, route, name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "SESSION_NOT_FOUND"), route
        missing = await call(stranger.client, route, "no-such-session")
        assert missing.json()["error"]["message"].replace("no-such-session", name) == answer.json()["error"]["message"]
        by_key = await call(with_key, route, name)
        assert by_key.status_code == (404 if route in SCOPES else 403), route
    assert rig.cluster.objects[name] == before
    listed = (await stranger.client.get("/api/v1/sessions")).json()["data"]["items"]
    assert name not in {one["sessionId"] for one in listed}


async def test_a_key_opens_its_session_and_its_scopes_only(api: Instance, rig: Rig) -> None:
    owner = await api.register()
    await rig.raise_tier(owner, "PRO")
    name, _ = await rig.session(owner)
    sibling, _ = await rig.session(owner)
    keys = {}
    for scope in ("send", "read", "manage"):
        wish = {"name": scope, "scopes": [scope]}
        answer = await owner.client.post(f"/api/v1/sessions/{name}/api-keys", json=wish)
        keys[scope] = api.client(authorization=f"Bearer {answer.json()['data']['apiKey']}")
    for route in CLOSED:
        for scope, client in keys.items():
            answer = await call(client, route, name)
            if SCOPES.get(route) == scope:
                assert answer.status_code not in {401, 403}, (route, scope)
            else:
                assert answer.status_code == 403, (route, scope, answer.text)
            if "{session_id}" in route[1] and route in SCOPES:
                assert (await call(client, route, sibling)).status_code == 404, (route, scope)
    listed = (await keys["read"].get("/api/v1/sessions")).json()["data"]
    assert [one["sessionId"] for one in listed["items"]] == [name]
    assert listed["total"] == 1


async def test_a_session_of_the_same_name_of_another_tenant_is_not_opened_by_an_old_key(
    api: Instance, rig: Rig
) -> None:
    first, second = await api.register(), await api.register()
    name, key = await rig.session(first)
    rig.cluster.vanish(name)
    await rig.session(second, name)
    answer = await api.client(**{"x-api-key": key}).get(f"/api/v1/sessions/{name}")
    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/nothing"])
async def test_a_path_that_does_not_exist_answers_in_the_envelope(api: Instance, path: str) -> None:
    answer = await api.http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"
    assert (await api.http.put("/api/v1/sessions")).json()["error"]["code"] == "METHOD_NOT_ALLOWED"


async def test_query_parameters_out_of_bounds_are_refused_by_name(api: Instance, rig: Rig) -> None:
    owner = await api.register()
    name, _ = await rig.session(owner)
    for field, value in (
        ("limit", "0"), ("limit", "1000"), ("offset", "-1"), ("offset", "9" * 30), ("cursor", "²"),
        ("cursor", "9" * 20), ("status", "\x00"), ("direction", "up"), ("since", "2026-01-01T00:00:00"),
        ("until", "9999-12-31T23:59:59-23:00"), ("contact", "nobody"),
    ):  # fmt: skip
        answer = await owner.client.get(f"/api/v1/sessions/{name}/messages", params={field: value})
        assert answer.status_code == 422, (field, value, answer.text)
        assert field in answer.json()["error"]["details"][0]["field"] or field == "contact"
