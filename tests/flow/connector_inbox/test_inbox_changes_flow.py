"""What changes earlier messages ends in the right row: votes, edits, deletions, receipts. Forgeries have no effect."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from connector_engine_rig import text
from connector_inbox_rig import InboxRig
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from whatsam_connector.messages.inbound import Wants


async def test_edits_deletions_and_reactions(rig: InboxRig) -> None:
    await rig.start()
    say, contact = rig.simulator, f"{rig.ada}@s.whatsapp.net"
    first = await rig.do(say.say, rig.ada, rig.own, "first")
    second = await rig.do(say.say, rig.ada, rig.own, "second")
    await rig.do(say.edit, rig.ada, rig.own, first, "better")
    await rig.do(say.revoke, rig.ada, rig.own, second)
    await rig.do(say.react, rig.ada, rig.own, first, "👍")
    assert (await rig.row(first, "edited_at is not null"))["body"]["text"] == "better"
    assert (await rig.row(second, "deleted_at is not null"))["body"] == {}
    (reaction,) = await rig.rows("select * from reactions where session = $1")
    assert (reaction["chat"], reaction["wa_id"], reaction["sender"], reaction["emoji"]) == (
        contact,
        first,
        contact,
        "👍",
    )
    await rig.do(say.react, rig.ada, rig.own, first, "")
    await rig.rows("select * from reactions where session = $1 and emoji = ''")
    kinds = await rig.rows("select kind from events where session = $1 order by id", count=6)
    assert sorted(kind["kind"] for kind in kinds) == sorted(
        ["message.received"] * 2 + ["message.edited", "message.deleted"] + ["message.reaction"] * 2
    )


async def test_our_own_phone_edits_and_deletes_too(rig: InboxRig) -> None:
    await rig.start()
    say = rig.simulator
    first = await rig.do(say.say, rig.own, rig.ada, "mine")
    second = await rig.do(say.say, rig.own, rig.ada, "mine, too")
    await rig.do(say.edit, rig.own, rig.ada, first, "better")
    await rig.do(say.revoke, rig.own, rig.ada, second)
    assert (await rig.row(first, "edited_at is not null"))["body"]["text"] == "better"
    assert (await rig.row(second, "deleted_at is not null"))["direction"] == "out"


async def test_votes_in_polls_of_both_sides(rig: InboxRig, new_number: Callable[[], str]) -> None:
    await rig.start()
    say = rig.simulator
    theirs = await rig.do(say.send_poll, rig.ada, rig.own, "when?", ["now", "later"])
    mine = await rig.do(say.send_poll, rig.own, rig.ada, "where?", ["here", "there"])
    await rig.do(say.vote, rig.ada, rig.own, mine, ["there"])
    await rig.do(say.vote, rig.own, rig.ada, theirs, ["now"])
    contact = f"{rig.ada}@s.whatsapp.net"
    (vote,) = await rig.rows("select * from poll_votes where session = $1 and wa_id = $2", mine)
    assert (vote["chat"], vote["voter"], vote["options"]) == (contact, contact, ["there"])
    (vote,) = await rig.rows("select * from poll_votes where session = $1 and wa_id = $2", theirs)
    assert (vote["voter"], vote["options"]) == (f"{rig.own}@s.whatsapp.net", ["now"])
    bob = rig.engines.contact(new_number())
    group = await rig.do(say.create_group, rig.ada, [rig.own, bob], "friends")
    poll = await rig.do(say.send_poll, rig.ada, group.jid, "who?", ["me", "you", "all"], selectable=0)
    await rig.do(say.vote, bob, group.jid, poll, ["all", "me"])
    (vote,) = await rig.rows("select * from poll_votes where session = $1 and wa_id = $2", poll)
    assert (vote["chat"], vote["voter"], vote["options"]) == (group.jid, f"{bob}@s.whatsapp.net", ["me", "all"])


async def test_members_cannot_touch_what_others_wrote_and_admins_may_delete(
    rig: InboxRig, new_number: Callable[[], str]
) -> None:
    await rig.start()
    say, bob = rig.simulator, rig.engines.contact(new_number())
    group = await rig.do(say.create_group, rig.ada, [rig.own, bob], "friends")
    adas = await rig.do(say.say_to_group, rig.ada, group.id, "from ada")
    bobs = await rig.do(say.say_to_group, bob, group.id, "from bob")
    key = {"remoteJID": group.jid, "ID": adas, "fromMe": False}

    def forged(protocol: dict[str, Any]) -> bytes:
        return Message(protocolMessage={"key": key, **protocol}).SerializeToString()

    await rig.do(say.send_raw, bob, group.jid, forged({"type": 14, "editedMessage": {"conversation": "forged"}}))
    await rig.do(say.send_raw, bob, group.jid, forged({"type": 0}))
    await rig.do(say.revoke, rig.ada, group.jid, bobs)  # Ada made the group: she is its admin
    assert (await rig.row(bobs, "deleted_at is not null"))["body"] == {}
    after = await rig.do(say.say_to_group, bob, group.id, "after it all")
    await rig.row(after)

    async def judged() -> bool:
        return rig.counts.get("forged", 0) >= 2

    await rig.until(judged)
    row = await rig.row(adas)
    assert (row["body"]["text"], row["edited_at"], row["deleted_at"]) == ("from ada", None, None)


async def test_receipts_up_to_played(rig: InboxRig) -> None:
    await rig.start()
    result = await rig.running.process.send(rig.account.uid, text(f"+{rig.ada}", "read me"), 30)
    await rig.sent(result.wa_id, f"{rig.ada}@s.whatsapp.net")
    await rig.do(rig.simulator.read, rig.ada, result.wa_id)
    await rig.row(result.wa_id, "status = 'read'")
    await rig.do(rig.simulator.play, rig.ada, result.wa_id)
    await rig.row(result.wa_id, "status = 'played'")
    events = await rig.rows(
        "select body from events where session = $1 and kind = 'message.status' order by id", count=2
    )
    assert [event["body"]["status"] for event in events][-2:] == ["read", "played"]


async def test_reading_on_the_phone_makes_the_chat_read(rig: InboxRig) -> None:
    await rig.start()
    wa_id = ""
    for number in range(3):
        wa_id = await rig.do(rig.simulator.say, rig.ada, rig.own, f"text {number}")
    await rig.rows("select * from chats where session = $1 and unread = 3")
    await rig.do(rig.simulator.read, rig.own, wa_id, on_companion=True)
    await rig.rows("select * from chats where session = $1 and unread = 0 and last_message_id is not null")


async def test_calls_are_told_and_rejected_when_asked(rig: InboxRig) -> None:
    await rig.start(Wants(reject_calls=True))
    call = await rig.do(rig.simulator.call, rig.ada, rig.own, video=True)
    row = await rig.row(f"call:{call}")
    assert (row["type"], row["body"]["call"]["video"], row["body"]["call"]["rejecting"]) == ("call", True, True)
    (event,) = await rig.rows("select * from events where session = $1 and kind = 'call.received'")
    assert event["body"]["callId"] == call

    async def rejected() -> bool:
        events = await rig.do(rig.simulator.events, rig.ada)
        return any(event.kind == "call" and event.change == "reject" for event in events)

    await rig.until(rejected)


async def test_groups_tell_what_happens_in_them(rig: InboxRig, new_number: Callable[[], str]) -> None:
    await rig.start()
    bob = rig.engines.contact(new_number())
    group = await rig.do(rig.simulator.create_group, rig.ada, [rig.own], "friends")
    await rig.do(rig.simulator.change_group, group.id, rig.ada, add=[bob], promote=[rig.own], subject="best friends")
    await rig.do(rig.simulator.change_group, group.id, rig.ada, remove=[bob], announce=True, ephemeral=86400)
    rows = await rig.rows("select body from messages where session = $1 and type = 'system'", count=7)
    kinds = {row["body"]["system"]["kind"] for row in rows}
    assert kinds >= {
        "group_joined", "group_members_joined", "group_promoted", "group_subject", "group_members_left",
        "group_announce", "group_ephemeral",
    }  # fmt: skip
    (chat,) = await rig.rows("select * from chats where session = $1 and ephemeral_seconds = 86400")
    assert (chat["chat"], chat["name"]) == (group.jid, "best friends")
    await rig.rows("select * from events where session = $1 and kind = 'group.updated'", count=3)


async def test_a_chats_timer_is_known(rig: InboxRig) -> None:
    await rig.start()
    await rig.do(rig.simulator.set_timer, rig.ada, rig.own, int(timedelta(days=7).total_seconds()))
    (chat,) = await rig.rows("select * from chats where session = $1 and ephemeral_seconds > 0")
    assert chat["ephemeral_seconds"] == 604800
