"""Journal records of a small world, and a table that applies batches: for the tests of the inbox's rules."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from whatsam_connector.journal import InboundMessage, InboundUndecryptable, JournalRecord
from whatsam_connector.journal.payload import from_payload
from whatsam_connector.messages.batch import Batch, Context, Deferred, NewMessage, TargetKey, TargetRow
from whatsam_connector.messages.inbound import Finding, Made, Owner, Wants, assemble, needs, translate

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ADA, ADA_LID = "491511000001", "11@lid"
BOB, BOB_LID = "491511000002", "22@lid"
GROUP = "120363@g.us"
OWN = ("491519999999@s.whatsapp.net", "99@lid")
OWNER = Owner(uid="6b1f5a0e-6f2a-4d0c-9a53-2f3f1c1f7d11", own=OWN)
WANTS = Wants()


def came(
    number: int,
    wa_id: str,
    sender: str = ADA_LID,
    phone: str | None = ADA,
    *,
    group: bool = False,
    own: bool = False,
    chat: str | None = None,
    seconds: int | None = None,
    **fields: Any,
) -> InboundMessage:
    """Record `number` of the journal: a message with these fields of WhatsApp's protobuf."""
    return InboundMessage(
        event_id=f"event-{number}",
        wa_id=wa_id,
        chat=chat or (GROUP if group else ADA_LID),
        chat_phone=None if group else ADA,
        sender=OWN[1] if own else sender,
        sender_phone=OWN[0].partition("@")[0] if own else phone,
        from_me=own,
        text=None,
        type="other",
        timestamp=START + timedelta(seconds=number if seconds is None else seconds),
        push_name="" if own else "Somebody",
        group=group,
        raw=Message(**fields).SerializeToString(),
    )


def text(number: int, wa_id: str, content: str = "hello", **options: Any) -> InboundMessage:
    return came(number, wa_id, conversation=content, **options)


def edit(number: int, target: str, content: str, **options: Any) -> InboundMessage:
    protocol = {"type": 14, "key": {"ID": target, "fromMe": True}, "editedMessage": {"conversation": content}}
    return came(number, f"EDIT{number}", protocolMessage=protocol, **options)


def revoke(number: int, target: str, **options: Any) -> InboundMessage:
    return came(number, f"REVOKE{number}", protocolMessage={"type": 0, "key": {"ID": target}}, **options)


def react(number: int, target: str, emoji: str, **options: Any) -> InboundMessage:
    return came(number, f"REACT{number}", reactionMessage={"key": {"ID": target}, "text": emoji}, **options)


def lost(number: int, wa_id: str, *, unavailable: bool = False) -> InboundUndecryptable:
    at = START + timedelta(seconds=number)
    return InboundUndecryptable(f"event-{number}", wa_id, ADA_LID, ADA, ADA_LID, ADA, False, at, False, unavailable)


@dataclass
class Table:
    """What PostgreSQL holds, with the sink's rules."""

    rows: dict[tuple[str, str, str], NewMessage] = field(default_factory=dict[tuple[str, str, str], NewMessage])
    edited: dict[UUID, datetime] = field(default_factory=dict[UUID, datetime])
    deleted: set[UUID] = field(default_factory=set[UUID])
    reactions: dict[tuple[str, str, str], tuple[datetime, str]] = field(
        default_factory=dict[tuple[str, str, str], tuple[datetime, str]]
    )
    votes: dict[tuple[str, str, str], tuple[datetime, tuple[str, ...]]] = field(
        default_factory=dict[tuple[str, str, str], tuple[datetime, tuple[str, ...]]]
    )
    deferred: dict[UUID, Deferred] = field(default_factory=dict[UUID, Deferred])
    events: dict[UUID, str] = field(default_factory=dict[UUID, str])
    contacts: dict[str, Any] = field(default_factory=dict[str, Any])
    chats: dict[str, Any] = field(default_factory=dict[str, Any])
    unread: dict[str, int] = field(default_factory=dict[str, int])

    def context(self, targets: tuple[TargetKey, ...], wa_ids: tuple[str, ...]) -> Context:
        found = [
            row
            for key in targets
            for row in self.rows.values()
            if row.wa_id == key.wa_id and (row.chat in key.chats or row.contact in key.chats)
        ]
        waiting = [kept for kept in self.deferred.values() if kept.wa_id in wa_ids]
        return Context(tuple(map(_target, found)), tuple(sorted(waiting, key=lambda kept: kept.created_at)))

    def record(self, batch: Batch) -> None:  # noqa: PLR0912 - one arm for each kind of change
        fresh: dict[str, int] = {}
        for row in batch.messages:
            key = (row.direction, row.chat, row.wa_id or str(row.id))
            before = self.rows.get(key)
            if before is None:
                self.rows[key] = row
                fresh[row.contact] = fresh.get(row.contact, 0) + row.unread
            elif before.status == "undecryptable" and row.status != "undecryptable":
                self.rows[key] = replace(row, id=before.id, at=before.at)
            else:
                continue
            self._tell(row)
        for change in batch.edits:
            row = self._by_id(change.target.id)
            since = self.edited.get(row.id)
            if row.id not in self.deleted and (since is None or since <= change.at):
                self._put(replace(row, body={**row.body, **change.changes}))
                self.edited[row.id] = change.at
                self._tell(change)
        for change in batch.revokes:
            if change.target.id not in self.deleted:
                self.deleted.add(change.target.id)
                self._put(replace(self._by_id(change.target.id), body={}, media=None))
                self._tell(change)
        for change in batch.reactions:
            key = (change.chat, change.wa_id, change.sender)
            if key not in self.reactions or self.reactions[key][0] <= change.at:
                self.reactions[key] = (change.at, change.emoji)
                self._tell(change)
        for change in batch.votes:
            key = (change.target.contact, change.target.wa_id, change.voter)
            if key not in self.votes or self.votes[key][0] <= change.at:
                self.votes[key] = (change.at, change.options)
                self._tell(change)
        for chat in batch.chats:
            self.chats[chat.contact] = chat
            if chat.read:
                self.unread[chat.contact] = 0
        for contact, number in fresh.items():
            self.unread[contact] = self.unread.get(contact, 0) + number
        self.contacts |= {contact.jid: contact for contact in batch.contacts}
        self.events |= {event.event_id: event.kind for event in batch.events}
        for kept in batch.deferred:
            self.deferred.setdefault(kept.id, kept)
        for done in batch.settled:
            self.deferred.pop(done, None)

    def row(self, wa_id: str) -> NewMessage:
        (found,) = [row for row in self.rows.values() if row.wa_id == wa_id]
        return found

    def seen(self) -> Any:
        """Everything that people can see, for comparisons."""
        rows = sorted((row.wa_id or "", row.type, str(row.body), row.status) for row in self.rows.values())
        return (
            rows,
            self.reactions,
            self.votes,
            sorted(map(str, self.deleted)),
            self.unread,
            sorted(self.events.values()),
        )

    def _by_id(self, message: UUID) -> NewMessage:
        (found,) = [row for row in self.rows.values() if row.id == message]
        return found

    def _put(self, row: NewMessage) -> None:
        key = next(key for key, known in self.rows.items() if known.id == row.id)
        self.rows[key] = row

    def _tell(self, change: Any) -> None:
        if change.event is not None:
            self.events[change.event.event_id] = change.event.kind


def take_over(
    table: Table, records: list[JournalRecord], admins: dict[str, frozenset[str]] | None = None, wants: Wants = WANTS
) -> Made:
    """What the inbox does with a stretch of the journal."""
    return _write(table, [translate(record, OWNER, wants) for record in records], admins or {})


def retry(table: Table, kept: list[Deferred], admins: dict[str, frozenset[str]] | None = None) -> Made:
    """What it does with records that waited."""
    findings = [translate(from_payload(one.payload), OWNER, WANTS) for one in kept]
    for finding, one in zip(findings, kept, strict=True):
        finding.settles = one.id
    return _write(table, findings, admins or {})


def _write(table: Table, findings: list[Finding], admins: dict[str, frozenset[str]]) -> Made:
    need = needs(findings)
    context = table.context(need.targets, need.wa_ids)
    made = assemble(findings, context, OWNER.own, admins)
    table.record(made.batch)
    if context.waiting:
        retry(table, list(context.waiting), admins)
    return made


def _target(row: NewMessage) -> TargetRow:
    poll = row.body.get("poll", {})
    return TargetRow(
        row.id, row.at, row.wa_id or "", row.chat, row.contact, row.direction, row.sender, row.sender_phone,
        row.type, row.secret, tuple(poll.get("options", ())),
    )  # fmt: skip
