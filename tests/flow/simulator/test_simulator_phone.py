"""What a phone tells real neonize (history, app state), calls, and what goes wrong by order of a test."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from simulator_conditions import eventually
from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.control.models import Uploaded

Paired = Callable[[str], tuple[NeonizeClient, str]]
Number = Callable[[], str]
IMAGE = (
    "waE2E.Message(imageMessage=waE2E.ImageMessage(URL=u['url'], directPath=u['direct_path'], mimetype='image/png', "
    "mediaKey=bytes.fromhex(u['media_key']), fileSHA256=bytes.fromhex(u['sha256']), "
    "fileEncSHA256=bytes.fromhex(u['enc_sha256']), fileLength=u['size'])).SerializeToString()"
)


@pytest.fixture
def chat(paired: Paired, simulator: SimulatorClient, number: Number) -> tuple[NeonizeClient, str, str]:
    """A client, its number, and a contact."""
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact, "Ada")
    return client, phone, contact


@pytest.mark.parametrize("inline", [True, False])
def test_history_of_many_chats(inline: bool, chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    raw = bytes.fromhex(client.do("waE2E.Message(conversation='raw').SerializeToString()"))
    first = [
        {"text": "old", "id": "OLD1", "timestamp": 1_600_000_000, "status": "read"},
        {"raw": base64.b64encode(raw).decode(), "from_me": True, "push_name": "me"},
    ]
    chats = [
        {"chat": contact, "name": "Ada", "unread": 3, "archived": True, "messages": first},
        *({"chat": f"4915200{n:06d}", "messages": [{"text": f"{n}"}] * 40} for n in range(50)),
    ]
    simulator.send_conversations(phone, chats, push_names={contact: "Ada L."}, type="full", inline=inline)
    texts = ["old", "raw", *(f"{n}" for n in range(50) for _ in range(40))]
    event = client.wait("HistorySync", texts=texts)
    assert event["type"] == 2


def test_chats_that_the_phone_changes(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    client.set_name("first name")  # its patches and the phone's are in one sequence
    simulator.change_chat(phone, contact, archived=True)
    simulator.change_chat(phone, contact, muted=True)
    simulator.change_chat(phone, contact, pinned=True)
    simulator.change_chat(phone, contact, contact_name="Ada Lovelace")
    settings = "client.chat_settings.get_chat_settings(jid(to))"

    def seen() -> tuple[bool, bool]:
        now = client.do(settings, to=contact)
        return bool(now.get("Archived")), bool(now.get("Pinned"))

    eventually(lambda: seen() == (True, True))
    eventually(lambda: client.do("client.contact.get_contact(jid(to)).FullName", to=contact) == "Ada Lovelace")
    simulator.change_chat(phone, contact, archived=False)
    eventually(lambda: seen() == (False, True))
    names = {mutation.index[0] for mutation in simulator.app_state(phone)}
    assert names == {"setting_pushName", "archive", "pin_v1", "mute", "contact"}


def test_calls_and_their_rejection(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    call = simulator.call(contact, phone)
    offer = client.wait("CallOffer")["data"]["basicCallMeta"]
    assert offer["callID"] == call
    client.do(
        "client.reject_call(jid(lid, 'lid'), call)", lid=simulator.get_contact(contact).lid.split("@")[0], call=call
    )
    eventually(lambda: [event.change for event in simulator.events(contact)] == ["reject"])
    (rejected,) = simulator.events(contact)
    assert (rejected.kind, rejected.sender, rejected.attributes["call-id"]) == ("call", phone, call)
    second = simulator.call(contact, phone, video=True)
    client.wait("CallOffer")
    simulator.change_call(contact, phone, second, "terminate", "timeout")
    assert client.wait("CallTerminate")["data"]["reason"] == "timeout"


def test_an_unavailable_message_comes_from_the_phone(
    chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient
) -> None:
    client, phone, contact = chat
    simulator.say(contact, phone, "warm")
    client.wait("Message", text="warm")
    simulator.set_faults(unavailable_messages=1, numbers=[phone])
    sent = simulator.say(contact, phone, "only the phone has it")
    client.wait("UndecryptableMessage", id=sent)
    client.wait("Message", id=sent, text="only the phone has it")


def test_a_lost_receipt_means_a_second_delivery(
    chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient
) -> None:
    client, phone, contact = chat
    simulator.say(contact, phone, "warm")
    client.wait("Message", text="warm")
    eventually(lambda: simulator.info().queues[f"{phone}:1"] == 0)
    simulator.set_faults(lose_receipts=1, numbers=[phone])
    simulator.say(contact, phone, "twice")
    client.wait("Message", text="twice")
    eventually(lambda: simulator.faults().lose_receipts == 0)
    eventually(lambda: simulator.info().queues[f"{phone}:1"] == 1)
    simulator.cut(phone)
    client.wait("Connected")
    eventually(lambda: simulator.info().queues[f"{phone}:1"] == 0)


def sent_image(client: NeonizeClient, phone: str, contact: str, simulator: SimulatorClient) -> tuple[str, Uploaded]:
    uploaded = simulator.upload("image", b"pixels" * 500)
    raw = bytes.fromhex(client.do(IMAGE, u=uploaded.model_dump()))
    sent = simulator.send_raw(contact, phone, raw)
    client.wait("Message", id=sent)
    return sent, uploaded


def test_files_that_are_gone_damaged_or_slow(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    sent, uploaded = sent_image(client, phone, contact, simulator)
    for status in (404, 410):
        simulator.set_media_behaviour(uploaded.direct_path, status=status)
        with pytest.raises(AssertionError, match=str(status)):
            client.call("download", id=sent)
    simulator.set_media_behaviour(uploaded.direct_path, corrupt=True)
    with pytest.raises(AssertionError, match=r"(?i)hash|mac"):
        client.call("download", id=sent)
    simulator.set_media_behaviour(uploaded.direct_path, bytes_per_second=8_000)
    assert bytes.fromhex(client.call("download", id=sent)) == b"pixels" * 500


@pytest.mark.parametrize(("reason", "code"), [(415, 0), (418, 0), (402, 999)])
def test_login_failures_that_neonize_does_not_know_end_connect(
    reason: int, code: int, paired: Paired, simulator: SimulatorClient
) -> None:
    client, phone = paired("a")
    simulator.set_faults(login_failure=reason, ban_code=code, numbers=[phone])
    simulator.cut(phone)
    client.wait("raised")


def test_a_receipt_that_neonize_does_not_know_ends_its_events(
    chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient
) -> None:
    client, phone, contact = chat
    lid = {"jid": simulator.get_contact(contact).lid}
    receipt = {"from": lid, "id": "3ANONE", "type": "server-error", "t": "1700000000"}
    assert simulator.send_stanza(phone, "receipt", receipt) == 1
    client.wait("raised")


def test_late_acks(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    client.send(contact, "warm")
    simulator.set_faults(ack_delay_seconds=1.5, numbers=[phone])
    took = client.do(
        "(begun := time.monotonic(), client.send_message(jid(to), 'late'), time.monotonic() - begun)[2]", to=contact
    )
    assert took > 1.4
