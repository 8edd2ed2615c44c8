"""Contacts, groups, profile and chats through a real engine, seen at the other end by the simulator."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from connector_engine_rig import LIMIT_SECONDS, Account, Rig, Running, text
from engine_differences import PHONE_IS_HEARD
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message, ProtocolMessage

from whatsam_connector.journal import InboundAppState, Reader
from whatsam_connector.supervision import (
    EngineRefused,
    EngineUncertain,
    EngineUnresponsive,
    PairingRequest,
    QrShown,
)

JPEG = b"\xff\xd8\xff\xe0" + bytes(200)


class Caller:
    """Calls of one session."""

    def __init__(self, running: Running, account: Account) -> None:
        self.process = running.process
        self.account = account

    async def __call__(self, method: str, **arguments: Any) -> Any:
        return await self.process.call(self.account.uid, method, arguments)

    async def when_ready(self, method: str, **arguments: Any) -> Any:
        """The phone shares its keys for settings a moment after the pairing."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                try:
                    return await self(method, **arguments)
                except EngineRefused as refused:
                    if refused.code != "NotReady":
                        raise
                await asyncio.sleep(0.02)

    async def refused(self, method: str, **arguments: Any) -> str:
        """The code with which a call is refused."""
        with pytest.raises(EngineRefused) as refused:
            await self(method, **arguments)
        return refused.value.code


async def paired(rig: Rig, number: str) -> Caller:
    account = rig.account(number)
    return Caller(await rig.pair(account), account)


Seen = TypeVar("Seen")
Found = TypeVar("Found")


async def until(look: Callable[[], Awaitable[Seen]], find: Callable[[Seen], Found | None]) -> Found:
    """Look again until something is found."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (found := find(await look())):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    return found


def jid(number: str) -> str:
    return f"{number}@s.whatsapp.net"


async def test_who_is_on_whatsapp_and_what_they_show(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    lid = rig.simulator.contact(ada).lid
    nobody = new_number()
    rig.simulator.set_profile(ada, about="busy", picture=JPEG, business_name="Ada & Co")
    found = await call("is_on_whatsapp", phones=[nobody, ada])
    assert [(one["phone"], one["registered"], one["jid"]) for one in found] == [
        (nobody, False, None),
        (ada, True, jid(ada)),
    ]
    assert found[1]["lid"].partition("@")[0] == lid.partition("@")[0]
    assert await call("lid", phone=ada) == {"lid": found[1]["lid"]}
    assert await call("phone", lid=found[1]["lid"]) == {"phone": ada}
    assert await call("lid", phone=nobody) == {"lid": None}
    for whom in (jid(ada), found[1]["lid"]):
        (info,) = await call("user_info", jids=[whom])
        assert (info["phone"], info["devices"], info["about"]) == (ada, 1, "busy")
        assert info["business_name"] == "Ada & Co"
        assert info["picture_id"]
    (again,) = await call("is_on_whatsapp", phones=[ada])
    assert again["business_name"] == "Ada & Co"
    assert await call("is_on_whatsapp", phones=[nobody]) == [
        {"phone": nobody, "registered": False, "jid": None, "lid": None, "business_name": None}
    ]


async def test_pictures_of_others(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    assert await call.refused("avatar", jid=jid(ada)) == "NotFound"
    shown = rig.simulator.set_profile(ada, picture=JPEG)
    picture = await call("avatar", jid=jid(ada), preview=False)
    assert (picture["id"], picture["url"].startswith("https://")) == (shown.picture_id, True)
    rig.simulator.set_profile(ada, picture_hidden=True)
    assert await call.refused("avatar", jid=jid(ada)) == "NotAuthorized"


async def test_who_wrote_is_a_contact_under_number_and_lid(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), new_number()
    rig.simulator.contact(ada, "Ada")
    await rig.say(ada, call.account.number, "hello")
    (known,) = await until(lambda: call("contacts"), lambda all_: [one for one in all_ if one["phone"] == ada])
    assert (known["jid"], known["push_name"]) == (jid(ada), "Ada")
    assert known["lid"].endswith("@lid")


async def test_blocking(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    assert await call("blocklist") == []
    assert [one["phone"] for one in await call("block", jid=jid(ada))] == [ada]
    assert rig.simulator.profile(call.account.number).blocked == [ada]
    (blocked,) = await call("blocklist")
    assert await call("unblock", jid=blocked["lid"]) == []
    assert rig.simulator.profile(call.account.number).blocked == []
    assert await call.refused("block", jid=jid(new_number())) == "NotFound"


async def test_the_own_account(rig: Rig, new_number: Callable[[], str], tmp_path: Path) -> None:
    call = await paired(rig, new_number())
    before = await call("profile")
    assert (before["phone"], before["picture_url"]) == (call.account.number, None)
    picture = tmp_path / "picture"
    picture.write_bytes(JPEG)
    await call.when_ready("set_profile_name", name="Ada ä")
    await call("set_about", about="here")
    await call("set_profile_picture", path=str(picture))
    shown = rig.simulator.profile(call.account.number)
    assert (shown.about, shown.picture_sha256) == ("here", hashlib.sha256(JPEG).hexdigest())
    after = await call("profile")
    assert (after["name"], after["about"], after["picture_id"]) == ("Ada ä", "here", shown.picture_id)
    assert after["picture_url"].startswith("https://")
    picture.write_bytes(b"GIF89a")
    assert await call.refused("set_profile_picture", path=str(picture)) == "Invalid"
    assert await call.refused("set_profile_picture", path=str(tmp_path / "nothing")) == "FileUnreadable"


async def test_privacy(rig: Rig, new_number: Callable[[], str]) -> None:
    call = await paired(rig, new_number())
    before = await call("privacy")
    assert set(before) == {"group_add", "last_seen", "status", "profile", "read_receipts", "online", "call_add"}
    after = await call("set_privacy", name="last_seen", value="contact_blacklist")
    assert after == {**before, "last_seen": "contact_blacklist"}
    assert rig.simulator.profile(call.account.number).privacy["last"] == "contact_blacklist"
    assert (await call("set_privacy", name="online", value="match_last_seen"))["online"] == "match_last_seen"


async def test_a_group_from_its_first_to_its_last_day(rig: Rig, new_number: Callable[[], str], tmp_path: Path) -> None:
    call, ada, bob = await paired(rig, new_number()), rig.contact(new_number()), rig.contact(new_number())
    made = await call("create_group", subject="Team ä 👋", participants=[jid(ada)])
    group = made["jid"]
    assert made["subject"] == "Team ä 👋"
    assert {(one["phone"], one["role"]) for one in made["participants"]} == {
        (call.account.number, "superadmin"),
        (ada, "member"),
    }
    (added,) = await call("change_participants", jid=group, action="add", participants=[jid(bob)])
    assert (added["phone"], added["done"]) == (bob, True)
    for action, roles in (("promote", "admin"), ("demote", "")):
        (changed,) = await call("change_participants", jid=group, action=action, participants=[jid(bob)])
        assert (changed["phone"], changed["done"]) == (bob, True)
        assert rig.simulator.group(group).members[bob] == roles
    picture = tmp_path / "picture"
    picture.write_bytes(JPEG)
    await call("set_group_subject", jid=group, subject="Crew")
    await call("set_group_description", jid=group, description="what we do")
    await call("set_group_announce", jid=group, announce=True)
    await call("set_group_locked", jid=group, locked=True)
    await call("set_disappearing", chat=group, seconds=604800)
    set_picture = await call("set_group_picture", jid=group, path=str(picture))
    seen = rig.simulator.group(group)
    assert (seen.subject, seen.description, seen.announce, seen.locked, seen.ephemeral, seen.picture_id) == (
        "Crew", "what we do", True, True, 604800, set_picture["picture_id"],
    )  # fmt: skip
    told = await call("group", jid=group)
    assert (told["subject"], told["description"], told["announce"], told["locked"]) == (
        "Crew",
        "what we do",
        True,
        True,
    )
    assert (told["disappearing_seconds"], told["size"], told["owner_phone"]) == (604800, 3, call.account.number)
    assert abs(told["created_at"] - time.time()) < 300
    (listed,) = await call("groups")
    assert (listed["jid"], "participants" in listed) == (group, False)
    (whole,) = await call("groups", participants=True)
    assert {one["phone"] for one in whole["participants"]} == {call.account.number, ada, bob}
    assert (await call("avatar", jid=group))["id"] == seen.picture_id
    await call("set_group_description", jid=group, description="")
    assert (await call("group", jid=group))["description"] is None
    (removed,) = await call("change_participants", jid=group, action="remove", participants=[jid(ada)])
    assert (removed["done"], set(rig.simulator.group(group).members)) == (True, {call.account.number, bob})
    await call("leave_group", jid=group)
    assert await call("groups") == []
    assert await call.refused("group", jid=group) == "Forbidden"


async def test_each_new_member_has_an_outcome(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada, shy = await paired(rig, new_number()), rig.contact(new_number()), rig.contact(new_number())
    rig.simulator.set_profile(shy, privacy={"groupadd": "none"})
    nobody = new_number()
    made = await call("create_group", subject="Team", participants=[jid(ada)])
    outcomes = await call(
        "change_participants", jid=made["jid"], action="add", participants=[jid(ada), jid(shy), jid(nobody)]
    )
    assert {(one["phone"], one["done"], one["error"]) for one in outcomes} == {
        (ada, False, "member_already"),
        (shy, False, "invite_needed"),
        (nobody, False, "not_on_whatsapp"),
    }
    other = rig.simulator.create_group(ada, [call.account.number], "Ada's")
    promote = {"jid": other.jid, "action": "promote", "participants": [jid(call.account.number)]}
    assert await call.refused("change_participants", **promote) == "Forbidden"
    assert await call.refused("set_group_announce", jid=other.jid, announce=True) == "Forbidden"
    assert await call.refused("group_invite_link", jid=other.jid) == "NotAuthorized"
    assert await call.refused("group", jid="120363000000000000@g.us") == "NotFound"


async def test_invite_links(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    mine = (await call("create_group", subject="Mine", participants=[]))["jid"]
    link = (await call("group_invite_link", jid=mine, reset=False))["link"]
    assert link == f"https://chat.whatsapp.com/{rig.simulator.group(mine).invite}"
    reset = (await call("group_invite_link", jid=mine, reset=True))["link"]
    assert reset not in {link, "https://chat.whatsapp.com/"}
    theirs = rig.simulator.create_group(ada, [], "Theirs")
    seen = await call("group_by_link", link=f"https://chat.whatsapp.com/{theirs.invite}?mode=ac_t")
    assert (seen["jid"], seen["subject"]) == (theirs.jid, "Theirs")
    assert call.account.number not in rig.simulator.group(theirs.jid).members
    assert await call("join_group", link=theirs.invite) == {"jid": theirs.jid, "joined": True}
    assert call.account.number in rig.simulator.group(theirs.jid).members
    await call("leave_group", jid=theirs.jid)
    careful = rig.simulator.change_group(rig.simulator.create_group(ada, [], "Careful").jid, ada, approval=True)
    assert await call("join_group", link=careful.invite) == {"jid": careful.jid, "joined": False}
    assert rig.simulator.group(careful.jid).requests == [call.account.number]
    assert await call.refused("join_group", link="AAAAAAAAAAAAAAAAAAAAAA") == "NotFound"
    assert await call.refused("group_by_link", link=link) == "NotFound"


async def test_join_requests_are_shown(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    group = (await call("create_group", subject="Mine", participants=[]))["jid"]
    rig.simulator.change_group(group, call.account.number, approval=True)
    assert rig.simulator.join_group(group, ada) is False
    (waits,) = await call("join_requests", jid=group)
    assert waits["lid"].endswith("@lid")
    assert abs(waits["requested_at"] - time.time()) < 300


async def test_a_timer_for_a_person_arrives_as_a_message(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    await call("set_disappearing", chat=jid(ada), seconds=86400)
    await call("set_disappearing", chat=jid(ada), seconds=0)

    async def received() -> list[Message]:
        inbox = await asyncio.to_thread(rig.simulator.inbox, ada)
        return [Message.FromString(one.protobuf) for one in inbox]

    messages = await until(received, lambda found: found if len(found) == 2 else None)
    settings = [message.protocolMessage for message in messages]
    assert [one.type for one in settings] == [ProtocolMessage.EPHEMERAL_SETTING] * 2
    assert [one.ephemeralExpiration for one in settings] == [86400, 0]
    assert all(abs(one.ephemeralSettingTimestamp - time.time()) < 300 for one in settings)


async def test_what_the_phone_set_for_a_chat(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    mine, chat = call.account.number, jid(ada)
    before = {"chat": chat, "archived": False, "pinned": False, "muted": False, "muted_until": None}
    assert await call("chat_settings", chats=[chat]) == [before]
    until_time = int(time.time()) + 8 * 3600

    async def shown(**wanted: object) -> None:
        await until(
            lambda: call("chat_settings", chats=[chat]),
            lambda found: [one for one in found if one == {**before, **wanted}],
        )

    rig.simulator.change_chat(mine, ada, pinned=True)
    await shown(pinned=True)
    rig.simulator.change_chat(mine, ada, muted=True, muted_until=until_time * 1000)
    await shown(pinned=True, muted=True, muted_until=until_time)
    rig.simulator.change_chat(mine, ada, muted=True)
    await shown(pinned=True, muted=True)
    rig.simulator.change_chat(mine, ada, archived=True)
    await until(
        lambda: call("chat_settings", chats=[chat]), lambda found: [one for one in found if one["archived"] is True]
    )


async def test_what_is_done_on_the_phone_is_told(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    reader, told = Reader(call.account.journal), set[str]()
    rig.simulator.change_chat(call.account.number, ada, contact_name="Ada Lovelace")
    await until(lambda: call("contacts"), lambda found: [one for one in found if one["full_name"] == "Ada Lovelace"])
    for change in ("pinned", "muted", "archived"):
        rig.simulator.change_chat(call.account.number, ada, **{change: True})
        await until(lambda: call("chat_settings", chats=[jid(ada)]), lambda found, change=change: found[0][change])

    async def read() -> set[str]:
        told.update(entry.record.index[0] for entry in reader if isinstance(entry.record, InboundAppState))
        return told

    if PHONE_IS_HEARD.of(rig.engine.kind):
        assert await until(read, lambda found: found >= {"contact", "pin_v1", "mute", "archive"})
    else:
        assert await read() == set()


async def test_the_phones_address_book(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    rig.simulator.change_chat(call.account.number, ada, contact_name="Ada Lovelace")
    (known,) = await until(
        lambda: call("contacts"), lambda found: [one for one in found if one["full_name"] == "Ada Lovelace"]
    )
    assert known["jid"] in {jid(ada), known["lid"]}


async def test_newsletters(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    theirs = rig.simulator.create_newsletter(ada, "News ä", "what happens")
    link = f"https://whatsapp.com/channel/{theirs.invite}"
    assert await call("newsletters") == []
    seen = await call("newsletter", link=link)
    assert (seen["jid"], seen["name"], seen["description"], seen["link"]) == (
        theirs.jid,
        "News ä",
        "what happens",
        link,
    )
    await call("follow_newsletter", jid=theirs.jid)
    (followed,) = await call("newsletters")
    assert (followed["role"], followed["muted"]) == ("subscriber", False)
    await call("mute_newsletter", jid=theirs.jid, muted=True)
    assert (await call("newsletter", jid=theirs.jid))["muted"] is True
    await call("mute_newsletter", jid=theirs.jid, muted=False)
    assert (await call("newsletter", jid=theirs.jid))["muted"] is False
    await call("unfollow_newsletter", jid=theirs.jid)
    assert await call("newsletters") == []
    mine = await call("create_newsletter", name="Mine", description=None, path=None)
    assert (mine["name"], mine["state"], [one["jid"] for one in await call("newsletters")]) == (
        "Mine", "active", [mine["jid"]],
    )  # fmt: skip
    assert await call.refused("newsletter", jid="120363000000000000@newsletter") == "NotFound"


async def test_look_ups_need_a_connection(rig: Rig, new_number: Callable[[], str]) -> None:
    """neonize ends the process when it is asked for names without a client: nothing gets that far."""
    account = rig.account(new_number())
    running = await rig.spawn(account.session(PairingRequest("QR")))
    await running.event(QrShown)
    call = Caller(running, account)
    for method, arguments in (
        ("lid", {"phone": "491511000002"}),
        ("phone", {"lid": "123456@lid"}),
        ("profile", {}),
        ("groups", {}),
    ):
        assert await call.refused(method, **arguments) == "NotConnected"
    await running.process.ping(5)


async def test_a_query_that_is_not_answered_stops_no_message(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    rig.simulator.set_faults(ignore=["w:g2"])
    with pytest.raises(EngineUnresponsive):
        await call.process.call(call.account.uid, "groups", {}, 1.0)
    with pytest.raises(EngineUncertain):
        await call.process.call(call.account.uid, "leave_group", {"jid": "120363000000000000@g.us"}, 1.0)
    rig.simulator.clear_faults()
    await call.process.send(call.account.uid, text(ada, "still here"), 30)
    assert await rig.texts(ada, 1) == ["still here"]
    assert await call("groups") == []


async def test_wrong_arguments_reach_nobody(rig: Rig, new_number: Callable[[], str]) -> None:
    call = await paired(rig, new_number())
    for method, arguments in (
        ("group", {"jid": "491511000001@s.whatsapp.net"}),
        ("group", {}),
        ("group", {"jid": 17}),
        ("is_on_whatsapp", {"phones": ["49 151"]}),
        ("is_on_whatsapp", {"phones": []}),
        ("set_privacy", {"name": "last_seen", "value": "nobody"}),
        ("set_disappearing", {"chat": "491511000001@s.whatsapp.net", "seconds": 5}),
        ("change_participants", {"jid": "1203630@g.us", "action": "crown", "participants": []}),
    ):
        assert await call.refused(method, **arguments) == "Invalid", method


@pytest.mark.only_engine("neonize", reason="the engine in Go can: test_engine_go_calls_flow.py")
async def test_what_neonize_cannot_do(rig: Rig, new_number: Callable[[], str]) -> None:
    call = await paired(rig, new_number())
    for method in (
        "archive", "pin", "mute", "mark_unread", "delete_chat", "change_join_requests", "newsletter_messages",
        # It sends no message as a peer of its own phone: it cannot ask it for history.
        "request_history",
    ):  # fmt: skip
        assert await call.refused(method, chat="491511000001@s.whatsapp.net") == "Unsupported", method
    assert await call.refused("set_profile_picture", path=None) == "Unsupported"
