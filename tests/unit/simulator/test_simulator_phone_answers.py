"""What a phone answers when a companion asks: older history, page by page; a message that did not come; keys."""

from __future__ import annotations

import zlib

from simulator_raw_client import RawClient
from simulator_running import Running

from whatsam_simulator.contacts import fields as numbers
from whatsam_simulator.contacts.compose import compose_text
from whatsam_simulator.contacts.sending import Outgoing
from whatsam_simulator.wire.protobuf import Fields, decode, encode

PHONE, CONTACT = "4915190000021", "4915190000022"


async def next_protocol(client: RawClient, phone_lid: str) -> Fields:
    """The next protocol message that the phone sends."""
    while True:
        stanza = await client.receive()
        part = stanza.child("enc") if stanza.tag == "message" else None
        if part is None:
            continue
        plain = decode(client.signal.decrypt(phone_lid, part.text("type"), part.data))
        if numbers.PROTOCOL in plain:
            return plain.message(numbers.PROTOCOL)


def history(chat: str, oldest: str, count: int) -> Fields:
    asked = encode((1, chat), (2, oldest), (4, count))
    return decode(encode((2, numbers.PEER_REQUEST), (16, encode((1, numbers.ON_DEMAND_HISTORY), (4, asked)))))


async def test_older_history_comes_in_pages_until_there_is_none(running: Running) -> None:
    client = await running.paired(PHONE)
    simulation = running.simulation
    world = simulation.context.world
    account, contact = world.account(PHONE), world.ensure_account(CONTACT)
    device, lid = account.companions[0], str(account.phone.lid)
    for _ in range(2):  # keys and the first history of a new device
        await next_protocol(client, lid)
    ids = [simulation.sending.send(contact, account, Outgoing(compose_text(f"{n}"))) for n in range(10)]
    simulation.phone.answer_peer(device, "ASK1", history(str(contact.lid), ids[8], 5))
    notification = (await next_protocol(client, lid)).message(6)
    assert notification.text(12) == "ASK1"
    conversation = decode(zlib.decompress(notification.data(11))).message(2)
    seen = [Fields(each).message(1).message(1).text(3) for each in conversation.every(2)]
    assert seen == list(reversed(ids[3:8]))
    simulation.phone.answer_peer(device, "ASK2", history(str(contact.lid), ids[3], 50))
    conversation = decode(zlib.decompress((await next_protocol(client, lid)).message(6).data(11))).message(2)
    assert len(list(conversation.every(2))) == 3
    assert conversation.integer(11) == 1


async def test_a_message_is_sent_again_by_the_phone_and_keys_on_request(running: Running) -> None:
    client = await running.paired(PHONE)
    simulation = running.simulation
    account = simulation.context.world.account(PHONE)
    contact, device, lid = (
        simulation.context.world.ensure_account(CONTACT),
        account.companions[0],
        str(account.phone.lid),
    )
    keys = (await next_protocol(client, lid)).message(7)
    await next_protocol(client, lid)
    sent = simulation.sending.send(contact, account, Outgoing(compose_text("once more")))
    wanted = encode((1, encode((1, str(contact.lid)), (3, sent))))
    request = encode((2, numbers.PEER_REQUEST), (16, encode((1, numbers.PLACEHOLDER_RESEND), (5, wanted))))
    simulation.phone.answer_peer(device, "ASK", decode(request))
    answer = (await next_protocol(client, lid)).message(17)
    assert answer.text(2) == "ASK"
    info = decode(answer.message(3).message(4).data(1))
    assert (info.message(1).text(3), info.message(2).text(1)) == (sent, "once more")
    simulation.phone.answer_peer(device, "ASK", decode(encode((2, numbers.KEY_REQUEST))))
    again = (await next_protocol(client, lid)).message(7)
    assert [Fields(key).message(1).data(1) for key in again.every(1)] == [
        Fields(key).message(1).data(1) for key in keys.every(1)
    ]
