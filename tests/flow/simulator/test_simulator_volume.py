"""Thousands of messages at full speed between contacts and one real neonize client; nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable

from simulator_conditions import eventually
from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.journal.records import MessageStep

Paired = Callable[[str], tuple[NeonizeClient, str]]
MESSAGES = 1_500
"""Fewer than the 2,048 stanzas that whatsmeow queues: beyond that it gives up their order."""


def test_a_burst_arrives_in_order_and_little_of_it_is_kept(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact)
    simulator.set_journal(keep="counts", inbox=100)
    try:
        simulator.clear_journal()
        simulator.send_all([{"from": contact, "to": phone, "text": f"{n}"} for n in range(MESSAGES)])
        client.wait("Message", text=f"{MESSAGES - 1}")
        assert [event["text"] for event in client.events("Message") if event["text"]] == [
            f"{n}" for n in range(MESSAGES)
        ]
        eventually(lambda: simulator.info().queues[f"{phone}:1"] == 0)
        assert simulator.message_events() == []
        assert simulator.journal().steps[MessageStep.RECEIVED] == MESSAGES
        client.do("[client.send_message(jid(to), str(n)).ID for n in range(300)]", to=contact)
        eventually(lambda: simulator.texts(contact)[-1:] == ["299"])
        assert len(simulator.inbox(contact)) <= 110
    finally:
        simulator.set_journal()
