"""The table of messages, as fakes: what is committed stays, and it may be away before or after a statement counts."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from connector_virtual import START, VirtualClock

from whatsam_connector.content.building import plain_text
from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.batch import Batch, Context, Deferred, Recorded, TargetKey
from whatsam_connector.messages.desk import Claim, SentRow, Wish
from whatsam_connector.messages.prepared import PreparationFailed, PreparedMessage, Uploader
from whatsam_connector.messages.rows import MessageView
from whatsam_connector.messages.rules import OutRow, OutStatus
from whatsam_core.resources.session import Pacing

OPEN = frozenset(OutStatus)


@dataclass
class FakeRow:
    """One outgoing message."""

    id: UUID
    chat: str
    text: str
    status: str = "pending"
    attempts: int = 0
    wa_id: str | None = None
    error: str | None = None
    epoch: int | None = None
    updated_at: datetime = START
    type: str = "text"
    trace: str | None = None


@dataclass
class FakeRows:
    """The table of messages for one session, in order."""

    rows: list[FakeRow] = field(default_factory=list[FakeRow])
    inbound: list[Any] = field(default_factory=list[Any])
    away: bool = False
    after_claim: Callable[[], None] | None = None
    after_statement: Callable[[str], Awaitable[None]] | None = None
    """Called with the name of each statement that has taken effect; may raise what its caller gets instead."""

    def add(self, text: str, chat: str = "+491522000001", status: str = "pending", type: str = "text") -> FakeRow:
        row = FakeRow(uuid4(), chat, text, status, type=type)
        self.rows.append(row)
        return row

    async def sessions_with_work(self, sessions: Any) -> set[str]:
        await self._answer()
        return set(sessions)

    async def listen(self, heard: Callable[[str], None]) -> None:
        await asyncio.Event().wait()

    async def head(self, session: str) -> OutRow | None:
        await self._answer()
        row = next((row for row in self.rows if row.status in OPEN), None)
        return None if row is None else _out(row)

    async def claim_runs(self, wishes: Sequence[Wish]) -> list[Claim]:
        await self._answer()
        claims: list[Claim] = []
        for wish in wishes:
            line = [row for row in self.rows if row.status in OPEN and row.id not in wish.in_hand][: wish.most]
            count = next((number for number, row in enumerate(line) if row.status != "pending"), len(line))
            for row in line[:count]:
                row.wa_id = f"OWN-{row.id}" if wish.own_ids else row.wa_id
            more = count < len(line) or len(line) == wish.most
            head = None if count or not line else _out(line[0])
            claims.append(Claim(tuple(_out(row) for row in line[:count]), head, more))
            for row in line[:count]:
                self._take(row, wish.epoch)
        if self.after_claim is not None and any(claim.rows for claim in claims):
            self.after_claim()
        await self._took_effect("claim_runs")
        return claims

    async def claim(self, session: str, message: UUID, *, epoch: int, boot: str) -> bool:
        await self._answer()
        row = self._row(message)
        if row.status != "pending":
            return False
        self._take(row, epoch)
        if self.after_claim is not None:
            self.after_claim()
        await self._took_effect("claim")
        return True

    async def put_back(self, session: str, messages: Sequence[UUID], *, counted: bool) -> int:
        await self._answer()
        changed = [row for row in map(self._row, messages) if row.status in ("sending", "uncertain")]
        for row in changed:
            row.status, row.attempts = "pending", row.attempts - (0 if counted else 1)
        await self._took_effect("put_back")
        return len(changed)

    async def put_back_lost(self, session: str, *, epoch: int, boot: str, besides: Sequence[UUID]) -> int:
        lost = [row.id for row in self.rows if row.status == "sending" and row.epoch == epoch and row.id not in besides]
        return await self.put_back(session, lost, counted=False)

    async def mark_uncertain(self, session: str, message: UUID | None = None) -> int:
        await self._answer()
        changed = [row for row in self.rows if row.status == "sending" and message in (None, row.id)]
        for row in changed:
            row.status = "uncertain"
        await self._took_effect("mark_uncertain")
        return len(changed)

    async def settle(self, sent: Sequence[SentRow]) -> None:
        await self._answer()
        for one in sent:
            self._settle(one.id, one.wa_id, one.status)
        await self._took_effect("settle")

    async def sent(self, session: str, message: UUID, *, wa_id: str, status: str, at: datetime | None) -> bool:
        await self._answer()
        self._settle(message, wa_id, status)
        await self._took_effect("sent")
        return True

    async def failed(self, session: str, message: UUID, *, error: str) -> bool:
        await self._answer()
        row = self._row(message)
        if row.status in OPEN:
            row.status, row.error = "failed", error
        await self._took_effect("failed")
        return True

    async def record(self, session: str, tenant: str, session_uid: Any, batch: Batch) -> Recorded:
        await self._answer()
        known = {message.id for message in self.inbound}
        self.inbound += [message for message in batch.messages if message.id not in known]
        return Recorded(frozenset(self._advance(batch.receipts)))

    async def context(self, session: str, targets: Sequence[TargetKey], wa_ids: Sequence[str]) -> Context:
        await self._answer()
        return Context()

    async def phones(self, session: str, lids: Sequence[str]) -> dict[str, str]:
        await self._answer()
        return {}

    async def due(self, session: str, limit: int) -> list[Deferred]:
        await self._answer()
        return []

    async def has_deferred(self, session: str) -> bool:
        await self._answer()
        return False

    async def set_aside(self, *_values: Any) -> None:
        await self._answer()

    async def view(self, session: str, message: UUID) -> MessageView | None:
        await self._answer()
        row = next((row for row in self.rows if row.id == message), None)
        return None if row is None else MessageView(row.id, row.status, row.wa_id, None, row.error)

    def _take(self, row: FakeRow, epoch: int) -> None:
        row.status, row.epoch, row.updated_at = "sending", epoch, VirtualClock().now()
        row.attempts += 1

    def _settle(self, message: UUID, wa_id: str, status: str) -> None:
        row = self._row(message)
        if row.status in ("sending", "uncertain"):
            row.status, row.wa_id = status, wa_id

    def _advance(self, receipts: Any) -> set[str]:
        known: set[str] = set()
        for receipt in receipts:
            for row in self.rows:
                if row.wa_id == receipt.wa_id and row.status not in OPEN:
                    known.add(receipt.wa_id)
                    if not (row.status == "read" and receipt.status == "delivered"):
                        row.status = receipt.status
        return known

    def _row(self, message: UUID) -> FakeRow:
        return next(row for row in self.rows if row.id == message)

    async def _answer(self) -> None:
        await asyncio.sleep(0.005)
        if self.away:
            raise DatabaseUnavailable("PostgreSQL does not serve")

    async def _took_effect(self, statement: str) -> None:
        if self.after_statement is not None:
            await self.after_statement(statement)


def _out(row: FakeRow) -> OutRow:
    status = OutStatus(row.status)
    body = {"text": row.text}
    return OutRow(
        row.id, row.chat, row.type, body, status, row.attempts, row.updated_at, trace=row.trace, wa_id=row.wa_id
    )


@dataclass
class FakePreparing:
    """Texts at once, anything else after `seconds`."""

    seconds: float = 0.0
    failures: list[PreparationFailed] = field(default_factory=list[PreparationFailed])
    prepared: list[UUID] = field(default_factory=list[UUID])

    def open(self, session: str, tenant: str, uid: str) -> "FakePreparing":
        return self

    def pace(self, pacing: Pacing) -> None:
        """Nobody is in a hurry here."""

    def immediate(self, row: OutRow) -> PreparedMessage | None:
        return PreparedMessage(row.chat, plain_text(row.body["text"])) if row.type == "text" else None

    async def prepare(self, row: OutRow, engine: Uploader) -> PreparedMessage:
        await asyncio.sleep(self.seconds)
        if self.failures:
            raise self.failures.pop(0)
        self.prepared.append(row.id)
        return PreparedMessage(row.chat, plain_text(row.body["text"]))
