"""Look-ups and changes at WhatsApp over REST, with a connector played by hand: what is asked, what tenants are told."""

import asyncio
import base64
from io import BytesIO
from typing import Any

import httpx
import pytest
from api_connector import Seen
from api_rig import LIMIT, Instance, Rig, Tenant
from PIL import Image

ADA = "491511000002@s.whatsapp.net"
GROUP = "120363012345678901@g.us"
MEMBERS: list[dict[str, Any]] = [
    {
        "jid": "70000@lid",
        "phone": "491511000002",
        "lid": "70000@lid",
        "role": "superadmin",
        "name": '=cmd|"x"',
        "error": None,
    },
    {
        "jid": "80000@lid",
        "phone": None,
        "lid": "80000@lid",
        "role": "member",
        "name": None,
        "error": None,
        "newer": "field",
    },
]
TEAM: dict[str, Any] = {"jid": GROUP, "subject": "Team", "created_at": 1795342221, "size": 2, "participants": MEMBERS}


class World:
    """A connected session, and what its engine answers."""

    def __init__(self, rig: Rig, tenant: Tenant, name: str, key: str) -> None:
        self.rig, self.tenant, self.name, self.key = rig, tenant, name, key
        self.client = tenant.client
        self.answers: dict[str, Any] = {}

    async def __call__(self, verb: str, path: str, **options: Any) -> httpx.Response:
        return await self.client.request(verb, f"/api/v1/sessions/{self.name}/{path}", **options)

    async def data(self, verb: str, path: str, **options: Any) -> Any:
        answer = await self(verb, path, **options)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    async def error(self, verb: str, path: str, **options: Any) -> tuple[int, str]:
        answer = await self(verb, path, **options)
        assert not answer.is_success
        return answer.status_code, answer.json()["error"]["code"]

    @property
    def asked(self) -> list[tuple[str, dict[str, Any]]]:
        return [(call.method, call.arguments) for call in self.rig.connector.calls if "/calls/" in call.path]

    async def answer(self, call: Seen) -> tuple[int, dict[str, Any]]:
        found = self.answers.get(call.method)
        return found if isinstance(found, tuple) else (200, {"value": found})


@pytest.fixture
async def world(api: Instance, rig: Rig) -> World:
    tenant = await api.register()
    world = World(rig, tenant, *await rig.paired(tenant, api))
    rig.connector.answer = world.answer
    return world


async def test_contacts_are_sorted_searched_and_paged(world: World) -> None:
    world.answers["contacts"] = [
        {"jid": ADA, "phone": "491511000002", "push_name": "ada"},
        {"jid": "9@lid", "full_name": "Bob", "business_name": "Bob & Co"},
        {"jid": "10@lid", "lid": "10@lid"},
    ]
    page = await world.data("GET", "contacts", params={"limit": 2})
    assert ([one["jid"] for one in page["items"]], page["total"]) == (["10@lid", ADA], 3)
    assert page["items"][1]["pushName"] == "ada"
    found = await world.data("GET", "contacts", params={"q": "BOB"})
    assert [one["businessName"] for one in found["items"]] == ["Bob & Co"]


async def test_numbers_are_checked_a_few_an_hour(api: Instance, rig: Rig, world: World) -> None:
    world.answers["is_on_whatsapp"] = [{"phone": "491511000002", "registered": True, "jid": ADA}]
    found = await world.data("GET", "contacts/check", params={"phones": "+49 151 1000002,491511000002"})
    assert found[0]["registered"] is True
    assert world.asked == [("is_on_whatsapp", {"phones": ["491511000002"]})]
    many = ",".join(f"4915110000{number:02d}" for number in range(10, 60))
    assert (await world("GET", "contacts/check", params={"phones": many})).status_code == 200
    refused = await world("GET", "contacts/check", params={"phones": many})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert int(refused.headers["retry-after"]) > 0
    answer = await world("GET", "contacts/check", params={"phones": "491511000077"})
    assert (answer.status_code, answer.headers["ratelimit-remaining"]) == (200, "8")
    for wrong in ("", "70000@lid", GROUP, ",".join(["491511000002"] * 51)):
        refused = await world("GET", "contacts/check", params={"phones": wrong})
        assert (refused.status_code, refused.json()["error"]["details"][0]["field"]) == (422, "phones")


async def test_what_somebody_shows(world: World) -> None:
    world.answers["user_info"] = [{"jid": ADA, "phone": "491511000002", "about": "busy", "devices": 2}]
    assert (await world.data("GET", "users/491511000002"))["about"] == "busy"
    world.answers["user_info"] = []
    assert await world.error("GET", f"users/{ADA}") == (404, "WHATSAPP_NOT_FOUND")
    world.answers["avatar"] = {"url": "https://pps.whatsapp.net/x", "id": "1", "type": "image"}
    assert (await world.data("GET", f"users/{GROUP}/avatar"))["url"] == "https://pps.whatsapp.net/x"
    world.answers["avatar"] = (422, {"code": "NotAuthorized", "message": "the picture is hidden from this account"})
    assert await world.error("GET", f"users/{ADA}/avatar") == (403, "WHATSAPP_FORBIDDEN")


async def test_the_block_list_tells_whose_entry_failed(world: World) -> None:
    world.answers["blocklist"] = [{"jid": "70000@lid", "phone": "491511000002"}]
    world.answers["block"] = (422, {"code": "NotFound", "message": "the number is not on WhatsApp"})
    assert await world.error("PUT", "blocklist", json={"block": ["491511000003"]}) == (404, "WHATSAPP_NOT_FOUND")
    changed = await world.data("PUT", "blocklist", json={"block": ["491511000003"], "unblock": [ADA]})
    assert changed["blocked"][0]["phone"] == "491511000002"
    assert changed["failed"] == [
        {
            "jid": "491511000003@s.whatsapp.net",
            "code": "WHATSAPP_NOT_FOUND",
            "message": "the number is not on WhatsApp",
        }
    ]
    assert await world.error("PUT", "blocklist", json={}) == (422, "VALIDATION_ERROR")


async def test_groups_and_their_members_also_as_csv(world: World) -> None:
    world.answers |= {"groups": [{**TEAM, "subject": "b"}, {**TEAM, "subject": "A"}], "group": TEAM}
    listed = await world.data("GET", "groups")
    assert [one["subject"] for one in listed] == ["A", "b"]
    assert "participants" not in listed[0]
    shown = await world.data("GET", f"groups/{GROUP}")
    assert (shown["createdAt"], len(shown["participants"])) == ("2026-11-22T10:10:21Z", 2)
    assert [one["phone"] for one in await world.data("GET", f"groups/{GROUP}/members")] == ["491511000002", None]
    for options in ({"params": {"format": "csv"}}, {"headers": {"accept": "text/csv"}}):
        table = await world("GET", f"groups/{GROUP}/members", **options)
        assert table.headers["content-type"].startswith("text/csv")
        assert table.text.splitlines() == [
            "jid,phone,lid,role,name",
            '70000@lid,491511000002,70000@lid,superadmin,"\'=cmd|""x"""',
            "80000@lid,,80000@lid,member,",
        ]


async def test_a_new_group_is_shown_even_when_a_setting_fails(world: World) -> None:
    world.answers |= {"create_group": TEAM, "set_group_locked": (422, {"code": "Forbidden", "message": "no"})}
    wish = {
        "subject": " Team ",
        "participants": ["+49 1511 000002", ADA, "70000@lid"],
        "announce": True,
        "locked": True,
    }
    made = await world.data("POST", "groups", json=wish)
    assert (made["jid"], made["problem"]["code"]) == (GROUP, "WHATSAPP_FORBIDDEN")
    assert made["problem"]["details"] == {"changed": ["announce"], "field": "locked"}
    assert world.asked[0] == ("create_group", {"subject": "Team", "participants": [ADA, "70000@lid"]})


async def test_changes_of_a_group(world: World) -> None:
    path = f"groups/{GROUP}"
    body = {"subject": "New", "description": "", "locked": False, "disappearingTimer": 86400}
    assert (await world.data("PATCH", path, json=body))["changed"] == [
        "subject",
        "description",
        "locked",
        "disappearing_seconds",
    ]
    assert world.asked == [
        ("set_group_subject", {"jid": GROUP, "subject": "New"}),
        ("set_group_description", {"jid": GROUP, "description": ""}),
        ("set_group_locked", {"jid": GROUP, "locked": False}),
        ("set_disappearing", {"chat": GROUP, "seconds": 86400}),
    ]
    world.answers["set_group_description"] = (504, {"code": "UNCERTAIN", "message": ""})
    answer = await world("PATCH", path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "NO_ANSWER")
    assert answer.json()["error"]["details"] == {"changed": ["subject"], "field": "description"}
    for wrong in ({}, {"disappearingTimer": 5}, {"subject": ""}, {"subject": "x" * 101}, {"subjet": "x"}):
        assert await world.error("PATCH", path, json=wrong) == (422, "VALIDATION_ERROR")


async def test_members_come_go_and_rise(world: World) -> None:
    outcome = {"jid": "70000@lid", "phone": "491511000002", "done": False, "error": "invite_needed"}
    world.answers["change_participants"] = [outcome]
    path, body = f"groups/{GROUP}/members", {"participants": ["491511000002"]}
    added = await world.data("POST", path, json=body)
    assert (added[0]["done"], added[0]["error"]) == (False, "invite_needed")
    await world.data("PATCH", path, json={**body, "role": "admin"})
    await world.data("PATCH", path, json={**body, "role": "member"})
    await world.data("DELETE", path, params={"participants": "491511000002,70000@lid"})
    assert [(arguments["action"], arguments["participants"]) for _, arguments in world.asked] == [
        ("add", [ADA]),
        ("promote", [ADA]),
        ("demote", [ADA]),
        ("remove", [ADA, "70000@lid"]),
    ]


async def test_invite_links_joining_and_leaving(world: World) -> None:
    link = "https://chat.whatsapp.com/AbCdEfGhIjKl"
    world.answers |= {
        "group_invite_link": {"link": link},
        "group_by_link": TEAM,
        "join_group": {"jid": GROUP, "joined": False},
        "join_requests": [{"jid": "70000@lid", "phone": None, "lid": "70000@lid", "requested_at": 1795342221}],
        "change_join_requests": (422, {"code": "Unsupported", "message": "this engine cannot do it"}),
    }
    assert await world.data("GET", f"groups/{GROUP}/invite") == {"link": link}
    assert await world.data("POST", f"groups/{GROUP}/invite") == {"link": link}
    assert (await world.data("GET", "groups/preview", params={"link": link + "?mode=x"}))["subject"] == "Team"
    assert await world.data("POST", "groups/join", json={"link": link}) == {"jid": GROUP, "joined": False}
    await world.data("POST", f"groups/{GROUP}/leave")
    assert (await world.data("GET", f"groups/{GROUP}/requests"))[0]["requestedAt"] == "2026-11-22T10:10:21Z"
    body = {"participants": ["70000@lid"], "action": "approve"}
    assert await world.error("POST", f"groups/{GROUP}/requests", json=body) == (501, "NOT_SUPPORTED")
    assert [arguments.get("reset") for method, arguments in world.asked if method == "group_invite_link"] == [
        False,
        True,
    ]
    assert ("join_group", {"link": "AbCdEfGhIjKl"}) in world.asked


def picture(form: str, size: tuple[int, int] = (900, 700)) -> bytes:
    target = BytesIO()
    Image.new("RGBA" if form == "PNG" else "RGB", size, "red").save(target, form)
    return target.getvalue()


@pytest.mark.parametrize("way", ["body", "form", "json"])
async def test_a_picture_becomes_a_square_jpeg(world: World, way: str) -> None:
    content = picture("PNG")
    options: dict[str, dict[str, Any]] = {
        "body": {"content": content, "headers": {"content-type": "image/png"}},
        "form": {"files": {"picture": ("x.png", content, "application/octet-stream")}},
        "json": {"json": {"picture": base64.b64encode(content).decode()}},
    }
    for path, method in ((f"groups/{GROUP}/picture", "set_group_picture"), ("profile/picture", "set_profile_picture")):
        await world.data("PUT", path, **options[way])
        asked, arguments = world.asked[-1]
        assert asked == method
        with Image.open(BytesIO(base64.b64decode(arguments["picture"]))) as sent:
            assert (sent.format, sent.size) == ("JPEG", (640, 640))
        refused = await world("PUT", path, content=b"<svg/>", headers={"content-type": "image/png"})
        assert refused.json()["error"]["details"][0]["field"] == "picture"


async def test_a_picture_that_would_fill_the_memory_is_refused(world: World) -> None:
    bomb = picture("PNG", (7000, 7000))
    answer = await world("PUT", "profile/picture", content=bomb, headers={"content-type": "image/png"})
    assert (answer.status_code, world.asked) == (422, [])
    large = picture("JPEG", (640, 640)) + bytes(3 * 1024 * 1024)
    answer = await world("PUT", "profile/picture", content=large, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 200, "as large as a camera's"
    answer = await world("PUT", "profile/picture", content=large * 3, headers={"content-type": "image/jpeg"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "TOO_LARGE")


async def test_what_an_engine_cannot_do_is_told(world: World) -> None:
    refusal = {"code": "Unsupported", "message": "this engine cannot remove a picture; set another one"}
    world.answers |= {"set_group_picture": (422, refusal), "set_profile_picture": (422, refusal)}
    for path in (f"groups/{GROUP}/picture", "profile/picture"):
        assert await world.error("DELETE", path) == (501, "NOT_SUPPORTED")
        assert world.asked[-1][1]["picture"] is None


async def test_profile_and_privacy(world: World) -> None:
    world.answers |= {
        "profile": {"jid": ADA, "phone": "491511000002", "name": "Ada", "picture_url": None},
        "privacy": {"last_seen": "all", "online": None},
        "set_privacy": {"last_seen": "contacts", "online": "all"},
    }
    assert (await world.data("GET", "profile"))["name"] == "Ada"
    assert (await world.data("PUT", "profile", json={"name": "A", "about": ""}))["changed"] == ["name", "about"]
    assert (await world.data("GET", "privacy"))["lastSeen"] == "all"
    assert (await world.data("PUT", "privacy", json={"lastSeen": "contacts"}))["lastSeen"] == "contacts"
    assert world.asked[-1] == ("set_privacy", {"name": "last_seen", "value": "contacts"})
    for path, wrong in (
        ("profile", {}),
        ("profile", {"name": " "}),
        ("profile", {"about": "a\x00"}),
        ("privacy", {"online": "none"}),
        ("privacy", {}),
    ):
        assert await world.error("PUT", path, json=wrong) == (422, "VALIDATION_ERROR")


async def test_newsletters(world: World) -> None:
    news = {"jid": "120363@newsletter", "name": "News", "muted": None, "subscribers": 3, "verified": False}
    world.answers |= {"newsletters": [news], "newsletter": news, "create_newsletter": news}
    assert (await world.data("GET", "newsletters"))[0]["subscribers"] == 3
    assert (await world.data("GET", "newsletters/120363@newsletter"))["name"] == "News"
    link = "https://whatsapp.com/channel/0029VaAbCdEf"
    await world.data("GET", "newsletters/preview", params={"link": link})
    assert world.asked[-1] == ("newsletter", {"jid": None, "link": "0029VaAbCdEf"})
    await world.data("POST", "newsletters", json={"name": "News"})
    for path in ("follow", "unfollow"):
        await world.data("POST", f"newsletters/120363@newsletter/{path}")
    await world.data("PATCH", "newsletters/120363@newsletter", json={"muted": True})
    assert world.asked[-1] == ("mute_newsletter", {"jid": "120363@newsletter", "muted": True})


@pytest.mark.parametrize(
    ("verb", "path", "body", "field"),
    [
        ("GET", "users/nobody", None, "jid"),
        ("GET", f"users/{GROUP}", None, "jid"),
        ("GET", f"groups/{ADA}", None, "jid"),
        ("GET", "newsletters/70000@lid", None, "jid"),
        ("POST", f"groups/{GROUP}/members", {"participants": [ADA, GROUP]}, "participants.1"),
        ("POST", "groups", {"subject": "x", "participants": ["12345678901234567890123"]}, "participants.0"),
        ("POST", "groups/join", {"link": "https://evil.example/AbCdEf"}, "link"),
        ("PUT", "blocklist", {"unblock": ["nobody"]}, "unblock.0"),
    ],
)
async def test_a_wrong_address_is_refused_with_its_field(
    world: World, verb: str, path: str, body: dict[str, Any] | None, field: str
) -> None:
    answer = await world(verb, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"][0]["field"] == field
    assert world.asked == []


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ((409, {"code": "NOT_HOLDER"}), 503, "UNAVAILABLE"),
        ((409, {"code": "STALE_EPOCH"}), 503, "UNAVAILABLE"),
        ((503, {"code": "NOT_CONNECTED"}), 503, "UNAVAILABLE"),
        ((401, {"code": "UNAUTHORIZED"}), 503, "UNAVAILABLE"),
        ((404, {"detail": "Not Found"}), 503, "UNAVAILABLE"),
        ((429, {"code": "BUSY"}), 429, "RATE_LIMITED"),
        ((504, {"code": "UNCERTAIN"}), 504, "NO_ANSWER"),
        ((500, {}), 504, "NO_ANSWER"),
        ((422, {"code": "TimedOut", "message": "x"}), 504, "NO_ANSWER"),
        ((422, {"code": "RateLimited", "message": "fewer"}), 429, "WHATSAPP_RATE_LIMITED"),
        ((422, {"code": "NotFound", "message": "x"}), 404, "WHATSAPP_NOT_FOUND"),
        ((422, {"code": "Conflict", "message": "x"}), 409, "WHATSAPP_CONFLICT"),
        ((422, {"code": "Rejected", "message": "x"}), 422, "WHATSAPP_NOT_ACCEPTED"),
        ((422, {"code": "NotReady", "message": "x"}), 409, "SESSION_NOT_READY"),
        ((422, {"code": "Failed", "message": "x"}), 502, "WHATSAPP_REFUSED"),
        ((422, {"detail": []}), 503, "UNAVAILABLE"),
        ((200, {"value": [{"no": "group"}]}), 502, "WHATSAPP_REFUSED"),
        ((200, {"no": "value"}), 504, "NO_ANSWER"),
    ],
)
async def test_whatever_the_connector_says_the_tenant_gets_a_clear_answer(
    world: World, answer: Any, status: int, code: str
) -> None:
    world.answers["groups"] = answer
    told = await world("GET", "groups")
    assert (told.status_code, told.json()["error"]["code"]) == (status, code)
    if status in {429, 503}:
        assert int(told.headers["retry-after"]) > 0


async def test_a_holder_that_is_silent_or_gone_hangs_nobody(api: Instance, rig: Rig) -> None:
    impatient = await rig.replica(call_wait_seconds=0.2)
    tenant = await impatient.register()
    name, _ = await rig.paired(tenant, impatient)
    over = asyncio.Event()

    async def silent(_: Seen) -> int:
        await asyncio.wait_for(over.wait(), LIMIT)
        return 200

    rig.connector.answer = silent
    path = f"/api/v1/sessions/{name}/groups"
    answer = await tenant.client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "NO_ANSWER")
    changes = {"subject": "x", "locked": True}
    answer = await tenant.client.patch(f"{path}/{GROUP}", json=changes)
    assert (answer.status_code, answer.json()["error"]["details"]["changed"]) == (504, [])
    over.set()
    await rig.connector.stop()
    answer = await tenant.client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    rig.cluster.set_status(name, assignment=None, phase="Reconnecting")
    answer = await tenant.client.get(path)
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)


async def test_a_session_that_cannot_is_told_what_to_do(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    for advice, then in (("connect it", "connect"), ("scan the QR code", None)):
        answer = await tenant.client.get(f"/api/v1/sessions/{name}/groups")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "SESSION_NOT_READY")
        assert advice in answer.json()["error"]["message"]
        if then:
            await tenant.client.post(f"/api/v1/sessions/{name}/{then}")
