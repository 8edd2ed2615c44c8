"""Contacts, groups, profile and chats through a real engine, seen at the other end by the simulator."""

from collections.abc import Callable
from typing import Any

import pytest
from connector_engine_rig import Account, Rig, Running

from whatsam_connector.supervision import EngineRefused

JPEG = b"\xff\xd8\xff\xe0" + bytes(200)


class Caller:
    """Calls of one session."""

    def __init__(self, running: Running, account: Account) -> None:
        self._process = running.process
        self.account = account

    async def __call__(self, method: str, **arguments: Any) -> Any:
        return await self._process.call(self.account.uid, method, arguments)

    async def refused(self, method: str, **arguments: Any) -> str:
        """The code with which a call is refused."""
        with pytest.raises(EngineRefused) as refused:
            await self(method, **arguments)
        return refused.value.code


async def paired(rig: Rig, number: str) -> Caller:
    account = rig.account(number)
    return Caller(await rig.pair(account), account)


def jid(number: str) -> str:
    return f"{number}@s.whatsapp.net"


async def test_who_is_on_whatsapp_and_what_they_show(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    lid = rig.simulator.contact(ada).lid
    nobody = new_number()
    found = await call("is_on_whatsapp", phones=[nobody, ada])
    assert [(one["phone"], one["registered"], one["jid"]) for one in found] == [
        (nobody, False, None),
        (ada, True, jid(ada)),
    ]
    assert found[1]["lid"].partition("@")[0] == lid.partition("@")[0]
    assert await call("lid", phone=ada) == {"lid": found[1]["lid"]}
    assert await call("phone", lid=found[1]["lid"]) == {"phone": ada}
    (info,) = await call("user_info", jids=[jid(ada)])
    assert (info["jid"], info["phone"], info["devices"]) == (jid(ada), ada, 1)
    assert await call("lid", phone=nobody) == {"lid": None}


async def test_groups_from_the_first_to_the_last_day(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada, bob = await paired(rig, new_number()), rig.contact(new_number()), rig.contact(new_number())
    made = await call("create_group", subject="Team ä 👋", participants=[jid(ada)])
    group = made["jid"]
    assert made["subject"] == "Team ä 👋"
    assert {(one["phone"], one["role"]) for one in made["participants"]} == {
        (call.account.number, "superadmin"),
        (ada, "member"),
    }
    assert [one["jid"] for one in await call("groups")] == [group]
    (added,) = await call("change_participants", jid=group, action="add", participants=[jid(bob)])
    assert (added["phone"], added["done"]) == (bob, True)


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
    for method in ("archive", "pin", "mute", "mark_unread", "delete_chat", "change_join_requests"):
        assert await call.refused(method, chat="491511000001@s.whatsapp.net") == "Unsupported"
