"""Findings of many records → one batch. Pure; the inbox asks `needs`, looks that up, and calls `assemble`."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from whatsam_connector.messages.batch import (
    Batch,
    ChatChange,
    ContactChange,
    Context,
    Deferred,
    Edit,
    NewEvent,
    NewMessage,
    ReactionChange,
    ReceiptFor,
    Revoke,
    TargetKey,
    TargetRow,
    Vote,
)
from whatsam_connector.messages.inbound.findings import Finding, Reference
from whatsam_connector.messages.inbound.references import Admins, Effect, Waiting, judge
from whatsam_connector.messages.inbound.targets import target_of

_Known = TypeVar("_Known", ChatChange, ContactChange)

_WHY = {Waiting.NO_TARGET: "target", Waiting.NOT_OPENED: "secret", Waiting.NO_ADMINS: "admins"}


@dataclass(frozen=True, slots=True)
class Need:
    """What has to be looked up before a batch can be assembled."""

    targets: tuple[TargetKey, ...]
    wa_ids: tuple[str, ...]
    """Of the new messages: records may be waiting for them."""


@dataclass(frozen=True, slots=True)
class Made:
    """A batch, and what else follows from the findings."""

    batch: Batch
    counts: dict[str, int]
    """Records and effects by kind, for the metrics."""
    asks: dict[str, set[str]]
    """Groups whose admins would have to be known, and the ids of the messages that it is about."""


def needs(findings: Sequence[Finding]) -> Need:
    """What the past has to be asked."""
    references = [finding.reference for finding in findings if finding.reference is not None]
    return Need(
        targets=tuple(dict.fromkeys(reference.key for reference in references)),
        wa_ids=tuple(
            dict.fromkeys(
                row.wa_id
                for finding in findings
                for row in finding.messages
                if row.wa_id is not None and row.status != "undecryptable" and row.type != "call"
            )
        ),
    )


@dataclass(slots=True)
class _Draft:
    """A batch in the making."""

    messages: dict[tuple[str, str, str], NewMessage] = field(default_factory=dict[tuple[str, str, str], NewMessage])
    receipts: list[ReceiptFor] = field(default_factory=list[ReceiptFor])
    edits: list[Edit] = field(default_factory=list[Edit])
    revokes: list[Revoke] = field(default_factory=list[Revoke])
    reactions: list[ReactionChange] = field(default_factory=list[ReactionChange])
    votes: list[Vote] = field(default_factory=list[Vote])
    chats: dict[str, ChatChange] = field(default_factory=dict[str, ChatChange])
    contacts: dict[str, ContactChange] = field(default_factory=dict[str, ContactChange])
    events: list[NewEvent] = field(default_factory=list[NewEvent])
    deferred: dict[UUID, Deferred] = field(default_factory=dict[UUID, Deferred])
    settled: list[UUID] = field(default_factory=list[UUID])
    counts: Counter[str] = field(default_factory=Counter[str])
    asks: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def message(self, row: NewMessage) -> None:
        """A new row; of two with one id the readable one stays, else the first."""
        key = (row.direction, row.chat, row.wa_id or str(row.id))
        before = self.messages.get(key)
        if before is None:
            self.messages[key] = row
        elif before.status == "undecryptable" and row.status != "undecryptable":
            self.messages[key] = replace(row, unread=before.unread)

    def chat(self, change: ChatChange) -> None:
        """A change of a chat; on top of those before it. What has been read is not unread."""
        if change.read:
            for key, row in self.messages.items():
                if row.unread and (row.chat == change.chat or row.contact == change.contact):
                    self.messages[key] = replace(row, unread=False)
        before = self.chats.get(change.contact)
        self.chats[change.contact] = change if before is None else _over(before, change, always=("read",))

    def contact(self, change: ContactChange) -> None:
        """What is known of a person; on top of what is known already."""
        before = self.contacts.get(change.jid)
        self.contacts[change.jid] = change if before is None else _over(before, change)

    def effect(self, effect: Effect) -> None:
        """The effect of a reference."""
        match effect:
            case Edit():
                self.edits.append(effect)
            case Revoke():
                self.revokes.append(effect)
            case Vote():
                self.votes.append(effect)
            case ReactionChange():
                self.reactions.append(effect)

    def batch(self, says_new: Callable[[ContactChange], bool]) -> Batch:
        """The batch."""
        return Batch(
            messages=tuple(self.messages.values()),
            receipts=tuple(self.receipts),
            edits=tuple(self.edits),
            revokes=tuple(self.revokes),
            reactions=tuple(self.reactions),
            votes=tuple(self.votes),
            chats=tuple(self.chats.values()),
            contacts=tuple(change for change in self.contacts.values() if says_new(change)),
            events=tuple(self.events),
            deferred=tuple(self.deferred.values()),
            settled=tuple(self.settled),
        )


def assemble(
    findings: Sequence[Finding],
    context: Context,
    own: Sequence[str],
    admins: Admins,
    says_new: Callable[[ContactChange], bool] = lambda _change: True,
) -> Made:
    """One batch of everything.

    `context` is what `needs` asked for, `own` the account's names, `admins` what is known of groups. People of whom
    nothing new is said are left out.
    """
    draft = _Draft()
    for finding in findings:
        draft.counts[finding.count] += 1
        for row in finding.messages:
            draft.message(row)
        for change in finding.chats:
            draft.chat(change)
        for person in finding.contacts:
            draft.contact(person)
        draft.reactions += finding.reactions
        draft.votes += finding.votes
        draft.receipts += finding.receipts
        draft.events += finding.events
    stored = _Stored(context.targets, tuple(draft.messages.values()))
    for finding in findings:
        if finding.reference is not None:
            rows = stored.rows(finding.reference.key)
            _apply(draft, finding, finding.reference, judge(finding.reference, rows, own, admins))
    return Made(draft.batch(says_new), dict(draft.counts), draft.asks)


def _apply(draft: _Draft, finding: Finding, reference: Reference, effect: Effect | Waiting) -> None:
    if not isinstance(effect, Waiting):
        draft.effect(effect)
        if finding.settles is not None:
            draft.settled.append(finding.settles)
        return
    if effect is Waiting.FORGED:
        draft.counts["forged"] += 1
        if finding.settles is not None:
            draft.settled.append(finding.settles)
        return
    if effect is Waiting.NO_ADMINS:
        draft.asks.setdefault(reference.names.chat, set()).add(reference.key.wa_id)
    if finding.settles is None:
        draft.counts["deferred"] += 1
        draft.deferred[reference.record_id] = Deferred(
            id=reference.record_id,
            wa_id=reference.key.wa_id,
            reason=_WHY[effect],
            payload=reference.payload,
            created_at=reference.at,
        )


class _Stored:
    """Rows that a reference may name: those of the database first, then those that this batch brings."""

    def __init__(self, targets: Sequence[TargetRow], new: Sequence[NewMessage]) -> None:
        self._rows: dict[str, list[TargetRow]] = {}
        for target in targets:
            self._rows.setdefault(target.wa_id, []).append(target)
        for row in new:
            if row.wa_id is not None and row.status != "undecryptable":
                self._add(target_of(row))

    def _add(self, new: TargetRow) -> None:
        rows = self._rows.setdefault(new.wa_id, [])
        for place, stored in enumerate(rows):
            if (stored.direction, stored.chat) == (new.direction, new.chat):
                if stored.type == "unknown":  # could not be decrypted before: this batch completes that very row
                    rows[place] = replace(new, id=stored.id, at=stored.at)
                return
        rows.append(new)

    def rows(self, key: TargetKey) -> list[TargetRow]:
        """Rows with this id in this chat."""
        return [row for row in self._rows.get(key.wa_id, []) if row.chat in key.chats or row.contact in key.chats]


def _over(before: _Known, after: _Known, always: tuple[str, ...] = ()) -> _Known:
    """Both changes as one: what the later one says counts."""
    said = {
        name: value
        for name in after.__slots__
        if (value := getattr(after, name)) is not None and (name not in always or value)
    }
    return replace(before, **said)
