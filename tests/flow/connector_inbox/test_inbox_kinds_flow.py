"""Each kind of message comes in from a contact's phone, as a row with its content; files come bit by bit the same."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest
from connector_inbox_rig import TENANT, InboxRig
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from whatsam_core.media import media_key

CARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nTEL;type=CELL;waid=491511000001:+49 1511 000001\nEND:VCARD"


async def test_messages_without_files(rig: InboxRig) -> None:
    await rig.start()
    contact, say = f"{rig.ada}@s.whatsapp.net", rig.simulator
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        (await rig.do(say.say, rig.ada, rig.own, "hello 👋"), "text", {"text": "hello 👋"}),
        (
            await rig.do(say.send_location, rig.ada, rig.own, 52.5, 13.25, name="here"),
            "location",
            {"location": {"latitude": 52.5, "longitude": 13.25, "name": "here"}},
        ),
        (
            await rig.do(say.send_contacts, rig.ada, rig.own, [("Ada", CARD)]),
            "contact",
            {"contacts": [{"name": "Ada", "vcard": CARD, "phone": "+491511000001"}]},
        ),
        (
            await rig.do(say.send_poll, rig.ada, rig.own, "when?", ["now", "later"]),
            "poll",
            {"poll": {"question": "when?", "options": ["now", "later"], "selectable": 1}},
        ),
    ]
    live = await rig.do(say.send_live_location, rig.ada, rig.own, 1.5, 2.5)
    buttons = Message(buttonsMessage={"contentText": "choose", "footerText": "foot"}).SerializeToString()
    unknown = await rig.do(say.send_raw, rig.ada, rig.own, buttons)
    for wa_id, kind, body in wanted:
        row = await rig.row(wa_id)
        assert (row["type"], row["direction"], row["status"], row["contact"]) == (kind, "in", "received", contact)
        assert {name: row["body"].get(name) for name in body} == body
    assert (await rig.row(live))["body"]["location"] == {"latitude": 1.5, "longitude": 2.5}
    row = await rig.row(unknown)
    assert (row["type"], row["body"]["text"]) == ("unknown", "choose\nfoot")
    assert row["body"]["raw"]
    (chat,) = await rig.rows("select * from chats where session = $1 and unread = 6")
    assert chat["contact"] == contact
    events = await rig.rows("select kind, message_id from events where session = $1", count=6)
    assert [event["kind"] for event in events] == ["message.received"] * 6
    assert all(event["message_id"] for event in events)


KINDS = ["image", "video", "gif", "ptv", "audio", "voice", "document", "sticker"]


async def test_files_of_every_kind_end_in_the_object_store(rig: InboxRig) -> None:
    await rig.start()
    sent: dict[str, tuple[str, bytes]] = {}
    for kind in KINDS:
        data = os.urandom(70_000 + len(kind))
        caption = "see this" if kind in ("image", "document") else None
        wa_id = await rig.do(
            rig.simulator.send_media, rig.ada, rig.own, data, kind=kind, mimetype=f"x/{kind}", caption=caption
        )
        sent[kind] = (wa_id, data)
    for kind, (wa_id, data) in sent.items():
        row = await rig.row(wa_id, "media ->> 'state' = 'stored'")
        assert row["type"] == {"ptv": "video"}.get(kind, kind)
        assert row["media"]["mimetype"] == f"x/{kind}"
        key = media_key("whatsam", TENANT, row["media"]["sha256"])
        assert await rig.objects.get(key) == data
        assert row["media"]["size"] == len(data)
    assert (await rig.row(sent["image"][0]))["body"]["caption"] == "see this"
    events = await rig.rows("select body from events where session = $1 and kind = 'message.media'", count=len(KINDS))
    assert {event["body"]["state"] for event in events} == {"stored"}


async def test_files_that_are_gone_damaged_or_too_large(rig: InboxRig) -> None:
    await rig.start()

    def image(data: bytes, behaviour: dict[str, Any], path: str | None = None) -> str:
        file = rig.simulator.upload("image", data)
        if behaviour:
            rig.simulator.set_media_behaviour(file.direct_path, **behaviour)
        message = Message(
            imageMessage={
                "directPath": path or file.direct_path,
                "URL": "https://127.0.0.1:1/never",
                "mediaKey": bytes.fromhex(file.media_key),
                "fileSHA256": bytes.fromhex(file.sha256),
                "fileEncSHA256": bytes.fromhex(file.enc_sha256),
                "fileLength": file.size,
                "mimetype": "image/png",
            }
        )
        return rig.simulator.send_raw(rig.ada, rig.own, message.SerializeToString())

    gone = await rig.do(image, os.urandom(100), {"status": 410})
    corrupt = await rig.do(image, os.urandom(100), {"corrupt": True})
    elsewhere = await rig.do(image, os.urandom(100), {}, "@evil.example/v/t62")
    large = await rig.do(image, bytes(1024 * 1024 + 1), {})
    fine = await rig.do(image, b"fine", {})
    assert (await rig.row(fine, "media ->> 'state' = 'stored'"))["media"]["size"] == 4
    assert (await rig.row(gone, "media ->> 'state' = 'expired'"))["media"]["error"]
    assert (await rig.row(elsewhere, "media ->> 'state' = 'failed'"))["media"]["error"]
    # The route takes a MiB; what the message says is believed only when it is too much already.
    await rig.row(large, "media ->> 'state' = 'skipped'")
    (waiting,) = await rig.rows(
        "select media.attempts, media.error from media join messages on messages.id = media.message_id "
        "where media.session = $1 and wa_id = $2 and media.attempts >= 1", corrupt,
    )  # fmt: skip
    assert "not those" in waiting["error"]
    assert (await rig.row(corrupt, "media ->> 'state' = 'failed'"))["media"]["error"]  # after three attempts


async def test_groups_own_messages_and_view_once(rig: InboxRig, new_number: Callable[[], str]) -> None:
    await rig.start()
    bob = rig.engines.contact(new_number())
    group = await rig.do(rig.simulator.create_group, rig.ada, [rig.own, bob], "friends")
    first = await rig.do(rig.simulator.say_to_group, bob, group.id, "from bob")
    second = await rig.do(rig.simulator.say, rig.own, rig.ada, "from my own phone")
    once = await rig.do(
        rig.simulator.send_media, rig.ada, rig.own, b"secret", kind="image", mimetype="image/png",
        media={"view_once": True},
    )  # fmt: skip
    row = await rig.row(first)
    assert (row["contact"], row["sender_phone"], row["chat"]) == (group.jid, bob, group.jid)
    assert row["secret"] is None or len(row["secret"]) == 32
    row = await rig.row(second)
    assert (row["direction"], row["status"], row["contact"]) == ("out", "sent", f"{rig.ada}@s.whatsapp.net")
    row = await rig.row(once)
    assert row["body"]["viewOnce"] is True
    assert "raw" not in row["body"]
    (chat,) = await rig.rows("select * from chats where session = $1 and kind = 'group' and name is not null")
    assert chat["name"] == "friends"
    assert await rig.sql.fetchval("select count(*) from messages where wa_id = $1", first) == 1


@pytest.mark.parametrize("damaged", [1, 2])
async def test_an_undecryptable_message_is_completed_by_the_retry(rig: InboxRig, damaged: int) -> None:
    await rig.start()
    rig.simulator.set_faults(damage_messages=damaged, numbers=[rig.own])
    wa_id = await rig.do(rig.simulator.say, rig.ada, rig.own, "once more")
    row = await rig.row(wa_id, "status = 'received'")
    assert row["body"]["text"] == "once more"
    assert rig.counts.get("undecryptable") == damaged or await rig.until(lambda: _counted(rig, damaged))
    assert await rig.sql.fetchval("select count(*) from messages where session = $1", rig.session) == 1
    kinds = await rig.sql.fetch("select kind from events where session = $1", rig.session)
    assert [kind["kind"] for kind in kinds] == ["message.received"]


async def _counted(rig: InboxRig, damaged: int) -> bool:
    await asyncio.sleep(0)
    return rig.counts.get("undecryptable") == damaged
