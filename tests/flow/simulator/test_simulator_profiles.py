"""People as a real neonize client looks them up; own profile and settings as it changes them; presence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from simulator_conditions import eventually
from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient

Paired = Callable[[str], tuple[NeonizeClient, str]]
Number = Callable[[], str]
JPEG = b"\xff\xd8\xff\xe0" + bytes(100) + b"\xff\xd9"


@pytest.fixture
def chat(paired: Paired, simulator: SimulatorClient, number: Number) -> tuple[NeonizeClient, str, str]:
    """A client, its number, and a contact."""
    client, phone = paired("a")
    contact = number()
    simulator.contact(contact, "Ada")
    return client, phone, contact


def test_people_are_looked_up(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, _, contact = chat
    simulator.set_profile(contact, about="at work", picture=JPEG, business_name="Ada & Sons")
    (found,) = client.do("[MessageToDict(one) for one in client.get_user_info(jid(to))]", to=contact)
    user = found["UserInfo"]
    assert user["Status"] == "at work"
    assert user["PictureID"] == simulator.profile(contact).picture_id
    picture = client.do("client.get_profile_picture(jid(to))", to=contact)
    assert picture["ID"] == user["PictureID"]
    (known, unknown) = client.do("[MessageToDict(a) for a in client.is_on_whatsapp('+' + to, '+4900001')]", to=contact)
    assert known["IsIn"]
    assert not unknown["IsIn"]
    simulator.set_profile(contact, picture_hidden=True)
    with pytest.raises(AssertionError, match=r"hidden|authorized"):
        client.do("client.get_profile_picture(jid(to))", to=contact)


def test_a_client_changes_its_own_profile(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    client.do("client.set_status_message('busy')")
    client.do("client.set_profile_photo(bytes.fromhex(jpeg))", jpeg=JPEG.hex())
    client.do("client.update_blocklist(jid(to), BlocklistAction.BLOCK)", to=contact)
    client.do("client.set_default_disappearing_timer(86400 * 10**9)")
    profile = simulator.profile(phone)
    assert profile.about == "busy"
    assert profile.picture_id
    assert profile.blocked == [contact]
    assert [one["User"] for one in client.do("client.get_blocklist()")["JIDs"]] == [
        simulator.get_contact(contact).lid.split("@")[0]
    ]
    client.do("client.update_blocklist(jid(to), BlocklistAction.UNBLOCK)", to=contact)
    assert simulator.profile(phone).blocked == []


def test_typing_and_presence_go_both_ways(chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient) -> None:
    client, phone, contact = chat
    client.set_name("A client")
    client.do("client.send_presence(Presence.AVAILABLE)")
    client.do("client.subscribe_presence(jid(to))", to=contact)
    client.wait("Presence")
    simulator.set_presence(contact, available=True)
    assert not client.wait("Presence")["data"].get("Unavailable", False)
    simulator.set_presence(contact, available=False, last_seen=1_700_000_000)
    assert client.wait("Presence")["data"]["LastSeen"] == "1700000000"
    simulator.type(contact, phone, "composing")
    client.wait("ChatPresence")
    client.do(
        "client.send_chat_presence(jid(to), ChatPresence.CHAT_PRESENCE_COMPOSING, "
        "ChatPresenceMedia.CHAT_PRESENCE_MEDIA_AUDIO)",
        to=contact,
    )
    eventually(lambda: [event.kind for event in simulator.events(contact)] == ["typing"])
    (typed,) = simulator.events(contact)
    assert (typed.change, typed.attributes, typed.sender) == ("composing", {"media": "audio"}, phone)


def test_pictures_and_about_texts_of_others_are_told(
    chat: tuple[NeonizeClient, str, str], simulator: SimulatorClient
) -> None:
    client, phone, contact = chat
    simulator.say(contact, phone, "we know each other")
    client.wait("Message")
    simulator.set_profile(contact, picture=JPEG)
    client.wait("Picture")
