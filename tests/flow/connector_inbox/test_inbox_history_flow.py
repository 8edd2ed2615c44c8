"""History is stored when it is wanted, is nobody's news, and survives a death between any two transactions."""

import base64
import time
from typing import Any

from connector_inbox_rig import InboxRig
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from whatsam_connector.messages.inbound import Wants

YESTERDAY = int(time.time()) - 86_400


def conversations(ada: str, group: str) -> list[dict[str, Any]]:
    poll = Message(pollCreationMessage={"name": "?", "options": [{"optionName": "a"}]}).SerializeToString()
    return [
        {
            "chat": ada,
            "unread": 2,
            "archived": True,
            "messages": [
                {"text": "long ago", "id": "OLD1", "timestamp": YESTERDAY},
                {"text": "answered", "id": "OLD2", "timestamp": YESTERDAY + 1, "from_me": True},
                {"raw": base64.b64encode(poll).decode(), "id": "OLD3", "timestamp": YESTERDAY + 2},
            ],
        },
        {
            "chat": group,
            "name": "old friends",
            "messages": [
                {"text": f"number {n}", "id": f"G{n}", "timestamp": YESTERDAY + n, "sender": ada} for n in range(700)
            ],
        },
    ]


async def test_history_is_stored_marked_and_not_told(rig: InboxRig) -> None:
    await rig.start(Wants(history=True))
    group = "120363000000000001@g.us"
    await rig.do(rig.simulator.send_conversations, rig.own, conversations(rig.ada, group), push_names={rig.ada: "Ada"})
    rows = await rig.rows("select * from messages where session = $1 and history order by at, wa_id", count=703)
    assert len(rows) == 703
    found = {row["wa_id"]: row for row in rows}
    assert (found["OLD1"]["direction"], found["OLD1"]["body"]["text"]) == ("in", "long ago")
    assert (found["OLD2"]["direction"], found["OLD2"]["status"]) == ("out", "sent")
    assert found["OLD3"]["type"] == "poll"
    assert found["G1"]["sender_phone"] == rig.ada or found["G1"]["sender"]
    chats = {chat["chat"]: chat for chat in await rig.rows("select * from chats where session = $1", count=2)}
    assert (chats[group]["name"], chats[group]["unread"]) == ("old friends", 0)
    other = next(chat for name, chat in chats.items() if name != group)
    assert (other["unread"], other["archived"], other["contact"]) == (2, True, f"{rig.ada}@s.whatsapp.net")
    await rig.rows("select * from contacts where session = $1 and push_name = 'Ada'")
    assert await rig.sql.fetchval("select count(*) from events where session = $1", rig.session) == 0


async def test_what_is_known_already_stays_and_what_is_not_wanted_is_left(rig: InboxRig) -> None:
    await rig.start()
    wa_id = await rig.do(rig.simulator.say, rig.ada, rig.own, "live")
    await rig.row(wa_id)
    await rig.do(rig.simulator.send_conversations, rig.own, conversations(rig.ada, "120363000000000002@g.us"))
    await rig.rows("select * from chats where session = $1 and name = 'old friends'")
    assert await rig.sql.fetchval("select count(*) from messages where session = $1", rig.session) == 1
    (chat,) = await rig.rows("select * from chats where session = $1 and contact = $2", f"{rig.ada}@s.whatsapp.net")
    assert chat["unread"] == 1  # what was counted here counts


async def test_history_that_is_asked_to_be_told_is_told(rig: InboxRig) -> None:
    await rig.start(Wants(history=True, history_events=True))
    past = [{"chat": rig.ada, "messages": [{"text": "old", "id": "OLD", "timestamp": YESTERDAY}]}]
    await rig.do(rig.simulator.send_conversations, rig.own, past)
    (event,) = await rig.rows("select * from events where session = $1")
    assert (event["kind"], event["body"]) == ("message.received", {"history": True})
