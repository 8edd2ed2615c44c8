"""Every kind of message, end to end: REST on one side, a phone on the other, files compared byte for byte."""

import base64
import io
import json
import secrets
from typing import Any

import httpx
import pytest
from e2e_support import assert_clean_journal
from PIL import Image

from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, Member
from whatsam_local.driver.rest import WhatsamClient
from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.contacts.inbox import InboxMessage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ARRIVAL = 30.0


def picture() -> bytes:
    """A PNG that no other test sends."""
    target = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(target, "PNG")
    return target.getvalue()


def pdf() -> bytes:
    """Something that is sniffed as a PDF."""
    return b"%PDF-1.7\n" + secrets.token_bytes(3000)


def at_contact(simulator: SimulatorClient, member: Member, wa_id: str) -> InboxMessage:
    """The message as the contact's phone has it."""
    eventually(lambda: simulator.message(member.contact, wa_id) is not None, ARRIVAL, f"{wa_id} arrives")
    message = simulator.message(member.contact, wa_id)
    assert message is not None
    assert message.readable
    return message


def in_rest(tenant: WhatsamClient, session: str, wa_id: str) -> dict[str, Any]:
    """The message as REST shows it."""

    def found() -> list[dict[str, Any]]:
        return [one for one in tenant.messages(session) if one["waId"] == wa_id]

    eventually(lambda: bool(found()), ARRIVAL, f"{wa_id} is in REST")
    return tenant.message(session, found()[0]["messageId"])


@pytest.fixture(scope="module")
def member(fleet: Fleet) -> Member:
    """A connected session, its phone and a contact."""
    return fleet.members[0]


def test_every_kind_goes_out(member: Member, tenant: WhatsamClient, simulator: SimulatorClient) -> None:
    def send(**body: Any) -> InboxMessage:
        sent = tenant.call("POST", f"/sessions/{member.name}/send", {"to": member.contact, **body})
        assert sent["status"] in {"sent", "delivered"}, sent
        return at_contact(simulator, member, sent["waId"])

    image = picture()
    arrived = send(type="image", media=base64.b64encode(image).decode(), caption="the view")
    assert (arrived.kind, arrived.text) == ("image", "the view")
    assert simulator.media(member.contact, arrived.id) == image

    document = pdf()
    arrived = send(type="document", media={"base64": base64.b64encode(document).decode(), "fileName": "plan.pdf"})
    assert arrived.kind == "document"
    assert arrived.media is not None
    assert (arrived.media.file_name, arrived.media.mimetype) == ("plan.pdf", "application/pdf")
    assert simulator.media(member.contact, arrived.id) == document

    assert send(type="image", media=base64.b64encode(image).decode(), viewOnce=True).view_once
    assert send(type="location", location={"latitude": 47.1, "longitude": 8.5, "name": "hut"}).kind == "location"
    assert send(type="contact", contacts=[{"name": "Ada", "phone": "+491511000001"}]).kind == "contact"
    poll = send(type="poll", poll={"question": "when?", "options": ["Sat", "Sun"]})
    assert (poll.kind, poll.options) == ("poll", ["Sat", "Sun"])
    mention = send(type="text", text=f"hello @{member.contact}", mentions=[member.contact])
    assert mention.mentions == [f"{member.contact}@s.whatsapp.net"]


def test_an_upload_streams_through(
    running: RunningCluster, member: Member, tenant: WhatsamClient, simulator: SimulatorClient
) -> None:
    big = b"%PDF-1.7\n" + secrets.token_bytes(8 * 1024 * 1024)
    url = f"{running.environment['WHATSAM_API_URL'].rstrip('/')}/api/v1/sessions/{member.name}/send"
    answer = httpx.post(
        url,
        headers={"Authorization": f"Bearer {tenant.token}"},
        data={"payload": json.dumps({"type": "document", "to": member.contact, "caption": "all of it"})},
        files={"file": ("big.pdf", big, "image/png")},
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code in {200, 202}, answer.text
    sent = answer.json()["data"]
    eventually(lambda: tenant.message(member.name, sent["messageId"])["waId"] is not None, 60, "it is sent")
    arrived = at_contact(simulator, member, tenant.message(member.name, sent["messageId"])["waId"])
    assert arrived.media is not None
    assert arrived.media.mimetype == "application/pdf", "sniffed, not believed"
    assert simulator.media(member.contact, arrived.id) == big


def test_quote_edit_react_revoke_and_votes_end_in_the_right_row(
    member: Member, tenant: WhatsamClient, simulator: SimulatorClient
) -> None:
    at = f"/sessions/{member.name}"
    asked = simulator.say(member.contact, member.phone, "a quesion")
    question = in_rest(tenant, member.name, asked)

    answer = tenant.call(
        "POST", f"{at}/send", {"to": member.contact, "text": "an anser", "quotedMessageId": question["messageId"]}
    )
    assert at_contact(simulator, member, answer["waId"]).quoted_id == asked
    edited = tenant.call("PATCH", f"{at}/messages/{answer['messageId']}", {"text": "an answer"})
    eventually(lambda: simulator.message(member.contact, edited["waId"]) is not None, ARRIVAL, "the edit arrives")
    assert tenant.message(member.name, answer["messageId"])["text"] == "an answer"

    simulator.edit(member.contact, member.phone, asked, "a question")
    eventually(
        lambda: tenant.message(member.name, question["messageId"])["text"] == "a question", ARRIVAL, "the edit is seen"
    )
    simulator.react(member.contact, member.phone, answer["waId"], "👍")
    eventually(
        lambda: [one["emoji"] for one in tenant.message(member.name, answer["messageId"])["reactions"]] == ["👍"],
        ARRIVAL,
        "the reaction is at the answer",
    )
    poll = tenant.call(
        "POST", f"{at}/send", {"to": member.contact, "type": "poll", "poll": {"question": "?", "options": ["a", "b"]}}
    )
    at_contact(simulator, member, poll["waId"])
    simulator.vote(member.contact, member.phone, poll["waId"], ["b"])
    eventually(
        lambda: (tenant.message(member.name, poll["messageId"])["pollResult"] or {}).get("voters") == 1,
        ARRIVAL,
        "the vote is counted",
    )
    result = tenant.message(member.name, poll["messageId"])["pollResult"]
    assert {one["option"]: one["votes"] for one in result["options"]} == {"a": 0, "b": 1}

    simulator.revoke(member.contact, member.phone, asked)
    eventually(
        lambda: tenant.message(member.name, question["messageId"])["deletedAt"] is not None, ARRIVAL, "it is deleted"
    )
    assert tenant.message(member.name, question["messageId"])["text"] is None
    simulator.read(member.contact, answer["waId"])
    eventually(
        lambda: tenant.message(member.name, answer["messageId"])["status"] == "read", ARRIVAL, "the read receipt"
    )


def test_files_that_come_in_are_kept(
    running: RunningCluster, member: Member, tenant: WhatsamClient, simulator: SimulatorClient
) -> None:
    image = picture()
    wa_id = simulator.send_media(
        member.contact, member.phone, image, kind="image", mimetype="image/png", caption="from the top"
    )
    message = in_rest(tenant, member.name, wa_id)
    assert (message["type"], message["text"]) == ("image", "from the top")
    eventually(
        lambda: tenant.message(member.name, message["messageId"])["media"]["state"] == "stored",
        ARRIVAL,
        "the file is in the object store",
    )
    url = tenant.message(member.name, message["messageId"])["media"]["url"]
    got = httpx.get(
        f"{running.environment['WHATSAM_API_URL'].rstrip('/')}{url}",
        headers={"Authorization": f"Bearer {tenant.token}"},
        follow_redirects=True,
        timeout=30,
        trust_env=False,
    )
    assert got.status_code == 200
    assert got.content == image

    simulator.send_location(member.contact, member.phone, 47.1, 8.5)
    simulator.send_contacts(member.contact, member.phone, [("Ada", "491511000001")])
    simulator.send_poll(member.contact, member.phone, "tea?", ["yes", "no"])
    eventually(
        lambda: {"location", "contact", "poll"} <= {one["type"] for one in tenant.messages(member.name)},
        ARRIVAL,
        "the other kinds are in REST",
    )


def test_chats_and_search(member: Member, tenant: WhatsamClient, simulator: SimulatorClient) -> None:
    word = f"edelweiss{secrets.token_hex(4)}"
    wa_id = simulator.say(member.contact, member.phone, f"I found an {word} today")
    in_rest(tenant, member.name, wa_id)
    found = tenant.messages(member.name, q=word)
    assert [one["waId"] for one in found] == [wa_id]
    assert [one["waId"] for one in tenant.messages(member.name, q=word, contact=member.contact)] == [wa_id]
    chats = tenant.call("GET", f"/sessions/{member.name}/chats")["items"]
    assert any(chat["unread"] >= 1 for chat in chats)
    assert_clean_journal(simulator)
