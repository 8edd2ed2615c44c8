"""Groups as a real neonize client asks about them, changes them, and hears of changes by others."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from simulator_conditions import eventually
from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.control.group_models import GroupView

Paired = Callable[[str], tuple[NeonizeClient, str]]
Number = Callable[[], str]
JPEG = b"\xff\xd8\xff\xe0" + bytes(100) + b"\xff\xd9"
GROUP = "jid(group, 'g.us')"


@pytest.fixture
def client_and_phone(paired: Paired) -> tuple[NeonizeClient, str]:
    return paired("a")


@pytest.fixture
def people(simulator: SimulatorClient, number: Number) -> list[str]:
    made = [number() for _ in range(3)]
    for each in made:
        simulator.contact(each)
    return made


def info(client: NeonizeClient, group: str) -> dict[str, Any]:
    return client.do(f"client.get_group_info({GROUP})", group=group)


def change(client: NeonizeClient, group: str, members: list[str], action: str) -> list[dict[str, Any]]:
    return client.do(
        f"[MessageToDict(one) for one in client.update_group_participants({GROUP}, [jid(m) for m in members], "
        f"ParticipantChange.{action})]",
        group=group,
        members=members,
    )


def test_members_are_changed_one_by_one(
    client_and_phone: tuple[NeonizeClient, str], people: list[str], simulator: SimulatorClient
) -> None:
    client, phone = client_and_phone
    ada, bob, eve = people
    simulator.set_profile(eve, privacy={"groupadd": "none"})
    group = client.call("create-group", members=[ada])
    added = change(client, group, [bob, eve, ada], "ADD")
    assert [member.get("Error", 0) for member in added] == [0, 403, 409]
    assert added[1]["AddRequest"]["Code"]
    assert set(simulator.group(group).members) == {phone, ada, bob}
    change(client, group, [bob], "PROMOTE")
    assert simulator.group(group).members[bob] == "admin"
    change(client, group, [bob], "DEMOTE")
    change(client, group, [ada], "REMOVE")
    assert simulator.group(group).members == {phone: "superadmin", bob: ""}
    seen = [(event.change, event.members) for event in simulator.events(bob) if event.kind == "group"]
    assert [each for each in seen if each[0] != "create"] == [("promote", [bob]), ("demote", [bob]), ("remove", [ada])]


def test_settings_that_a_client_changes(
    client_and_phone: tuple[NeonizeClient, str], people: list[str], simulator: SimulatorClient
) -> None:
    client, _ = client_and_phone
    group = client.call("create-group", members=people)
    client.do(f"client.set_group_name({GROUP}, 'better name')", group=group)
    client.do(f"client.set_group_topic({GROUP}, '', '', 'what it is about')", group=group)
    client.do(f"client.set_group_announce({GROUP}, True)", group=group)
    client.do(f"client.set_group_locked({GROUP}, True)", group=group)
    client.do(f"client.set_group_photo({GROUP}, bytes.fromhex(jpeg))", group=group, jpeg=JPEG.hex())
    kept = simulator.group(group)
    assert (kept.subject, kept.description, kept.announce, kept.locked) == (
        "better name",
        "what it is about",
        True,
        True,
    )
    seen = info(client, group)
    assert seen["GroupName"]["Name"] == "better name"
    assert seen["GroupTopic"]["Topic"] == "what it is about"
    assert seen["GroupAnnounce"]["IsAnnounce"]
    assert seen["GroupLocked"]["isLocked"]
    picture = client.do(f"client.get_profile_picture({GROUP})", group=group)
    assert picture["ID"] == kept.picture_id
    assert "/v/t61.24694-24/" in picture["DirectPath"]
    changes = {event.change for event in simulator.events(people[0])}
    assert {"create", "subject", "description", "announcement", "locked", "set"} <= changes
    joined = client.do("[MessageToDict(one) for one in client.get_joined_groups()]")
    assert [one["GroupTopic"]["Topic"] for one in joined] == ["what it is about"]


def group_of(simulator: SimulatorClient, owner: str, members: list[str], **settings: Any) -> GroupView:
    group = simulator.create_group(owner, members, "friends")
    return simulator.change_group(group.id, owner, **settings) if settings else group


def test_changes_by_others_are_heard(
    client_and_phone: tuple[NeonizeClient, str], people: list[str], simulator: SimulatorClient
) -> None:
    client, phone = client_and_phone
    ada, bob, _ = people
    group = group_of(simulator, ada, [phone])
    client.wait("JoinedGroup", group=group.id)
    simulator.change_group(group.id, ada, subject="new", ephemeral=86_400, announce=True, picture=JPEG)
    simulator.change_group(group.id, ada, add=[bob], promote=[phone])
    simulator.change_group(group.id, ada, remove=[bob])
    expected = ("Name", "Ephemeral", "Announce", "Join", "Promote", "Leave")
    eventually(lambda: set(expected) <= {name for event in client.events("GroupInfo") for name in event["data"]})
    client.wait("Picture")
    by_name = {name: event["data"][name] for event in client.events("GroupInfo") for name in event["data"]}
    assert by_name["Name"]["Name"] == "new"
    assert by_name["Ephemeral"]["DisappearingTimer"] == 86_400
    assert [member["User"] for member in by_name["Join"]] == [simulator.get_contact(bob).lid.split("@")[0]]


def test_links_and_leaving(
    client_and_phone: tuple[NeonizeClient, str], people: list[str], simulator: SimulatorClient
) -> None:
    client, phone = client_and_phone
    ada, bob, eve = people
    mine = client.call("create-group", members=[ada])
    first = client.do(f"client.get_group_invite_link({GROUP})", group=mine)
    assert first.endswith(simulator.group(mine).invite)
    second = client.do(f"client.get_group_invite_link({GROUP}, revoke=True)", group=mine)
    assert second != first
    assert simulator.join_group(mine, bob)
    with pytest.raises(AssertionError, match="revoked"):
        client.do("client.get_group_info_from_link(link)", link=first)
    theirs = group_of(simulator, ada, [bob], description="secret circle")
    link = f"https://chat.whatsapp.com/{theirs.invite}"
    seen = client.do("client.get_group_info_from_link(link)", link=link)
    assert (seen["GroupName"]["Name"], seen["GroupTopic"]["Topic"]) == ("friends", "secret circle")
    client.do("client.join_group_with_link(link)", link=link)
    assert phone in simulator.group(theirs.id).members
    client.send(theirs.id, "hello all", server="g.us")
    eventually(lambda: simulator.texts(bob) == ["hello all"])
    client.do(f"client.leave_group({GROUP})", group=theirs.id)
    assert phone not in simulator.group(theirs.id).members
    with pytest.raises(AssertionError):
        info(client, theirs.id)
    guarded = group_of(simulator, ada, [phone], approval=True, promote=[phone])
    assert not simulator.join_group(guarded.id, eve)
    waiting = client.do(f"[str(one) for one in client.get_group_request_participants({GROUP})]", group=guarded.id)
    assert simulator.get_contact(eve).lid.split("@")[0] in waiting[0]
    simulator.decide_requests(guarded.id, ada, approve=[eve])
    assert simulator.group(guarded.id).requests == []
    assert eve in simulator.group(guarded.id).members


def test_a_group_of_fifty_reads_and_writes(
    client_and_phone: tuple[NeonizeClient, str], simulator: SimulatorClient, number: Number
) -> None:
    client, phone = client_and_phone
    members = [number() for _ in range(50)]
    for member in members:
        simulator.contact(member)
    group = simulator.create_group(members[0], [*members[1:], phone], "fifty")
    client.wait("JoinedGroup", group=group.id)
    data = os.urandom(2_000)
    sent = [client.send(group.id, f"for all {n}", server="g.us") for n in range(5)]
    for member in members:
        eventually(lambda member=member: simulator.texts(member) == [f"for all {n}" for n in range(5)])
    for n, member in enumerate(members):
        simulator.say_to_group(member, group.id, f"from {n}")
    client.wait("Message", text="from 49", group=True)
    received = [event["text"] for event in client.events("Message") if event["text"]]
    assert received == [f"from {n}" for n in range(50)]
    picture = simulator.send_media(members[7], group.jid, data, kind="image", caption="see")
    client.wait("Message", id=picture, group=True)
    assert bytes.fromhex(client.call("download", id=picture)) == data
    reaction = simulator.react(members[3], group.jid, sent[0], "👍")
    event = client.wait("Message", id=reaction)
    key = event["message"]["reactionMessage"]["key"]
    assert (key["ID"], key["participant"]) == (sent[0], simulator.get_contact(phone).lid)
    simulator.type(members[4], group.jid, "recording")
    client.wait("ChatPresence")
