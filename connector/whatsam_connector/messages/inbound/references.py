"""May this edit, revoke or vote do what it says, and to which row? Pure; for `assembling`.

Whoever sends such a message names its target freely. What counts is who wrote the target: an edit or a revoke of
somebody else's message has no effect, except that a group's admin may delete what members wrote.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

from whatsam_connector.content.polls import Undecipherable, chosen, open_reaction, open_vote
from whatsam_connector.content.reading import EditContent, EncryptedReaction, RevokeContent, VoteContent
from whatsam_connector.messages.batch import Edit, NewEvent, ReactionChange, Revoke, TargetRow, Vote
from whatsam_connector.messages.inbound.findings import Reference
from whatsam_connector.messages.inbound.names import PHONE_SERVER
from whatsam_core.messages import MEDIA_TYPES

Admins = Mapping[str, frozenset[str]]
"""Names of the admins of those groups for which they are known."""


class Waiting(Enum):
    """Why a reference has no effect yet, or never will."""

    NO_TARGET = "no row of its target is there: keep it until one comes"
    NOT_OPENED = "its target has no secret, or one that does not fit: keep it, the right one may come"
    NO_ADMINS = "only an admin may do this, and nobody knows who is one: ask, or keep it"
    FORGED = "its sender may not do this: drop it and count it"


Effect = Edit | Revoke | Vote | ReactionChange


def judge(reference: Reference, rows: Sequence[TargetRow], own: Sequence[str], admins: Admins) -> Effect | Waiting:
    """The effect of a reference on the stored rows with the id that it names, or why it has none."""
    if not reference.key.wa_id:
        return Waiting.FORGED
    if not rows:
        return Waiting.NO_TARGET
    match reference.content:
        case EditContent():
            return _edit(reference, reference.content, rows)
        case RevokeContent():
            return _revoke(reference, reference.content, rows, admins)
        case VoteContent():
            return _vote(reference, reference.content, rows, own)
        case EncryptedReaction():
            return _reaction(reference, reference.content, rows, own)


def _edit(reference: Reference, content: EditContent, rows: Sequence[TargetRow]) -> Effect | Waiting:
    row = next((row for row in rows if _wrote(reference, row)), None)
    if row is None:
        return Waiting.FORGED
    # A caption may have been edited under either name; the body of the row knows which one it has.
    changes = dict(content.changes)
    words = changes.pop("text", changes.pop("caption", None))
    if words is not None:
        changes["caption" if row.type in MEDIA_TYPES else "text"] = words
    return Edit(row, changes, reference.at, _event(reference, "message.edited"))


def _revoke(
    reference: Reference, content: RevokeContent, rows: Sequence[TargetRow], admins: Admins
) -> Effect | Waiting:
    if content.for_me:
        return _hide(reference, rows)
    row = next((row for row in rows if _wrote(reference, row)), None)
    if row is None:
        if reference.names.kind != "group":
            return Waiting.FORGED
        known = admins.get(reference.names.chat)
        if known is None:
            return Waiting.NO_ADMINS
        if known.isdisjoint(reference.sender_names):
            return Waiting.FORGED
        row = rows[0]
    return Revoke(row, reference.at, _event(reference, "message.deleted"))


def _hide(reference: Reference, rows: Sequence[TargetRow]) -> Effect | Waiting:
    """What the own account does with its own copy; anybody's message may be that."""
    row = next((row for row in rows if (row.direction == "out") == reference.from_me), None)
    if row is None:
        return Waiting.FORGED
    return Revoke(row, reference.at, _event(reference, "message.deleted", forMe=True))


def _vote(
    reference: Reference, content: VoteContent, rows: Sequence[TargetRow], own: Sequence[str]
) -> Effect | Waiting:
    for row in rows:
        if row.secret is None or not row.options:
            continue
        try:
            hashes = open_vote(
                content.payload,
                content.iv,
                secret=row.secret,
                wa_id=row.wa_id,
                authors=_authors(reference, content.key.participant, content.key.chat, row, own),
                voters=_senders(reference, own),
            )
        except Undecipherable:
            continue
        options = chosen(row.options, hashes)
        event = _event(reference, "message.vote", voter=reference.sender, options=list(options))
        return Vote(row, reference.sender, options, reference.at, event)
    return Waiting.NOT_OPENED


def _reaction(
    reference: Reference, content: EncryptedReaction, rows: Sequence[TargetRow], own: Sequence[str]
) -> Effect | Waiting:
    for row in rows:
        if row.secret is None:
            continue
        try:
            emoji = open_reaction(
                content.payload,
                content.iv,
                secret=row.secret,
                wa_id=row.wa_id,
                authors=_authors(reference, content.key.participant, content.key.chat, row, own),
                senders=_senders(reference, own),
            )
        except Undecipherable:
            continue
        event = _event(reference, "message.reaction", sender=reference.sender, emoji=emoji)
        return ReactionChange(reference.names.contact, row.wa_id, reference.sender, emoji, reference.at, event)
    return Waiting.NOT_OPENED


def _wrote(reference: Reference, row: TargetRow) -> bool:
    """Whether the sender of the reference is the author of the row."""
    if reference.from_me or row.direction == "out":
        return reference.from_me and row.direction == "out"
    if reference.names.kind == "person":
        return True  # only the other side writes there
    return not _names(row).isdisjoint(reference.sender_names)


def _names(row: TargetRow) -> set[str]:
    found = {row.sender} if row.sender else set[str]()
    if row.sender_phone:
        found.add(f"{row.sender_phone}@{PHONE_SERVER}")
    return found


def _authors(reference: Reference, participant: str, chat: str, row: TargetRow, own: Sequence[str]) -> tuple[str, ...]:
    """Every name under which the target's author may have been taken into the key."""
    stored = (*own, *sorted(_names(row))) if row.direction == "out" else tuple(sorted(_names(row)))
    sender = reference.sender_names if reference.from_me == (row.direction == "out") else ()
    return tuple(dict.fromkeys(name for name in (participant, *stored, chat, *sender) if name))


def _senders(reference: Reference, own: Sequence[str]) -> tuple[str, ...]:
    """Every name of who sent the reference: proven by WhatsApp, so a vote cannot be cast for somebody else."""
    return tuple(dict.fromkeys((*reference.sender_names, *(own if reference.from_me else ()))))


def _event(reference: Reference, kind: str, **more: object) -> NewEvent:
    names = reference.names
    return NewEvent(
        reference.event,
        kind,
        {"waId": reference.key.wa_id, "chat": names.chat, "contact": names.contact, **more},
    )
