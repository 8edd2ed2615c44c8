"""Every kind of message between contacts and a real neonize client, checked by content at the other end."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from simulator_conditions import eventually
from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.contacts.inbox import InboxMessage

Paired = Callable[[str], tuple[NeonizeClient, str]]
Number = Callable[[], str]
VCARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Eve\nTEL;waid=4915110000009:+49 151 10000009\nEND:VCARD"


@pytest.fixture
def chat(paired: Paired, simulator: SimulatorClient, number: Number) -> tuple[NeonizeClient, str, str]:
    """A client, its number, and a contact."""
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact, "Ada")
    return client, phone, contact


def received(client: NeonizeClient, message_id: str) -> dict[str, Any]:
    return client.wait("Message", id=message_id)["message"]


def at_contact(simulator: SimulatorClient, contact: str, message_id: str) -> InboxMessage:
    eventually(lambda: simulator.message(contact, message_id) is not None)
    message = simulator.message(contact, message_id)
    assert message is not None
    return message


def test_kinds_that_a_contact_sends(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    place = received(client, simulator.send_location(contact, phone, 52.5, 13.4, name="Berlin"))["locationMessage"]
    assert (place["degreesLatitude"], place["degreesLongitude"], place["name"]) == (52.5, 13.4, "Berlin")
    live = received(client, simulator.send_live_location(contact, phone, 1.5, -2.5, sequence=7))["liveLocationMessage"]
    assert (live["degreesLatitude"], live["degreesLongitude"], live["sequenceNumber"]) == (1.5, -2.5, "7")
    card = received(client, simulator.send_contacts(contact, phone, [("Eve", VCARD)]))["contactMessage"]
    assert (card["displayName"], card["vcard"]) == ("Eve", VCARD)
    cards = received(client, simulator.send_contacts(contact, phone, [("Eve", VCARD)] * 2))["contactsArrayMessage"]
    assert [card["displayName"] for card in cards["contacts"]] == ["Eve", "Eve"]
    first = simulator.say(contact, phone, "quote me")
    quoting = received(client, simulator.say(contact, phone, "hi", quote=first, mentions=[phone], expiration=86_400))
    context = quoting["extendedTextMessage"]["contextInfo"]
    assert context["stanzaID"] == first
    assert context["quotedMessage"] == {"conversation": "quote me"}
    assert (context["mentionedJID"], context["expiration"]) == ([simulator.get_contact(phone).lid], 86_400)
    linked = simulator.say(contact, phone, "see", preview={"url": "https://example.org", "title": "Example"})
    assert received(client, linked)["extendedTextMessage"]["title"] == "Example"


@pytest.mark.parametrize(
    ("kind", "field", "flag"),
    [
        ("image", "imageMessage", None),
        ("video", "videoMessage", None),
        ("gif", "videoMessage", "gifPlayback"),
        ("ptv", "ptvMessage", None),
        ("audio", "audioMessage", None),
        ("voice", "audioMessage", "PTT"),
        ("document", "documentMessage", None),
        ("sticker", "stickerMessage", None),
    ],
)
def test_files_that_a_contact_sends(
    kind: str, field: str, flag: str | None, chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient
) -> None:
    client, phone, contact = chat
    data = os.urandom(3_000)
    sent = simulator.send_media(contact, phone, data, kind=kind, mimetype="a/b", media={"seconds": 3, "width": 40})
    message = received(client, sent)[field]
    assert message["mimetype"] == "a/b"
    assert flag is None or message[flag]
    if kind != "ptv":  # neonize's download_any does not know it
        assert bytes.fromhex(client.call("download", id=sent)) == data


def test_view_once_and_disappearing(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    sent = simulator.send_media(contact, phone, b"once", kind="image", media={"view_once": True})
    event = client.wait("Message", id=sent)
    assert client.do("received[id].IsViewOnce", id=sent)
    assert event["message"]["imageMessage"]["viewOnce"]
    gone = simulator.say(contact, phone, "gone soon", ephemeral=True, expiration=60)
    client.wait("Message", id=gone)
    assert client.do("received[id].IsEphemeral", id=gone)
    timer = received(client, simulator.set_timer(contact, phone, 604_800))["protocolMessage"]
    assert (timer["type"], timer["ephemeralExpiration"]) == ("EPHEMERAL_SETTING", 604_800)


def test_reactions_edits_and_revocations_of_a_contact(
    chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient
) -> None:
    client, phone, contact = chat
    mine = client.send(contact, "react to me")
    at_contact(simulator, contact, mine)
    reaction = received(client, simulator.react(contact, phone, mine, "👍"))["reactionMessage"]
    assert (reaction["text"], reaction["key"]["ID"], reaction["key"]["fromMe"]) == ("👍", mine, False)
    theirs = simulator.say(contact, phone, "tyop")
    client.wait("Message", id=theirs)
    edited = client.wait("Message", id=simulator.edit(contact, phone, theirs, "typo"))
    assert edited["edit"] == "1"
    protocol = edited["message"]["protocolMessage"]
    assert (protocol["key"]["ID"], protocol["editedMessage"]) == (theirs, {"conversation": "typo"})
    revoked = client.wait("Message", id=simulator.revoke(contact, phone, theirs))
    assert revoked["edit"] == "7"
    assert revoked["message"]["protocolMessage"]["key"]["ID"] == theirs


def test_votes_go_both_ways(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    mine = client.do(
        "client.send_message(jid(to), client.build_poll_vote_creation('lunch?', options, VoteType.MULTIPLE)).ID",
        to=contact,
        options=["soup", "bread"],
    )
    poll = at_contact(simulator, contact, mine)
    assert (poll.kind, poll.type, poll.text, poll.options) == ("poll", "poll", "lunch?", ["soup", "bread"])
    vote = simulator.vote(contact, phone, mine, ["bread"])
    client.wait("Message", id=vote)
    assert client.call("decrypt-vote", id=vote) == [hashlib.sha256(b"bread").hexdigest()]
    theirs = simulator.send_poll(contact, phone, "dinner?", ["rice", "fish"])
    client.wait("Message", id=theirs)
    sent = client.do(
        "client.send_message(jid(to), client.build_poll_vote(received[id].Info, ['fish'])).ID", id=theirs, to=contact
    )
    vote_seen = at_contact(simulator, contact, sent)
    assert (vote_seen.kind, vote_seen.options) == ("vote", ["fish"])


def test_what_a_client_sends_shows_in_full(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, _, contact = chat
    theirs = simulator.say(contact, chat[1], "hello")
    client.wait("Message", id=theirs)
    reply = client.do("client.reply_message('an answer', received[id]).ID", id=theirs)
    seen = at_contact(simulator, contact, reply)
    assert (seen.text, seen.quoted_id, seen.quoted_text) == ("an answer", theirs, "hello")
    edited = client.do(
        "client.edit_message(jid(to), id, waE2E.Message(conversation='better')).ID", to=contact, id=reply
    )
    edit = at_contact(simulator, contact, edited)
    assert (edit.kind, edit.text, edit.edit, edit.target and edit.target.id) == ("edit", "better", "1", reply)
    reacted = client.do(
        "client.send_message(jid(to), client.build_reaction(received[id].Info.MessageSource.Chat, "
        "received[id].Info.MessageSource.Sender, id, '🎉')).ID",
        to=contact,
        id=theirs,
    )
    reaction = at_contact(simulator, contact, reacted)
    assert (reaction.kind, reaction.type, reaction.text) == ("reaction", "reaction", "🎉")
    revoked = client.do("client.revoke_message(jid(to), client.get_me().JID, id).ID", to=contact, id=reply)
    revoke = at_contact(simulator, contact, revoked)
    assert (revoke.kind, revoke.edit, revoke.target and revoke.target.id) == ("revoke", "7", reply)
    raw = client.do(
        "client.send_message(jid(to), waE2E.Message(locationMessage=waE2E.LocationMessage("
        "degreesLatitude=1.25, degreesLongitude=2.5, name='here'))).ID",
        to=contact,
    )
    place = at_contact(simulator, contact, raw).place
    assert place is not None
    assert (place.latitude, place.longitude, place.name) == (1.25, 2.5, "here")


def test_raw_messages_arrive_as_they_are(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    raw = bytes.fromhex(client.do("waE2E.Message(conversation='as it is').SerializeToString()"))
    message = client.wait(
        "Message", id=simulator.send_raw(contact, phone, raw, message_id="3ARAW", timestamp=1_700_000_000)
    )
    assert (message["id"], message["raw"]) == ("3ARAW", raw.hex())
    own = client.wait("Message", id=simulator.send_raw(phone, contact, raw))
    assert (own["mine"], own["text"]) == (True, "as it is")


def test_played_receipts(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, _, contact = chat
    sent = client.send(contact, "listen")
    at_contact(simulator, contact, sent)
    simulator.play(contact, sent)
    client.wait("Receipt", ids=[sent], type=4)
    client.wait("Receipt", ids=[sent], type=6)
