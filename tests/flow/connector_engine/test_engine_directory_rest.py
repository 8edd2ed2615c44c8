"""A tenant's REST call all the way: the API's routes, the connector's port, a real engine, WhatsApp's side, back."""

import asyncio
import csv
import io
import secrets
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from connector_engine_rig import LIMIT_SECONDS, Account, Rig, Running
from engine_differences import PICTURES_GO_AWAY
from PIL import Image

from whatsam_api.app import create_app
from whatsam_api.models.limits import Allowance
from whatsam_api.services.directory import DirectoryService
from whatsam_api.services.groups import GroupService
from whatsam_api.services.profile import ProfileService
from whatsam_api.services.readiness import Readiness
from whatsam_api.services.session_calls import SessionCalls
from whatsam_api.storage.connectors import ConnectorClient
from whatsam_connector.errors import TokenRefused
from whatsam_connector.http.calls import Calls
from whatsam_connector.http.engine_calls import EngineCalls
from whatsam_connector.http.routes import create_app as create_connector
from whatsam_connector.http.server import HttpServer, bind
from whatsam_connector.messages.waiters import Waiters
from whatsam_core.resources import WhatsAppSession

TOKEN = "a-projected-token"


class Tokens:
    async def check(self, authorization: str | None) -> None:
        if authorization != f"Bearer {TOKEN}":
            raise TokenRefused("not that one")


class Holder:
    """What the connector's HTTP API needs of a session's runner, on a real engine."""

    state = SimpleNamespace(stage=SimpleNamespace(final=False), may_send=True)
    epoch = 7

    def __init__(self, account: Account, running: Running) -> None:
        self.uid, self.key = account.uid, f"test/{account.number}"
        self._process = running.process

    @property
    def outbox(self) -> "Holder":
        return self

    @contextmanager
    def beside(self) -> Generator[bool]:
        yield True

    async def call(self, method: str, arguments: dict[str, Any], timeout: float) -> Any:
        return await self._process.call(self.uid, method, arguments, timeout)


@dataclass
class Door:
    """A tenant's client."""

    http: httpx.AsyncClient
    rig: Rig
    number: str

    async def __call__(self, verb: str, path: str, **options: Any) -> Any:
        answer = await self.http.request(verb, f"/api/v1/sessions/phone/{path}", **options)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    async def refused(self, verb: str, path: str, **options: Any) -> tuple[int, str]:
        answer = await self.http.request(verb, f"/api/v1/sessions/phone/{path}", **options)
        return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
async def door(rig: Rig, new_number: Callable[[], str], tmp_path: Path) -> AsyncIterator[Door]:
    account = rig.account(new_number())
    holder = Holder(account, await rig.pair(account))
    calls = Calls(
        boot="boot1",
        find={holder.uid: cast("Any", holder)}.get,
        may_work=lambda: True,
        rows=cast("Any", None),
        waiters=Waiters(),
        monotonic=lambda: 0.0,
    )
    app = create_connector(
        calls, EngineCalls(calls.holder_of, tmp_path / "pictures"), cast("Any", Tokens()), cast("Any", None)
    )
    listening = bind(0)
    server = HttpServer(app, listening)
    serving = asyncio.create_task(server.run_until_stopped())
    session = WhatsAppSession.from_wire(
        {
            "metadata": {"name": "phone", "namespace": "test", "uid": account.uid},
            "spec": {"tenant": "t", "poolRef": {"name": "default"}, "desiredState": "Running"},
            "status": {
                "epoch": 7,
                "jid": account.jid,
                "assignment": {
                    "worker": "w", "podUID": "p", "bootId": "boot1", "since": "2026-01-01T00:00:00Z",
                    "endpoint": f"http://127.0.0.1:{listening.getsockname()[1]}",
                },
            },
        }
    )  # fmt: skip
    token = tmp_path / "token"
    token.write_text(TOKEN)
    connectors = ConnectorClient(token)

    async def known(_name: str) -> WhatsAppSession:
        return session

    session_calls = SessionCalls(connectors, Readiness(known), LIMIT_SECONDS / 3)
    api = create_app(lambda _: nullcontext())
    api.state.context = _context(session, session_calls)
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {secrets.token_hex(4)}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers, timeout=60) as client:
        yield Door(client, rig, account.number)
    await connectors.close()
    server.stop()
    await serving


def _context(session: WhatsAppSession, calls: SessionCalls) -> Any:
    caller = SimpleNamespace(tenant="t", scopes={"read", "send", "manage"}, person=True, session=None)

    async def authenticate(_credential: str) -> Any:
        return caller

    async def allowed(*_: object) -> Allowance:
        return Allowance(allowed=True, limit=9, remaining=9, reset=0)

    async def find(_caller: object, _name: str) -> WhatsAppSession:
        return session

    return SimpleNamespace(
        identity=SimpleNamespace(authenticate=authenticate),
        sessions=SimpleNamespace(find=find),
        limits=SimpleNamespace(call=allowed, number_checks=allowed),
        groups=GroupService(calls),
        directory=DirectoryService(calls),
        profile=ProfileService(calls),
    )


def portrait() -> bytes:
    target = BytesIO()
    Image.new("RGB", (900, 700), "red").save(target, "PNG")
    return target.getvalue()


async def test_contacts_over_rest(door: Door, new_number: Callable[[], str]) -> None:
    ada, nobody = door.rig.contact(new_number()), new_number()
    checked = await door("GET", "contacts/check", params={"phones": f"+{ada},{nobody}"})
    assert [(one["phone"], one["registered"]) for one in checked] == [(ada, True), (nobody, False)]
    door.rig.simulator.set_profile(ada, about="busy")
    assert (await door("GET", f"users/{ada}"))["about"] == "busy"
    assert await door.refused("GET", f"users/{ada}/avatar") == (404, "WHATSAPP_NOT_FOUND")
    blocked = await door("PUT", "blocklist", json={"block": [ada]})
    assert [one["phone"] for one in blocked["blocked"]] == [ada]
    assert door.rig.simulator.profile(door.number).blocked == [ada]
    assert await door("PUT", "privacy", json={"lastSeen": "none"}) | {"lastSeen": "none"} == await door(
        "GET", "privacy"
    )
    picture = portrait()
    await door("PUT", "profile/picture", content=picture, headers={"content-type": "image/png"})
    assert (await door("GET", "profile"))["pictureUrl"]
    if PICTURES_GO_AWAY.of(door.rig.engine.kind):
        await door("DELETE", "profile/picture")
        assert (await door("GET", "profile"))["pictureUrl"] is None
    else:
        assert await door.refused("DELETE", "profile/picture") == (501, "NOT_SUPPORTED")


async def test_a_group_over_rest(door: Door, new_number: Callable[[], str]) -> None:
    ada, bob, shy = (door.rig.contact(new_number()) for _ in range(3))
    door.rig.simulator.set_profile(shy, privacy={"groupadd": "none"})
    wish = {"subject": "Team ä", "participants": [ada], "description": "what we do", "announce": True}
    made = await door("POST", "groups", json=wish)
    group = made["jid"]
    assert made["problem"] is None
    added = await door("POST", f"groups/{group}/members", json={"participants": [bob, shy]})
    assert {(one["phone"], one["done"], one["error"]) for one in added} == {
        (bob, True, None),
        (shy, False, "invite_needed"),
    }
    await door("PATCH", f"groups/{group}/members", json={"participants": [bob], "role": "admin"})
    await door("PATCH", f"groups/{group}", json={"subject": "Crew", "locked": True, "disappearingTimer": 604800})
    picture = portrait()
    await door("PUT", f"groups/{group}/picture", files={"picture": ("x.png", picture, "image/png")})
    seen = door.rig.simulator.group(group)
    assert (seen.subject, seen.description, seen.announce, seen.locked, seen.ephemeral) == (
        "Crew", "what we do", True, True, 604800,
    )  # fmt: skip
    assert (seen.members[bob], bool(seen.picture_id)) == ("admin", True)
    answer = await door.http.get(f"/api/v1/sessions/phone/groups/{group}/members", params={"format": "csv"})
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert {(row["phone"], row["role"]) for row in table} == {
        (door.number, "superadmin"),
        (ada, "member"),
        (bob, "admin"),
    }
    link = (await door("GET", f"groups/{group}/invite"))["link"]
    assert (await door("GET", "groups/preview", params={"link": link}))["jid"] == group
    removed = await door("DELETE", f"groups/{group}/members", params={"participants": ada})
    assert [(one["phone"], one["done"]) for one in removed] == [(ada, True)]
    assert [one["jid"] for one in await door("GET", "groups")] == [group]
    await door("POST", f"groups/{group}/leave")
    assert await door("GET", "groups") == []
    assert await door.refused("GET", f"groups/{group}") == (403, "WHATSAPP_FORBIDDEN")
    assert await door.refused("GET", "groups/120363000000000000@g.us") == (404, "WHATSAPP_NOT_FOUND")
