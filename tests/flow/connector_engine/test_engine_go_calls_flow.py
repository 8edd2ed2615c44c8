"""Calls that only the Go engine has, seen at the other end by the simulator."""

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from connector_engine_rig import Rig, journal_entries, message_of
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from neonize.proto.waHistorySync.WAWebProtobufsHistorySync_pb2 import HistorySync
from test_engine_directory_flow import JPEG, jid, paired, until

from whatsam_connector.journal import Reader
from whatsam_connector.journal.records import InboundHistory
from whatsam_simulator.wire.protobuf import Fields

ARCHIVE, PIN, MUTE, READ = 17, 5, 4, 20
"""Fields of `SyncActionValue`."""


pytestmark = pytest.mark.only_engine("whatsmeow", reason="neonize refuses these calls as Unsupported")


def told(rig: Rig, number: str, word: str) -> list[list[str]]:
    """The indexes of one kind of change that the phone has read."""
    return [one.index for one in rig.simulator.app_state(number) if one.index[0] == word]


def values(rig: Rig, number: str, word: str, field: int, part: int = 1) -> list[int]:
    """A number out of each change of one kind."""
    return [
        Fields(base64.b64decode(one.value)).message(field).integer(part, 0)
        for one in rig.simulator.app_state(number)
        if one.index[0] == word
    ]


async def test_what_is_done_to_a_chat_reaches_the_phone(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    mine, chat, end = call.account.number, jid(ada), int(time.time()) + 8 * 3600
    before = {"chat": chat, "archived": False, "pinned": False, "muted": False, "muted_until": None}

    async def shown(**wanted: object) -> None:
        assert await call("chat_settings", chats=[chat]) == [{**before, **wanted}]

    await call.when_ready("pin", chat=chat, pinned=True)
    await shown(pinned=True)
    await call("archive", chat=chat, archived=True)
    await shown(archived=True)
    await call("archive", chat=chat, archived=False)
    await call("mute", chat=chat, muted=True, until=end)
    await shown(muted=True, muted_until=end)
    await call("mute", chat=chat, muted=True, until=None)
    await shown(muted=True)
    await call("mute", chat=chat, muted=False, until=None)
    await shown()
    await call("mark_unread", chat=chat, unread=True)
    await call("mark_unread", chat=chat, unread=False)
    await call("delete_chat", chat=chat, keep=True)
    await call("delete_chat", chat=chat, keep=False)
    assert told(rig, mine, "archive") == [["archive", chat]] * 2
    assert values(rig, mine, "archive", ARCHIVE) == [True, False]
    assert values(rig, mine, "pin_v1", PIN) == [True, False]  # what is archived is pinned no longer
    assert values(rig, mine, "mute", MUTE) == [True, True, False]
    assert values(rig, mine, "mute", MUTE, 2)[0] == end * 1000
    assert values(rig, mine, "markChatAsRead", READ) == [False, True]
    assert told(rig, mine, "clearChat") == [["clearChat", chat, "1", "0"]]
    assert told(rig, mine, "deleteChat") == [["deleteChat", chat, "0"]]


@pytest.mark.parametrize("with_patches", [True, False])
async def test_the_phone_and_we_change_the_same_chat(
    rig: Rig, new_number: Callable[[], str], *, with_patches: bool
) -> None:
    """A change that comes second is refused, with what it missed or without, and made again on top of that."""
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    mine, chat = call.account.number, jid(ada)
    await call.when_ready("pin", chat=chat, pinned=True)
    rig.simulator.set_faults(conflict_with_patches=with_patches)
    for number in range(5):
        rig.simulator.change_chat(mine, ada, read=number % 2 == 0)
        await call("pin", chat=chat, pinned=number % 2 == 0)
    assert values(rig, mine, "pin_v1", PIN) == [True, True, False, True, False, True]
    assert (await call("chat_settings", chats=[chat]))[0]["pinned"] is True


async def test_pictures_go_away(rig: Rig, new_number: Callable[[], str], tmp_path: Path) -> None:
    call = await paired(rig, new_number())
    picture = tmp_path / "picture"
    picture.write_bytes(JPEG)
    await call("set_profile_picture", path=str(picture))
    assert rig.simulator.profile(call.account.number).picture_id
    assert await call("set_profile_picture", path=None) == {"picture_id": None}
    assert not rig.simulator.profile(call.account.number).picture_id
    group = (await call("create_group", subject="Mine", participants=[]))["jid"]
    await call("set_group_picture", jid=group, path=str(picture))
    assert rig.simulator.group(group).picture_id
    assert await call("set_group_picture", jid=group, path=None) == {"picture_id": None}
    assert not rig.simulator.group(group).picture_id
    assert await call.refused("avatar", jid=group) == "NotFound"


async def test_join_requests_are_answered(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada, bob = await paired(rig, new_number()), rig.contact(new_number()), rig.contact(new_number())
    group = (await call("create_group", subject="Mine", participants=[]))["jid"]
    rig.simulator.change_group(group, call.account.number, approval=True)
    assert [rig.simulator.join_group(group, who) for who in (ada, bob)] == [False, False]
    assert len(await call("join_requests", jid=group)) == 2
    (approved,) = await call("change_join_requests", jid=group, action="approve", participants=[jid(ada)])
    assert (approved["phone"], approved["done"], approved["error"]) == (ada, True, None)
    (left,) = await call("join_requests", jid=group)
    (rejected,) = await call("change_join_requests", jid=group, action="reject", participants=[left["jid"]])
    assert rejected["done"] is True
    assert await call("join_requests", jid=group) == []
    assert set(rig.simulator.group(group).members) == {call.account.number, ada}
    (late,) = await call("change_join_requests", jid=group, action="approve", participants=[jid(bob)])
    assert (late["done"], late["error"] is None) == (False, False)


async def test_the_posts_of_a_newsletter(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    theirs = rig.simulator.create_newsletter(ada, "News", "what happens")
    for number in range(5):
        rig.simulator.post_to_newsletter(theirs.jid, f"post {number}")
    posts = await call("newsletter_messages", jid=theirs.jid)
    texts = [Message.FromString(base64.b64decode(post["message"])).conversation for post in posts]
    assert sorted(texts) == [f"post {number}" for number in range(5)]
    oldest = min(post["server_id"] for post in posts)
    page = await call("newsletter_messages", jid=theirs.jid, count=2, before=oldest + 3)
    assert sorted(post["server_id"] for post in page) == [oldest + 1, oldest + 2]
    assert abs(page[0]["timestamp"] - time.time()) < 300
    assert await call.refused("newsletter_messages", jid="120363000000000000@newsletter") == "NotFound"


async def test_older_history_is_asked_for(rig: Rig, new_number: Callable[[], str]) -> None:
    number, ada = new_number(), rig.contact(new_number())
    call = await paired(rig, number)
    said = [await rig.say(ada, number, f"{each}") for each in range(3)]
    last = message_of((await journal_entries(Reader(call.account.journal), 3))[-1])
    asked = await call(
        "request_history",
        chat=last.chat,
        message_id=said[-1],
        from_me=False,
        timestamp=int(last.timestamp.timestamp()),
        count=10,
    )
    assert asked["message_id"]

    async def histories() -> list[HistorySync]:
        records = [entry.record for entry in Reader(call.account.journal)]
        return [HistorySync.FromString(one.data) for one in records if isinstance(one, InboundHistory)]

    older = await until(
        histories, lambda all_: next((one for one in all_ if one.syncType == HistorySync.ON_DEMAND), None)
    )
    assert [{each.message.key.ID for each in chat.messages} for chat in older.conversations] == [set(said[:-1])]


async def test_a_call_is_declined(rig: Rig, new_number: Callable[[], str]) -> None:
    call, ada = await paired(rig, new_number()), rig.contact(new_number())
    ringing = rig.simulator.call(ada, call.account.number)
    await call("reject_call", **{"from": jid(ada), "call_id": ringing})

    async def changes() -> list[str]:
        return [event.change for event in await asyncio.to_thread(rig.simulator.events, ada)]

    await until(changes, lambda all_: True if "reject" in all_ else None)


async def test_the_arguments_of_these_calls_are_strict(rig: Rig, new_number: Callable[[], str]) -> None:
    call, chat = await paired(rig, new_number()), jid(new_number())
    for method, arguments in (
        ("archive", {"chat": chat}),
        ("archive", {"chat": chat, "archived": "yes"}),
        ("pin", {"chat": chat, "pinned": True, "for": 5}),
        ("mute", {"chat": chat, "muted": True, "until": "tomorrow"}),
        ("delete_chat", {"chat": "120363000000000000@newsletter"}),
        ("change_join_requests", {"jid": "120363000000000000@g.us", "action": "adore", "participants": [chat]}),
        ("request_history", {"chat": chat, "count": 50}),
    ):
        assert await call.refused(method, **arguments) == "Invalid", method
