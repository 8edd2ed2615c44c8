"""A session's history for tests: written by the connector's own statements, as in production."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from whatsam_connector.messages.batch import Batch, ContactChange, NewEvent, NewMessage
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable
from whatsam_core.message_ids import derived_message_id, message_at

ANN, BOB, GROUP = "491511000001@s.whatsapp.net", "491511000002@s.whatsapp.net", "120363012345678901@g.us"
NOW = message_at(datetime.now(UTC))
HASH = hashlib.sha256(b"picture").hexdigest()


@dataclass
class Recorder:
    """Writes what came for one session."""

    table: MessageTable
    session: str
    tenant: str
    uid: UUID

    async def __call__(self, *messages: NewMessage, **parts: Any) -> None:
        batch = Batch(messages=messages, **parts)
        await self.table.record(self.session, self.tenant, self.uid, batch)


@asynccontextmanager
async def recorder(url: str, name: str, tenant: str) -> AsyncGenerator[Recorder]:
    """A recorder for the session of this name."""
    database = Database(url)
    try:
        yield Recorder(MessageTable(database), f"test/{name}", tenant, uuid4())
    finally:
        await database.close()


def came(name: str, text: str = "hello", *, ago: timedelta = timedelta(), **more: Any) -> NewMessage:
    """A message from Ann, unless it is said otherwise."""
    at = message_at(NOW - ago)
    made = NewMessage(
        id=derived_message_id(at, str(uuid4())),
        direction="in",
        chat=ANN,
        contact=ANN,
        sender=ANN,
        sender_phone="491511000001",
        wa_id=f"WA-{name}",
        type="text",
        body={"text": text},
        status="received",
        at=at,
        unread=True,
        event=NewEvent(uuid4(), "message.received", {}),
    )
    return replace(made, **more)


def picture(name: str, *, ago: timedelta = timedelta(), **media: Any) -> NewMessage:
    """A picture that is in the store."""
    about = {"state": "stored", "kind": "image", "mimetype": "image/jpeg", "size": 7, "sha256": HASH, **media}
    return came(name, ago=ago, type="image", body={"caption": "look"}, media=about)


def person(jid: str, lid: str | None = None, name: str | None = None) -> ContactChange:
    """What is known of somebody."""
    return ContactChange(jid, jid.partition("@")[0], lid, push_name=name)
