"""Takes what the engine has written into the journal over into PostgreSQL: messages become rows, receipts advance them.

One per session. A record is acknowledged only after its transaction is committed; ids are made of the event's id, so a
record that is read twice has its effect once. PostgreSQL away: the journal keeps everything, and the inbox tries again.
"""

import asyncio
import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid5

from whatsam_connector.errors import DatabaseUnavailable, UnstorableRecord
from whatsam_connector.journal.layout import JournalError
from whatsam_connector.journal.reader import Entry, Reader
from whatsam_connector.journal.records import InboundMessage, InboundReceipt, InboundUndecryptable, ReceiptKind
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.rows import NewMessage, ReceiptFor
from whatsam_connector.messages.rules import Receipt
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_BATCH = 100
"""Records per transaction: bounds what is done again after a crash."""
_RETRY = 1.0
"""Seconds between attempts while PostgreSQL is away."""
_LOOK = 5.0
"""Seconds after which the journal is looked at without being told: an engine may die between writing and telling."""

_STATUS = {ReceiptKind.DELIVERED: "delivered", ReceiptKind.READ: "read", ReceiptKind.PLAYED: "read"}
"""What receipts say about a row; the other kinds are about other devices of the own account."""


class MessageSink(Protocol):
    """Where the inbox puts things."""

    async def record(
        self,
        session: str,
        tenant: str,
        session_uid: UUID | None,
        messages: Sequence[NewMessage],
        receipts: Sequence[ReceiptFor],
    ) -> set[str]:
        """Store all of it or nothing; returns the ids of receipts that have a row."""
        ...


@dataclass(frozen=True)
class InboxOwner:
    """Whose journal it is."""

    session: str
    """namespace/name"""
    tenant: str
    uid: str


class Inbox:
    """The journal of one session, on its way to PostgreSQL."""

    def __init__(
        self,
        owner: InboxOwner,
        folder: Path,
        sink: MessageSink,
        receipts: UnknownReceipts,
        *,
        on_receipts: Callable[[], None] = lambda: None,
        count: Callable[[str, int], None] = lambda _kind, _number: None,
    ) -> None:
        self._owner = owner
        self._folder = folder
        self._sink = sink
        self._receipts = receipts
        self._on_receipts = on_receipts
        self._count = count
        self._reader: Reader | None = None
        self._wake = asyncio.Event()
        self._working = asyncio.Lock()
        self._behind = False

    @property
    def behind(self) -> bool:
        """Whether records wait for PostgreSQL."""
        return self._behind

    def wake(self) -> None:
        """The journal has advanced."""
        self._wake.set()

    async def run(self) -> None:
        """Take over for ever."""
        while True:
            self._wake.clear()
            try:
                await self._take_over()
                pause = _LOOK
            except (DatabaseUnavailable, JournalError) as error:
                if not self._behind:
                    _log.warning("inbox.waiting", session=self._owner.session, error=str(error))
                self._behind = True
                pause = _RETRY
            await self._rest(pause)

    async def drain(self, timeout: float) -> bool:
        """Take over everything that is in the journal; call it when no engine writes any more. Whether it is empty."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        await self._take_over()
                        return True
                    except (DatabaseUnavailable, JournalError):
                        self._behind = True
                        await asyncio.sleep(min(_RETRY, timeout / 4))
        except TimeoutError:
            return False

    async def _rest(self, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _take_over(self) -> None:
        async with self._working:
            if self._reader is None:
                self._reader = await asyncio.to_thread(Reader, self._folder)
            try:
                while batch := await asyncio.to_thread(_batch, self._reader):
                    await self._store(batch)
                    await asyncio.to_thread(self._reader.acknowledge, batch[-1].position)
            except BaseException:
                # A batch that was read and not acknowledged must be read again.
                self._reader.rewind()
                raise
            self._behind = False

    async def _store(self, batch: Sequence[Entry]) -> None:
        try:
            await self._record(batch)
        except UnstorableRecord as error:
            if len(batch) > 1:
                for entry in batch:
                    await self._store([entry])
                return
            # One record that PostgreSQL cannot hold must not stop a session's inbox for ever.
            self._count("unstorable", 1)
            _log.error("inbox.unstorable", session=self._owner.session, error=str(error))

    async def _record(self, batch: Sequence[Entry]) -> None:
        messages: list[NewMessage] = []
        receipts: list[ReceiptFor] = []
        for entry in batch:
            match entry.record:
                case InboundMessage() as message:
                    messages.append(_row(message, self._owner))
                case InboundReceipt() as receipt:
                    receipts += self._remember(receipt)
                case InboundUndecryptable():
                    # No row: the message may come again under the same id, readable then.
                    self._count("undecryptable", 1)
                case _:
                    self._count("unknown", 1)
        if not messages and not receipts:
            return
        uid = _uuid(self._owner.uid)
        known = await self._sink.record(self._owner.session, self._owner.tenant, uid, messages, receipts)
        for wa_id in known:
            self._receipts.take(wa_id)
        self._count("message", len(messages))
        self._count("receipt", len(receipts))
        if any(receipt.wa_id not in known for receipt in receipts):
            self._on_receipts()

    def _remember(self, receipt: InboundReceipt) -> list[ReceiptFor]:
        """Into the memory first: the send that it belongs to may be settled while the rows are looked up."""
        status = _STATUS.get(receipt.kind)
        if status is None:
            return []
        for wa_id in receipt.wa_ids:
            self._receipts.put(Receipt(wa_id, receipt.chat, receipt.chat_phone, status, receipt.timestamp))
        return [ReceiptFor(wa_id, status) for wa_id in receipt.wa_ids]


def _batch(reader: Reader) -> list[Entry]:
    entries: list[Entry] = []
    for entry in reader.entries():
        entries.append(entry)
        if len(entries) == _BATCH:
            break
    return entries


def _row(message: InboundMessage, owner: InboxOwner) -> NewMessage:
    body: dict[str, Any] = {"text": _clean(message.text), "pushName": _clean(message.push_name), "group": message.group}
    if message.sender_phone:
        body["senderPhone"] = message.sender_phone
    if message.chat_phone:
        body["chatPhone"] = message.chat_phone
    if message.type != "text":
        # Whatever the text does not say (media keys, locations) is in WhatsApp's own message and comes only once.
        body["raw"] = base64.b64encode(message.raw).decode()
    return NewMessage(
        id=_event_uuid(owner, message.event_id),
        direction="out" if message.from_me else "in",
        chat=_clean(message.chat) or "",
        sender=_clean(message.sender) or "",
        wa_id=_clean(message.wa_id) or "",
        type=message.type,
        body={key: value for key, value in body.items() if value is not None},
        status="sent" if message.from_me else "received",
        timestamp=message.timestamp,
    )


_EVENTS = UUID("6b1f5a0e-6f2a-4d0c-9a53-2f3f1c1f7d11")
"""Namespace of the row ids that are made of event ids."""


def _event_uuid(owner: InboxOwner, event_id: str) -> UUID:
    return uuid5(_EVENTS, f"{owner.uid}/{event_id}")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _clean(text: str | None) -> str | None:
    """What PostgreSQL can hold: no NUL, no lone surrogate. People do send such texts."""
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
