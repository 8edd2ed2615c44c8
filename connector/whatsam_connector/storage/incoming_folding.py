"""Several changes of one row in one batch: what the row is after all of them. Pure; for `incoming_changes`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from whatsam_connector.messages.batch import Edit, NewEvent, ReceiptFor

RANKS = {"sent": 0, "delivered": 1, "read": 2, "played": 3}
"""How far a message of ours has come. A status without a rank is not moved by a receipt."""


@dataclass(frozen=True, slots=True)
class Editable:
    """What an edit must know of a row."""

    body: dict[str, Any]
    edited_at: datetime | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Replaced:
    """A body that was replaced by an edit."""

    message: UUID
    body: dict[str, Any]
    replaced_at: datetime


@dataclass(frozen=True, slots=True)
class RecipientReceipt:
    """How far a message has come with one member of a group."""

    wa_id: str
    recipient: str
    status: str
    at: datetime


def fold_receipts(
    receipts: Iterable[ReceiptFor], statuses: Mapping[str, str]
) -> tuple[dict[str, str], list[tuple[str, NewEvent]]]:
    """New statuses by WhatsApp's id, and the events of the receipts that moved a message on, in their order."""
    now = dict(statuses)
    events: list[tuple[str, NewEvent]] = []
    for receipt in receipts:
        present = now.get(receipt.wa_id)
        if present not in RANKS or RANKS[receipt.status] <= RANKS[present]:
            continue
        now[receipt.wa_id] = receipt.status
        if receipt.event is not None:
            events.append((receipt.wa_id, receipt.event))
    return {wa_id: status for wa_id, status in now.items() if status != statuses[wa_id]}, events


def furthest_of_recipients(receipts: Iterable[ReceiptFor], known: frozenset[str]) -> list[RecipientReceipt]:
    """Of all receipts for a group's message, the furthest of each member."""
    best: dict[tuple[str, str], RecipientReceipt] = {}
    for receipt in receipts:
        if not receipt.group or not receipt.recipient or receipt.at is None or receipt.wa_id not in known:
            continue
        key = (receipt.wa_id, receipt.recipient)
        if key not in best or RANKS[receipt.status] > RANKS[best[key].status]:
            best[key] = RecipientReceipt(receipt.wa_id, receipt.recipient, receipt.status, receipt.at)
    return [best[key] for key in sorted(best)]


def fold_edits(
    edits: Sequence[Edit], rows: Mapping[UUID, Editable]
) -> tuple[dict[UUID, Editable], list[Replaced], list[NewEvent]]:
    """Rows after the edits, the bodies that were replaced, and the events of the edits that had an effect."""
    now = dict(rows)
    replaced: list[Replaced] = []
    events: list[NewEvent] = []
    for edit in edits:
        row = now.get(edit.target.id)
        if row is None or row.deleted_at is not None or (row.edited_at is not None and row.edited_at > edit.at):
            continue
        body = row.body | edit.changes
        if row.edited_at == edit.at and body == row.body:
            continue  # this very edit, again
        replaced.append(Replaced(edit.target.id, row.body, edit.at))
        now[edit.target.id] = Editable(body, edit.at, None)
        if edit.event is not None:
            events.append(replace(edit.event, message_id=edit.target.id))
    return {message: row for message, row in now.items() if row != rows[message]}, replaced, events
