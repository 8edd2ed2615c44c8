"""Groups, contacts and the own account, over REST alone: what a tenant asks for happens at WhatsApp."""

import secrets

import pytest

from whatsam_local.driver.errors import CallRefused
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_local.driver.rest import WhatsamClient
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def strangers(simulator: SimulatorClient, count: int) -> list[str]:
    """Numbers of contacts that no other test uses."""
    first = 491_600_000_000 + secrets.randbelow(80_000) * 1000
    numbers = [str(first + number) for number in range(count)]
    for number in numbers:
        simulator.contact(number)
    return numbers


def test_a_group_from_its_creation_to_leaving_it(
    single: Fleet, tenant: WhatsamClient, simulator: SimulatorClient
) -> None:
    (member,) = single.members
    ada, ben, cleo = strangers(simulator, 3)
    at = f"/sessions/{member.name}/groups"
    made = tenant.call("POST", at, {"subject": "Climbers", "participants": [ada, ben], "announce": False})
    group, jid = simulator.group(made["jid"]), made["jid"]
    assert set(group.members) == {member.phone, ada, ben}
    assert tenant.call("GET", at)[0]["subject"] == "Climbers"

    assert tenant.call("PATCH", f"{at}/{jid}", {"subject": "Boulderers", "announce": True, "locked": True})["changed"]
    after = simulator.group(jid)
    assert (after.subject, after.announce, after.locked) == ("Boulderers", True, True)

    outcomes = tenant.call("POST", f"{at}/{jid}/members", {"participants": [cleo]})
    assert [outcome["done"] for outcome in outcomes] == [True]
    tenant.call("PATCH", f"{at}/{jid}/members", {"participants": [cleo], "role": "admin"})
    assert simulator.group(jid).members[cleo] == "admin"
    tenant.call("DELETE", f"{at}/{jid}/members", participants=ben)
    assert set(simulator.group(jid).members) == {member.phone, ada, cleo}

    link = tenant.call("GET", f"{at}/{jid}/invite")["link"]
    assert tenant.call("GET", f"{at}/preview", link=link)["subject"] == "Boulderers"
    assert tenant.call("POST", f"{at}/{jid}/invite")["link"] != link

    tenant.send(member.name, jid, "who climbs today?")
    for person in (ada, cleo):
        eventually(lambda one=person: "who climbs today?" in simulator.texts(one), 20, "the members read it")
    simulator.say_to_group(cleo, jid, "I do")
    eventually(lambda: "I do" in tenant.received(member.name), 20, "the answer is in REST")

    tenant.call("POST", f"{at}/{jid}/leave")
    assert member.phone not in simulator.group(jid).members
    assert simulator.violations() == []


def test_numbers_blocks_and_the_own_profile(single: Fleet, tenant: WhatsamClient, simulator: SimulatorClient) -> None:
    (member,) = single.members
    at = f"/sessions/{member.name}"
    (ada,) = strangers(simulator, 1)
    checked = tenant.call("GET", f"{at}/contacts/check", phones=f"{ada},499999999999")
    assert {one["phone"]: one["registered"] for one in checked} == {ada: True, "499999999999": False}

    simulator.set_profile(ada, about="climbing")
    assert tenant.call("GET", f"{at}/users/{ada}")["about"] == "climbing"
    with pytest.raises(CallRefused) as without:
        tenant.call("GET", f"{at}/users/{ada}/avatar")
    assert without.value.status == 404

    blocked = tenant.call("PUT", f"{at}/blocklist", {"block": [ada]})["blocked"]
    assert [one["phone"] for one in blocked] == [ada]
    assert tenant.call("PUT", f"{at}/blocklist", {"unblock": [ada]})["blocked"] == []

    tenant.call("PUT", f"{at}/profile", {"about": "reachable by Whatsam"})
    assert simulator.profile(member.phone).about == "reachable by Whatsam"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("groups/nonsense", None, "jid"),
        ("groups/491511000001@s.whatsapp.net", None, "jid"),
        ("users/not-a-person", None, "jid"),
        ("contacts/check?phones=abc", None, "phones"),
        ("groups/preview?link=https://example.com/x", None, "link"),
    ],
)
def test_wrong_addresses_are_named(
    fleet: Fleet, tenant: WhatsamClient, path: str, body: dict[str, object] | None, field: str
) -> None:
    with pytest.raises(CallRefused) as refused:
        tenant.call("GET", f"/sessions/{fleet.names[0]}/{path}", body)
    assert refused.value.status == 422
    assert field in str(refused.value)
