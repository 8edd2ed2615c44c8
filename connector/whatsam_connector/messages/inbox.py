"""Takes what the engine has written into the journal over into PostgreSQL: rows, changes of rows, events.

One per session. A record is acknowledged only after its transaction is committed, and everything it makes has ids that
are made of the record's own, so a record that is read twice has its effect once. PostgreSQL away: the journal keeps
everything, the inbox holds one stretch of it in memory, and tries again. What a record says is decided by `inbound`.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from whatsam_connector.errors import DatabaseUnavailable, UnstorableRecord
from whatsam_connector.journal import (
    CallStep,
    Entry,
    InboundCall,
    InboundGroup,
    InboundGroupChange,
    JournalError,
    JournalRecord,
    Position,
    Reader,
    UnknownRecord,
)
from whatsam_connector.journal.payload import from_payload, to_payload
from whatsam_connector.messages.batch import Batch, Context, Deferred, Recorded, TargetKey
from whatsam_connector.messages.inbound import Finding, Made, Owner, Wants, assemble, needs, translate
from whatsam_connector.messages.inbound.names import bare, phone_of
from whatsam_connector.messages.inbound.naming import named, opened, unnamed
from whatsam_connector.messages.inbound.pieces import pieces
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.messages.known import KnownContacts
from whatsam_connector.messages.questions import Caller, Questions
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.messages.rules import Receipt
from whatsam_connector.messages.stretch import read_stretch
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_RETRY = 1.0
"""Seconds between attempts while PostgreSQL is away."""
_SOON, _APART = 0.25, 1.0
"""Seconds in which receipts are gathered, and between two rings for them: a transaction for each of them would cost
more than sending the message."""
_ACKNOWLEDGE = 20.0
"""Seconds for which what is done may stay unacknowledged while more comes: an acknowledgement costs two syncs, reading
again nothing."""
_LOOK = 5.0
"""Seconds after which the journal is looked at without being told: an engine may die between writing and telling. What
is done is acknowledged in this silence, too."""
_DEFERRED_LOOK = 30.0
"""Seconds between looks at records that wait, while there are some."""
_DEFERRED_CHECK = 600.0
"""Seconds after which it is asked again whether there are some: another worker may have left them."""
_DEFERRED_MOST = 100
_RINGS = timedelta(seconds=60)
"""How long a call rings: an older one is over."""


class MessageSink(Protocol):
    """Where the inbox puts things. Each call may raise `DatabaseUnavailable`."""

    async def context(self, session: str, targets: Sequence[TargetKey], wa_ids: Sequence[str]) -> Context: ...
    async def phones(self, session: str, lids: Sequence[str]) -> Mapping[str, str]: ...
    async def due(self, session: str, limit: int) -> list[Deferred]: ...
    async def has_deferred(self, session: str) -> bool: ...
    async def record(self, session: str, tenant: str, session_uid: UUID | None, batch: Batch) -> Recorded:
        """Write all of it or nothing. Raises `UnstorableRecord` for a value that PostgreSQL cannot hold."""
        ...

    async def set_aside(  # noqa: PLR0917 - the columns of the table
        self, session: str, tenant: str, session_uid: UUID | None, event_id: str, reason: str, payload: bytes
    ) -> None:
        """Keep a record that nothing can be made of."""
        ...


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
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`on_receipts`: receipts have come for messages that no row has (yet)."""
        self._owner = owner
        self._folder = folder
        self._sink = sink
        self._receipts = receipts
        self._on_receipts = on_receipts
        self._count = count
        self._now = now
        self._questions = Questions(owner.uid, owner.session, self._answered)
        self._asked: dict[str, set[str]] = {}
        """Groups whose admins were asked for, and the ids of the messages that it is about."""
        self._answers: set[str] = set()
        self._contacts = KnownContacts()
        self._deferred = True
        self._deferred_at = 0.0
        self._reader: Reader | None = None
        self._wake = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self._rang_at = -_APART
        self._done: Position | None = None
        """Behind what is stored and not acknowledged yet."""
        self._acknowledged_at = 0.0
        self._working = asyncio.Lock()
        self._behind = False

    @property
    def owner(self) -> InboxOwner:
        """Whose journal it is, and what is known of the owner's wishes and names."""
        return self._owner

    @property
    def behind(self) -> bool:
        """Whether records wait for PostgreSQL."""
        return self._behind

    def wake(self) -> None:
        """The journal has advanced."""
        self._wake.set()

    def wake_soon(self) -> None:
        """The journal has advanced by what nobody waits for."""
        if self._soon is None:
            loop = asyncio.get_running_loop()
            at = max(loop.time() + _SOON, self._rang_at + _APART)
            # At the same instants for all sessions: what they then write shares statements.
            self._soon = loop.call_at(math.ceil(at / _SOON) * _SOON, self._ring)

    def _ring(self) -> None:
        self._soon, self._rang_at = None, asyncio.get_running_loop().time() // _SOON * _SOON
        self._wake.set()

    def want(self, wants: Wants) -> None:
        """What the session's owner wants from now on."""
        self._owner = replace(self._owner, wants=wants)

    def named(self, *own: str) -> None:
        """The account's JIDs, with or without devices."""
        self._owner = replace(self._owner, own=tuple(dict.fromkeys(bare(jid) for jid in own if jid)))

    def link(self, engine: Caller | None) -> None:
        """The engine that is connected and may be asked; None: none is."""
        self._questions.link(engine)

    async def run(self) -> None:
        """Take over for ever."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._take_over()
                    await self._look_at_deferred()
                    await self._rest()
                except (DatabaseUnavailable, JournalError, OSError) as error:
                    if not self._behind:
                        _log.warning("inbox.waiting", session=self.owner.session, error=str(error))
                    self._behind = True
                    await asyncio.sleep(_RETRY)
        finally:
            if self._soon is not None:
                self._soon.cancel()
            await self._questions.close()

    async def drain(self, timeout: float) -> bool:
        """Take over everything that is in the journal; call it when no engine writes any more. Whether it is empty."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        await self._take_over()
                        await self._acknowledge()
                        return True
                    except (DatabaseUnavailable, JournalError, OSError):
                        self._behind = True
                        await asyncio.sleep(min(_RETRY, timeout / 4))
        except TimeoutError:
            return False

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_LOOK):
                await self._wake.wait()
        except TimeoutError:
            await self._acknowledge()

    async def _acknowledge(self) -> None:
        """Say that what is stored need not be read again."""
        async with self._working:
            await self._acknowledge_done()

    async def _acknowledge_done(self) -> None:
        if self._reader is not None and self._done is not None:
            await asyncio.to_thread(self._reader.acknowledge, self._done)
        self._done, self._acknowledged_at = None, time.monotonic()

    async def _take_over(self) -> None:
        async with self._working:
            if self._reader is None:
                self._reader = await asyncio.to_thread(Reader, self._folder)
            try:
                more = True
                while more:
                    stretch = await asyncio.to_thread(read_stretch, self._reader)
                    more = stretch.more
                    if stretch.entries:
                        await self._store(stretch.entries)
                        self._done = stretch.entries[-1].position
                        late = time.monotonic() - self._acknowledged_at >= _ACKNOWLEDGE
                        if late or self._done.segment != self._reader.acknowledged.segment:  # a file can go
                            await self._acknowledge_done()
            except BaseException:
                # What was read and not acknowledged is read again; most of it is stored and has no effect any more. By
                # another reader: a thread that nobody waits for any more may still move the cursor of this one.
                self._reader, self._done = None, None
                raise
            self._behind = False

    async def _store(self, entries: Sequence[Entry]) -> None:
        records = await self._named([opened(entry.record) for entry in entries])
        findings = [self._finding(record) for record in records]
        del records  # a history that was parsed is large
        for entry, finding in zip(entries, findings, strict=True):
            self._ask(entry.record)
            if finding.aside is not None:
                await self._set_aside(entry.record, finding.aside)
        try:
            await self._write(findings)
        except UnstorableRecord as error:
            if len(entries) > 1:
                # Halves, not singles: one bad record among hundreds costs a few transactions.
                middle = len(entries) // 2
                await self._store(entries[:middle])
                await self._store(entries[middle:])
                return
            # One record that PostgreSQL cannot hold must not stop a session's inbox for ever.
            _log.error("inbox.unstorable", session=self.owner.session, error=str(error))
            await self._set_aside(entries[0].record, "unstorable")

    async def _named(self, records: Sequence[JournalRecord | UnknownRecord]) -> list[JournalRecord | UnknownRecord]:
        """With the phone numbers that they lack and the database has."""
        lids = {lid for record in records for lid in unnamed(record)}
        if not lids:
            return list(records)
        now = asyncio.get_running_loop().time()
        asked = self._contacts.asks_for(lids, now)
        if asked:
            self._contacts.answer(asked, await self._sink.phones(self._owner.session, asked), now)
        phones = self._contacts.phones(lids)
        return [named(record, phones) for record in records] if phones else list(records)

    def _finding(self, record: JournalRecord | UnknownRecord) -> Finding:
        try:
            return translate(record, Owner(self.owner.uid, self.owner.own), self.owner.wants)
        except Exception:  # noqa: BLE001 - the boundary of a record: a defect of ours must not stop the inbox
            _log.exception("inbox.defect", session=self.owner.session, record=type(record).__name__)
            return Finding("defect", aside="defect")

    async def _write(self, findings: Sequence[Finding]) -> None:
        """One batch of all of it; then once more for what has waited for these messages."""
        context = await self._context(findings)
        await self._record(findings, context)
        if context.waiting:
            await self._settle(context.waiting)

    async def _context(self, findings: Sequence[Finding]) -> Context:
        need = needs(findings)
        awaited = need.wa_ids if self._deferred else ()
        if not need.targets and not awaited:
            return Context()
        return await self._sink.context(self.owner.session, need.targets, awaited)

    async def _record(self, findings: Sequence[Finding], context: Context) -> None:
        made = assemble(findings, context, self.owner.own, self._questions.admins(), self._contacts.says_new)
        self._remember(made)
        known: set[str] = set()
        for piece in pieces(made.batch):
            if piece:
                owner = self.owner
                recorded = await self._sink.record(owner.session, owner.tenant, owner.uuid, piece)
                known |= recorded.known
        self._written(made, known)

    def _remember(self, made: Made) -> None:
        """Into the memory first: the send that a receipt belongs to may be settled while the rows are looked up."""
        for receipt in made.batch.receipts:
            at = receipt.at or self._now()
            phone = phone_of(receipt.contact)
            self._receipts.put(Receipt(receipt.wa_id, receipt.chat, phone, receipt.status, at, told=receipt))

    def _written(self, made: Made, known: set[str]) -> None:
        for wa_id in known:
            self._receipts.take(wa_id)
        if files := sum(message.source is not None for message in made.batch.messages):
            self._count("media", files)
        for change in made.batch.contacts:
            self._contacts.learn(change)
        for kind, number in made.counts.items():
            self._count(kind, number)
        if made.batch.deferred:
            self._deferred = True
        for group, wa_ids in made.asks.items():
            self._asked.setdefault(group, set()).update(wa_ids)
            self._questions.ask_admins(group)
        if any(receipt.wa_id not in known for receipt in made.batch.receipts):
            self._on_receipts()

    async def _look_at_deferred(self) -> None:
        now = asyncio.get_running_loop().time()
        answered, self._answers = self._answers, set()
        wa_ids = sorted({wa_id for group in answered for wa_id in self._asked.pop(group, ())})
        if wa_ids:
            found = await self._sink.context(self.owner.session, (), wa_ids)
            await self._settle(found.waiting)
        if now < self._deferred_at:
            return
        self._deferred = await self._sink.has_deferred(self.owner.session)
        self._deferred_at = now + (_DEFERRED_LOOK if self._deferred else _DEFERRED_CHECK)
        if self._deferred:
            await self._settle(await self._sink.due(self.owner.session, _DEFERRED_MOST))

    async def _settle(self, waiting: Sequence[Deferred]) -> None:
        """Try records again that wait for something."""
        findings: list[Finding] = []
        for kept in waiting:
            finding = self._finding(from_payload(kept.payload))
            finding.count, finding.settles = "retried", kept.id
            findings.append(finding)
        if findings:
            context = await self._sink.context(self.owner.session, needs(findings).targets, ())
            await self._record(findings, context)

    def _answered(self, group: str) -> None:
        self._answers.add(group)
        self._wake.set()

    def _ask(self, record: JournalRecord | UnknownRecord) -> None:
        """What the engine is to be asked because of a record."""
        match record:
            case InboundCall(step=CallStep.OFFERED) if self.owner.wants.reject_calls:
                if self._now() - record.timestamp < _RINGS:
                    self._questions.decline(record.caller, record.call_id)
            case InboundGroup() | InboundGroupChange():
                self._questions.forget(record.group)
            case _:
                pass

    async def _set_aside(self, record: JournalRecord | UnknownRecord, reason: str) -> None:
        owner = self.owner
        if isinstance(record, UnknownRecord):
            event, payload = hashlib.sha256(record.payload).hexdigest(), record.payload
        else:
            event, payload = record.event_id, to_payload(record)
        await self._sink.set_aside(owner.session, owner.tenant, owner.uuid, event, reason, payload)
        self._count("set_aside", 1)
