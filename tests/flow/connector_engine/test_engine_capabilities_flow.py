"""What an engine says of itself is true: its capabilities, and message ids of the sender's own."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from connector_engine_rig import LIMIT_SECONDS, Rig, text
from engine_differences import CAPABILITIES, OWN_IDS

from whatsam_connector.engine.protocol import Capabilities
from whatsam_connector.supervision import EngineRefused, EngineUncertain
from whatsam_simulator.contacts.inbox import InboxMessage


async def arrived(rig: Rig, number: str, count: int) -> list[InboxMessage]:
    """What a contact has, once there are so many."""

    async def enough() -> list[InboxMessage]:
        while len(inbox := await asyncio.to_thread(rig.simulator.inbox, number)) < count:  # noqa: ASYNC110 - no push
            await asyncio.sleep(0.02)
        return inbox

    return await asyncio.wait_for(enough(), LIMIT_SECONDS)


async def test_an_engine_says_what_it_can(rig: Rig, new_number: Callable[[], str]) -> None:
    running = await rig.pair(rig.account(new_number()))
    assert running.process.capabilities == Capabilities(*CAPABILITIES.of(rig.engine.kind))
    assert running.process.engine_version.startswith(f"{rig.engine}-")


async def test_a_message_has_the_id_that_it_was_given(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    group = rig.simulator.create_group(contact, [account.number])
    wanted = ["3EB0000000000000000001", "3EB0000000000000000002"]
    messages = [
        replace(text(to, "mine"), message_id=message_id)
        for to, message_id in zip((contact, group.id if "@" in group.id else f"{group.id}@g.us"), wanted, strict=True)
    ]
    for message, message_id in zip(messages, wanted, strict=True):
        if not OWN_IDS.of(rig.engine.kind):
            with pytest.raises(EngineRefused) as refused:
                await running.process.send(account.uid, message, 30)
            assert refused.value.code == "Unsupported"
            continue
        assert (await running.process.send(account.uid, message, 30)).wa_id == message_id
    if OWN_IDS.of(rig.engine.kind):
        assert [each.id for each in await arrived(rig, contact, 2)] == wanted


@pytest.mark.only_engine("whatsmeow", reason="neonize takes no ids")
@pytest.mark.parametrize("had_arrived", [False, True])
async def test_a_message_that_is_sent_again_after_a_kill_keeps_its_id(
    rig: Rig, new_number: Callable[[], str], *, had_arrived: bool
) -> None:
    """So its recipient can tell that it is the same one; a contact of the simulator lists both."""
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    await running.process.send(account.uid, text(contact, "first"), 30)
    message = replace(text(contact, "second"), message_id="3EB0F00DF00DF00DF00DF0")
    fault: dict[str, Any] = {"ack_delay_seconds": 600} if had_arrived else {"ignore": ["message"]}
    rig.simulator.set_faults(**fault, numbers=[account.number])
    sending = asyncio.create_task(running.process.send(account.uid, message, 60))
    if had_arrived:
        await rig.texts(contact, 2)
    await running.process.ping(30)
    running.process.kill()
    with pytest.raises(EngineUncertain):
        await sending
    await running.exit()
    rig.simulator.clear_faults()
    again = await rig.resume(account)
    sent = await again.process.send(account.uid, message, 30)
    assert sent.wa_id == message.message_id
    third = await again.process.send(account.uid, text(contact, "third"), 30)
    inbox = [(each.id, each.text) for each in await arrived(rig, contact, 3 + had_arrived)]
    assert inbox[1:] == [(sent.wa_id, "second")] * (1 + had_arrived) + [(third.wa_id, "third")]
