"""Real neonize clients, phones and contacts write to each other; what is refused or lost shows in the journal."""

from __future__ import annotations

import os
from collections.abc import Callable

from simulator_conditions import eventually
from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.journal.records import MessageStep

Paired = Callable[[str], tuple[NeonizeClient, str]]


def violations_of(simulator: SimulatorClient, *numbers: str) -> list[str]:
    return [v.detail for v in simulator.violations() if v.device and v.device.split(":")[0] in numbers]


def test_texts_go_both_ways_and_the_own_phone_sees_what_was_sent(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact, "Ada")
    simulator.say(contact, phone, "hello")
    message = client.wait("Message", text="hello")
    assert message["sender"] == contact
    sent = [client.send(contact, f"answer {n}") for n in range(3)]
    eventually(lambda: simulator.texts(contact) == ["answer 0", "answer 1", "answer 2"])
    client.wait("Receipt", ids=[sent[0]])
    copies = [m for m in simulator.inbox(phone) if m.own]
    assert [(m.text, m.chat) for m in copies] == [(f"answer {n}", contact) for n in range(3)]
    steps = [event.step for event in simulator.message_events(sent[0]) if event.receiver in (None, f"{contact}:0")]
    assert steps == [MessageStep.RECEIVED, MessageStep.READ]
    assert violations_of(simulator, phone, contact) == []


def test_two_clients_write_to_each_other(paired: Paired, simulator: SimulatorClient) -> None:
    (a, number_a), (b, number_b) = paired("a"), paired("b")
    sent = a.send(number_b, "from a")
    message = b.wait("Message", text="from a")
    a.wait("Receipt", ids=[sent])
    b.send(number_a, "from b")
    a.wait("Message", text="from b")
    b.call("mark-read", id=message["id"])
    a.wait("Receipt", ids=[sent], type=4)
    assert b.call("on-whatsapp", numbers=[number_a, "49000000"]) == [[number_a, True], ["49000000", False]]


def test_a_read_receipt_of_a_contact_reaches_the_sender(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, _ = paired("a")
    contact = number()
    simulator.contact(contact)
    sent = client.send(contact, "read me")
    client.wait("Receipt", ids=[sent])
    simulator.read(contact, sent)
    client.wait("Receipt", ids=[sent], type=4)


def test_groups_made_by_a_client(paired: Paired, simulator: SimulatorClient, number: Callable[[], str]) -> None:
    client, phone = paired("a")
    contact, other = number(), number()
    simulator.contact(contact)
    simulator.contact(other)
    group = client.call("create-group", members=[contact, other])
    assert set(simulator.group(group).members) == {phone, contact, other}
    client.send(group, "to all", server="g.us")
    eventually(lambda: simulator.texts(contact) == ["to all"] and simulator.texts(other) == ["to all"])
    for n in range(3):
        simulator.say_to_group(contact, group, f"from a member {n}")
        client.wait("Message", text=f"from a member {n}", group=True, chat=f"{group}@g.us")
    eventually(lambda: len(simulator.texts(other)) == 4)
    assert violations_of(simulator, phone, contact, other) == []
    chains = {use.chain for use in simulator.counters(sender=f"{contact}:0") if use.kind == "skmsg"}
    assert len(chains) == 1


def test_groups_made_by_a_contact(paired: Paired, simulator: SimulatorClient, number: Callable[[], str]) -> None:
    client, phone = paired("a")
    contact, guest = number(), number()
    simulator.contact(contact)
    simulator.contact(guest)
    group = simulator.create_group(contact, [phone], "friends")
    client.wait("JoinedGroup", group=group.id)
    simulator.say_to_group(contact, group.id, "welcome")
    client.wait("Message", text="welcome", group=True)
    client.send(group.id, "thanks", server="g.us")
    eventually(lambda: simulator.texts(contact) == ["thanks"])
    simulator.change_group(group.id, contact, add=[guest])
    client.send(group.id, "hello guest", server="g.us")
    eventually(lambda: simulator.texts(guest) == ["hello guest"])


def test_files_go_both_ways(paired: Paired, simulator: SimulatorClient, number: Callable[[], str]) -> None:
    client, phone = paired("a")
    contact, data = number(), os.urandom(50_000)
    simulator.contact(contact)
    sent = client.call("send-document", to=contact, data=data.hex())
    eventually(lambda: any(m.id == sent and m.kind == "document" for m in simulator.inbox(contact)))
    assert simulator.media(contact, sent) == data
    received = simulator.send_media(contact, phone, data, kind="image", mimetype="image/png", caption="look")
    client.wait("Message", id=received)
    assert bytes.fromhex(client.call("download", id=received)) == data


def test_what_is_sent_while_a_client_is_away_arrives_once_and_in_order(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact)
    simulator.say(contact, phone, "first")
    client.wait("Message", text="first")
    client.kill()
    eventually(lambda: f"{phone}:1" not in simulator.info().online)
    for n in range(5):
        simulator.say(contact, phone, f"queued {n}")
    assert simulator.info().queues[f"{phone}:1"] >= 5
    client.start().wait("Connected")
    client.wait("Message", text="queued 4")
    eventually(lambda: simulator.info().queues[f"{phone}:1"] == 0)
    assert [m["text"] for m in client.events("Message") if m["text"]] == [f"queued {n}" for n in range(5)]


def test_a_damaged_message_is_asked_for_again(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact)
    simulator.say(contact, phone, "warm")
    client.wait("Message", text="warm")
    simulator.set_faults(damage_messages=1, numbers=[phone])
    sent = simulator.say(contact, phone, "damaged on the way")
    client.wait("UndecryptableMessage", id=sent)
    client.wait("Message", text="damaged on the way")
    steps = [event.step for event in simulator.message_events(sent)]
    assert MessageStep.RETRY_ASKED in steps
    assert MessageStep.RETRY_ANSWERED in steps
    assert simulator.faults().damage_messages == 0


def test_a_damaged_group_message_is_asked_for_again(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact)
    group = simulator.create_group(contact, [phone])
    simulator.say_to_group(contact, group.id, "warm")
    client.wait("Message", text="warm")
    simulator.set_faults(damage_messages=1, numbers=[phone])
    simulator.say_to_group(contact, group.id, "damaged in the group")
    client.wait("Message", text="damaged in the group", group=True)


def test_a_contact_that_cannot_read_asks_again(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact)
    client.send(contact, "warm")
    eventually(lambda: simulator.texts(contact) == ["warm"])
    simulator.set_faults(unreadable_at_contacts=2, numbers=[contact])
    sent = client.send(contact, "read me at last")
    eventually(lambda: simulator.texts(contact) == ["warm", "read me at last"])
    assert [m.readable for m in simulator.inbox(contact) if m.id == sent] == [False, True]
    # whatsmeow answers retry receipts without the lock that sends take: it may use a counter twice by itself.
    assert [one for one in violations_of(simulator, phone) if "was used before" not in one] == []


def test_history_of_a_chat_reaches_the_client(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = paired("a")
    simulator.send_history(phone, number(), ["old one", "old two"])
    client.wait("HistorySync", texts=["old one", "old two"])


def test_a_cut_connection_is_made_again(paired: Paired, simulator: SimulatorClient, number: Callable[[], str]) -> None:
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact)
    assert simulator.cut(phone) == 1
    client.wait("Connected")
    assert simulator.stream_error(phone, 503) == 1
    client.wait("Connected")
    simulator.say(contact, phone, "after the cut")
    client.wait("Message", text="after the cut")


def test_refused_connections_and_failed_logins(paired: Paired, simulator: SimulatorClient) -> None:
    client, phone = paired("a")
    simulator.set_faults(refuse_connections=True)
    simulator.cut(phone)
    client.wait("Disconnected")
    simulator.clear_faults()
    client.wait("Connected")
    simulator.set_faults(login_failure=402, numbers=[phone])
    simulator.cut(phone)
    client.wait("TemporaryBan")


def test_a_store_that_went_back_in_time_is_caught(
    paired: Paired, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact)
    client.send(contact, "before the copy")
    eventually(lambda: len(simulator.texts(contact)) == 1)
    client.kill()
    copy = client.store.read_bytes()
    client.start().wait("Connected")
    client.send(contact, "lost counter")
    eventually(lambda: len(simulator.texts(contact)) == 2)
    client.kill()
    client.store.write_bytes(copy)
    client.start().wait("Connected")
    client.send(contact, "reuses the counter")
    reused = simulator.counters(sender=f"{phone}:1", reused=True)
    assert {use.receiver for use in reused} == {f"{contact}:0", f"{phone}:0"}
    assert simulator.texts(contact) == ["before the copy", "lost counter"]
