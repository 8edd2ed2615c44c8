"""Every kind of message, from its row through preparer and real engine to the recipient's phone in the simulator."""

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from connector_engine_rig import LIMIT_SECONDS, Account, Rig, Running

from whatsam_connector.clock import SystemClock
from whatsam_connector.content import schema
from whatsam_connector.messages.prepared import PreparationFailed, TargetRow
from whatsam_connector.messages.preparing import Preparing, SessionPreparer
from whatsam_connector.messages.rules import OutRow, OutStatus
from whatsam_connector.messages.uploads import Uploads
from whatsam_connector.supervision import OutgoingMessage
from whatsam_core.media import media_key
from whatsam_core.storage.objects import ObjectMissing
from whatsam_simulator.contacts.inbox import InboxMessage

TENANT = "acme"
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0tiny").decode()


@dataclass
class Files:
    """An object store in a folder."""

    folder: Path
    asked: list[str] = field(default_factory=list[str])

    def put(self, data: bytes, mimetype: str, name: str | None = None) -> dict[str, Any]:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.folder / media_key("whatsam", TENANT, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        media: dict[str, Any] = {"sha256": sha256, "size": len(data), "mimetype": mimetype}
        return {**media, "fileName": name} if name else media

    async def get_file(self, key: str, path: Path) -> int:
        self.asked.append(key)
        if not (self.folder / key).exists():
            raise ObjectMissing(key)
        data = await asyncio.to_thread((self.folder / key).read_bytes)
        return await asyncio.to_thread(path.write_bytes, data)


class Rows:
    """What the table says of messages that were sent."""

    def __init__(self) -> None:
        self.known: dict[UUID, TargetRow] = {}

    async def target(self, session: str, message: UUID) -> TargetRow | None:
        return self.known.get(message)


class Sender:
    """A paired session that sends rows as the outbox does."""

    def __init__(self, rig: Rig, account: Account, running: Running, folder: Path) -> None:
        self.rig = rig
        self.account = account
        self.process = running.process
        self.files = Files(folder / "objects")
        self.rows = Rows()
        clock = SystemClock()
        uploads = Uploads(self.files, folder / "uploads", installation_id="whatsam", now=clock.now)
        preparing = Preparing(self.rows, uploads, clock, lambda: 0.5)
        self.preparer: SessionPreparer = preparing.open("test/phone", TENANT, account.uid)

    async def send(self, kind: str, chat: str, body: dict[str, Any], *, ephemeral: int = 0) -> str:
        row = OutRow(uuid4(), chat, kind, body, OutStatus.PENDING, 0, None, ephemeral)
        prepared = self.preparer.immediate(row) or await self.preparer.prepare(row, self.process)
        message = OutgoingMessage(str(row.id), prepared.to, prepared.message)
        result = await self.process.send(self.account.uid, message, LIMIT_SECONDS)
        self.rows.known[row.id] = TargetRow(result.wa_id, "sent")
        return result.wa_id

    async def arrives(self, number: str, wa_id: str) -> InboxMessage:
        """The message as the other phone has it."""

        async def there() -> InboxMessage:
            while (found := await asyncio.to_thread(self.rig.simulator.message, number, wa_id)) is None:  # noqa: ASYNC110 - no push
                await asyncio.sleep(0.02)
            return found

        return await asyncio.wait_for(there(), LIMIT_SECONDS)


@pytest.fixture
async def sender(rig: Rig, new_number: Callable[[], str], tmp_path: Path) -> Sender:
    account = rig.account(new_number())
    return Sender(rig, account, await rig.pair(account), tmp_path)


FILES: list[tuple[str, str, dict[str, Any]]] = [
    ("image", "image/jpeg", {"caption": "look", "width": 64, "height": 48, "thumbnail": JPEG}),
    ("video", "video/mp4", {"caption": "moving", "seconds": 4}),
    ("gif", "video/mp4", {"seconds": 1}),
    ("audio", "audio/mpeg", {"seconds": 9}),
    ("voice", "audio/ogg", {"seconds": 3, "waveform": base64.b64encode(bytes(64)).decode()}),
    ("document", "application/pdf", {"caption": "the bill"}),
    ("sticker", "image/webp", {"width": 512, "height": 512}),
]


async def test_every_kind_of_file_arrives_byte_for_byte(sender: Sender, new_number: Callable[[], str]) -> None:
    contact = sender.rig.contact(new_number())
    for kind, mimetype, more in FILES:
        data = os.urandom(70_000)
        media = sender.files.put(data, mimetype, "bill.pdf" if kind == "document" else None)
        wa_id = await sender.send(kind, contact, {"media": media, **more})
        seen = await sender.arrives(contact, wa_id)
        assert seen.kind == kind
        assert await asyncio.to_thread(sender.rig.simulator.media, contact, wa_id) == data
        assert seen.media is not None
        assert seen.media.sha256 == media["sha256"]
        assert seen.text == more.get("caption")
        assert (seen.seconds, seen.width) == (more.get("seconds"), more.get("width"))
        if kind == "document":
            assert seen.media.file_name == "bill.pdf"
    assert list((sender.files.folder.parent / "uploads").iterdir()) == [], "nothing is left on the disk"


async def test_view_once_and_disappearing(sender: Sender, new_number: Callable[[], str]) -> None:
    contact = sender.rig.contact(new_number())
    media = sender.files.put(os.urandom(1000), "image/jpeg")
    once = await sender.arrives(contact, await sender.send("image", contact, {"media": media, "viewOnce": True}))
    assert (once.kind, once.view_once) == ("image", True)
    text = await sender.arrives(contact, await sender.send("text", contact, {"text": "soon gone"}, ephemeral=86_400))
    assert (text.text, text.expiration) == ("soon gone", 86_400)


async def test_a_file_for_many_is_uploaded_once(sender: Sender, new_number: Callable[[], str]) -> None:
    media = sender.files.put(os.urandom(5000), "image/png")
    contacts = [sender.rig.contact(new_number()) for _ in range(3)]
    for contact in contacts:
        await sender.arrives(contact, await sender.send("image", contact, {"media": media}))
    assert len(sender.files.asked) == 1


async def test_a_file_that_is_gone_is_a_refusal(sender: Sender, new_number: Callable[[], str]) -> None:
    contact = sender.rig.contact(new_number())
    body = {"media": {"sha256": "0" * 64, "size": 5, "mimetype": "image/png"}}
    with pytest.raises(PreparationFailed) as failed:
        await sender.send("image", contact, body)
    assert (failed.value.code, failed.value.retry_after) == ("MediaMissing", None)


async def test_places_cards_and_polls(sender: Sender, new_number: Callable[[], str]) -> None:
    contact = sender.rig.contact(new_number())
    place = {"latitude": 52.5, "longitude": 13.4, "name": "Here", "address": "Street 1"}
    seen = await sender.arrives(contact, await sender.send("location", contact, {"location": place}))
    assert seen.kind == "location"
    assert seen.place is not None
    assert (seen.place.latitude, seen.place.longitude, seen.place.name) == (52.5, 13.4, "Here")
    live = {"location": {"latitude": 1.0, "longitude": 2.0, "heading": 90}, "caption": "coming"}
    assert (await sender.arrives(contact, await sender.send("live_location", contact, live))).kind == "live_location"
    card = {"contacts": [{"name": "Ada", "phone": "491511000009"}]}
    seen = await sender.arrives(contact, await sender.send("contact", contact, card))
    assert (seen.kind, seen.contacts[0].name) == ("contact", "Ada")
    cards = {"contacts": [{"name": "Ada", "phone": "491511000009"}, {"name": "Bob", "phone": "491511000010"}]}
    seen = await sender.arrives(contact, await sender.send("contact", contact, cards))
    assert [one.name for one in seen.contacts] == ["Ada", "Bob"]
    secret = base64.b64encode(os.urandom(32)).decode()
    poll = {"poll": {"question": "When?", "options": ["Mon", "Tue"], "selectable": 1, "secret": secret}}
    seen = await sender.arrives(contact, await sender.send("poll", contact, poll))
    assert (seen.kind, seen.text, seen.options, seen.selectable) == ("poll", "When?", ["Mon", "Tue"], 1)
    assert seen.secret
    assert seen.type == "poll", "WhatsApp's server is told that it is one"


async def test_answers_reactions_edits_and_deletions(sender: Sender, new_number: Callable[[], str]) -> None:
    number = new_number()
    contact, chat = sender.rig.contact(number), f"{number}@s.whatsapp.net"
    first = await sender.send("text", contact, {"text": "frist"})
    row = next(iter(sender.rows.known))
    own = f"{sender.account.number}@s.whatsapp.net"
    target = {"messageId": str(row), "sender": own, "fromMe": True, "type": "text"}

    quoted = {"quoted": {"messageId": str(row), "sender": own, "fromMe": True, "type": "text", "text": "frist"}}
    seen = await sender.arrives(contact, await sender.send("text", contact, {"text": "I mean", **quoted}))
    assert (seen.text, seen.quoted_id, seen.quoted_text) == ("I mean", first, "frist")

    seen = await sender.arrives(contact, await sender.send("edit", chat, {"text": "first", "target": target}))
    assert (seen.kind, seen.text, seen.edit) == ("edit", "first", "1")
    assert seen.target is not None
    assert seen.target.id == first

    reaction = {"reaction": {"emoji": "👍"}, "target": target}
    seen = await sender.arrives(contact, await sender.send("reaction", chat, reaction))
    assert (seen.kind, seen.text) == ("reaction", "👍")
    assert seen.target is not None
    assert (seen.target.id, seen.target.from_me) == (first, True)

    seen = await sender.arrives(contact, await sender.send("revoke", chat, {"target": target}))
    assert (seen.kind, seen.edit) == ("revoke", "7")
    assert seen.target is not None
    assert seen.target.id == first


async def test_a_message_of_somebody_else_is_answered_and_passed_on(
    sender: Sender, new_number: Callable[[], str]
) -> None:
    number, other = new_number(), sender.rig.contact(new_number())
    contact, chat = sender.rig.contact(number), f"{number}@s.whatsapp.net"
    wa_id = await asyncio.to_thread(sender.rig.simulator.say, contact, sender.account.number, "hello")
    target = {"waId": wa_id, "sender": chat, "fromMe": False, "type": "text"}
    reaction = {"reaction": {"emoji": "❤️"}, "target": target}
    seen = await sender.arrives(contact, await sender.send("reaction", chat, reaction))
    assert seen.target is not None
    assert (seen.target.id, seen.target.from_me) == (wa_id, False)
    seen = await sender.arrives(other, await sender.send("text", other, {"text": "hello", "forwarded": True}))
    assert (seen.text, seen.forwarded) == ("hello", True)
    raw = base64.b64encode(schema.Message(conversation="from the original").SerializeToString()).decode()
    body = {"text": "-", "forwarded": True, "forwardingScore": 4, "raw": raw}
    seen = await sender.arrives(other, await sender.send("text", other, body))
    assert (seen.text, seen.forwarded) == ("from the original", True)


async def test_groups_get_mentions_files_and_an_administrators_deletion(
    sender: Sender, new_number: Callable[[], str]
) -> None:
    members = [sender.rig.contact(new_number()) for _ in range(3)]
    group = await asyncio.to_thread(sender.rig.simulator.create_group, sender.account.number, members, "all")
    chat = group.id if "@" in group.id else f"{group.id}@g.us"
    mention = f"{members[0]}@s.whatsapp.net"
    wa_id = await sender.send("text", chat, {"text": f"@{members[0]} hi", "mentions": [mention]})
    data = os.urandom(3000)
    file = await sender.send("document", chat, {"media": sender.files.put(data, "text/csv", "all.csv")})
    for member in members:
        seen = await sender.arrives(member, wa_id)
        assert (seen.group, seen.mentions) == (True, [mention])
        await sender.arrives(member, file)
        assert await asyncio.to_thread(sender.rig.simulator.media, member, file) == data
    theirs = await asyncio.to_thread(sender.rig.simulator.say, members[1], chat, "spam")
    target = {"waId": theirs, "sender": f"{members[1]}@s.whatsapp.net", "fromMe": False, "type": "text"}
    seen = await sender.arrives(members[0], await sender.send("revoke", chat, {"target": target}))
    assert (seen.kind, seen.edit) == ("revoke", "8")
    assert seen.target is not None
    assert (seen.target.id, seen.target.from_me) == (theirs, False)
