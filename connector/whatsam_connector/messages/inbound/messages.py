"""Messages, readable or not: rows, or references to earlier ones. Pure."""

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from whatsam_connector.content.reading import (
    EditContent,
    EncryptedReaction,
    EphemeralContent,
    MessageContent,
    Nothing,
    ReactionContent,
    RevokeContent,
    VoteContent,
    read,
)
from whatsam_connector.content.reading_parts import MediaSource, string
from whatsam_connector.journal import InboundMessage, InboundUndecryptable
from whatsam_connector.journal.payload import to_payload
from whatsam_connector.messages.batch import NewEvent, NewMessage, ReactionChange, TargetKey
from whatsam_connector.messages.inbound.chats import chat_change, contact_change, system_row
from whatsam_connector.messages.inbound.findings import Finding, Owner, Reference, Wants
from whatsam_connector.messages.inbound.names import (
    ChatNames,
    chat_names,
    event_id,
    person,
    person_names,
)
from whatsam_core.message_ids import derived_message_id, message_at

_COUNTS: Final[dict[type, str]] = {
    EditContent: "edit",
    RevokeContent: "revoke",
    VoteContent: "vote",
    EncryptedReaction: "reaction",
}
_NO_UNREAD: Final = frozenset({"system", "call"})


def message(record: InboundMessage, owner: Owner, wants: Wants) -> Finding:
    """What a message says."""
    if record.from_me and record.sender_phone is None:
        record = replace(record, sender_phone=owner.phone)
    names = chat_names(record.chat, record.chat_phone)
    content = read(record.raw, view_once=record.is_view_once)
    if isinstance(content, Nothing):
        if content.reason in {"malformed", "nested"}:
            return Finding("malformed", aside=content.reason)
        return Finding("nothing")
    finding = _finding(record, owner, wants, names, content)
    if not record.from_me:
        known = contact_change(
            record.sender, record.sender_phone, string(record.push_name), string(record.verified_name or "")
        )
        if known is not None:
            finding.contacts.append(known)
    return finding


def _finding(
    record: InboundMessage,
    owner: Owner,
    wants: Wants,
    names: ChatNames,
    content: MessageContent
    | EditContent
    | RevokeContent
    | ReactionContent
    | VoteContent
    | EncryptedReaction
    | EphemeralContent,
) -> Finding:
    sender = person(record.sender, record.sender_phone)
    match content:
        case MessageContent():
            row = _row(record, owner, wants, names, content)
            timer = content.expiration or None
            return Finding("message", messages=[row], chats=[chat_change(names, ephemeral_seconds=timer)])
        case ReactionContent():
            event = reaction_event(
                event_id(owner.uid, record.event_id), names, content.key.wa_id, sender, content.emoji
            )
            at = message_at(record.timestamp)  # the sender's own time is his to invent
            change = ReactionChange(names.contact, content.key.wa_id, sender, content.emoji, at, event)
            return Finding("reaction", reactions=[change] if content.key.wa_id else [])
        case EphemeralContent():
            row = system_row(
                owner, record.event_id, names, "ephemeral", record.timestamp, by=record.sender, seconds=content.seconds
            )
            return Finding("message", messages=[row], chats=[chat_change(names, ephemeral_seconds=content.seconds)])
        case EditContent() | RevokeContent() | VoteContent() | EncryptedReaction():
            return Finding(
                _COUNTS[type(content)],
                reference=Reference(
                    record_id=event_id(owner.uid, record.event_id, "deferred"),
                    key=TargetKey(content.key.wa_id, names.all),
                    content=content,
                    names=names,
                    sender=sender,
                    sender_names=person_names(record.sender, record.sender_phone),
                    from_me=record.from_me,
                    at=message_at(record.timestamp),
                    payload=to_payload(record),
                    event=event_id(owner.uid, record.event_id),
                ),
            )


def _row(record: InboundMessage, owner: Owner, wants: Wants, names: ChatNames, content: MessageContent) -> NewMessage:
    body = dict(content.body)
    push_name = string(record.push_name)
    if push_name and not record.from_me:
        body["pushName"] = push_name
    if record.broadcast_owner:
        body["broadcast"] = True
    if record.server_id is not None:
        body["serverId"] = record.server_id
    status = names.kind == "status"
    kind = "message.sent" if record.from_me else "message.received"
    row = replace(
        _head(record, owner, names, content.type, body),
        status="sent" if record.from_me else "received",
        quoted_wa_id=content.quoted_wa_id,
        secret=content.secret if content.type == "poll" or names.kind == "group" else None,
        unread=not record.from_me and not status and content.type not in _NO_UNREAD,
        event=None if status else NewEvent(event_id(owner.uid, record.event_id), kind),
    )
    return with_media(row, content.media, wants)


def _head(
    record: InboundMessage | InboundUndecryptable, owner: Owner, names: ChatNames, kind: str, body: dict[str, Any]
) -> NewMessage:
    """The row as far as it does not depend on whether the content could be read: undecryptable until told otherwise."""
    at = message_at(record.timestamp)
    return NewMessage(
        id=derived_message_id(at, owner.uid, record.event_id),
        direction="out" if record.from_me else "in",
        chat=names.chat,
        contact=names.contact,
        sender=record.sender,
        sender_phone=record.sender_phone,
        wa_id=string(record.wa_id) or None,
        type=kind,
        body=body,
        status="undecryptable",
        at=at,
    )


def with_media(row: NewMessage, source: MediaSource | None, wants: Wants) -> NewMessage:
    """The row with what is known of its file, and with the file on the downloader's list if it is wanted."""
    if source is None:
        return row
    described: dict[str, Any] = {"kind": source.kind, "mimetype": source.mimetype}
    if source.size is not None:
        described["size"] = source.size
    if source.sha256:
        described["sha256"] = source.sha256.hex()
    if source.file_name:
        described["fileName"] = source.file_name
    if not wants.download:
        return replace(row, media={"state": "skipped", "reason": "off", **described})
    if source.size is not None and source.size > wants.max_bytes:
        return replace(row, media={"state": "skipped", "reason": "size", **described})
    return replace(row, media={"state": "pending", **described}, source=source)


def reaction_event(event: UUID, names: ChatNames, wa_id: str, sender: str, emoji: str) -> NewEvent:
    """What is told of a reaction."""
    body = {"waId": wa_id, "chat": names.chat, "contact": names.contact, "sender": sender, "emoji": emoji}
    return NewEvent(event, "message.reaction", body)


def undecryptable(record: InboundUndecryptable, owner: Owner) -> Finding:
    """A message whose content is missing: a row that says so, completed when the content comes."""
    if record.hidden:
        return Finding("undecryptable")  # a reaction or a vote: nothing that people see
    names = chat_names(record.chat, record.chat_phone)
    reason = "unavailable" if record.unavailable else "lost" if record.already_decrypted else "awaited"
    row = replace(
        _head(record, owner, names, "unknown", {"undecryptable": reason}),
        unread=not record.from_me and names.kind != "status",
        # What is only delayed is told when it has come; nobody waits for what never comes.
        event=NewEvent(event_id(owner.uid, record.event_id), "message.received")
        if reason == "unavailable" and not record.from_me and names.kind != "status"
        else None,
    )
    return Finding("undecryptable", messages=[row], chats=[chat_change(names)])
