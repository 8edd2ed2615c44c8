"""Messages from before the pairing, asked of the phone by the engine in Go, become rows of the history."""

import pytest
from connector_engines import Kind
from connector_inbox_rig import InboxRig

from whatsam_connector.messages.inbound import Wants


@pytest.fixture
def kind() -> Kind:
    return Kind.WHATSMEOW


async def test_older_messages_that_were_asked_for_become_rows(rig: InboxRig) -> None:
    first = await rig.engines.pair(rig.engines.account(rig.own, folder="another device"))
    old = [await rig.do(rig.simulator.say, rig.ada, rig.own, f"long ago {number}") for number in range(3)]
    first.process.kill()
    await rig.start(Wants(history=True))
    known = await rig.row(await rig.do(rig.simulator.say, rig.ada, rig.own, "new"))
    await rig.running.process.call(
        rig.account.uid,
        "request_history",
        {
            "chat": known["chat"],
            "message_id": known["wa_id"],
            "from_me": False,
            "timestamp": int(known["at"].timestamp()),
            "count": 2,
        },
    )
    rows = await rig.rows("select * from messages where session = $1 and history order by at, wa_id", count=2)
    assert {row["wa_id"] for row in rows} == set(old[1:])
    assert {row["contact"] for row in rows} == {known["contact"]}
    assert await rig.sql.fetchval("select count(*) from events where session = $1", rig.session) == 1
