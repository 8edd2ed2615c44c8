"""Groups: what changed in them, as rows in the chat, as its name and timer, and as one event. Pure."""

from typing import Any

from whatsam_connector.content.reading_parts import string
from whatsam_connector.journal import InboundGroup, InboundGroupChange, InboundPicture
from whatsam_connector.messages.batch import NewEvent
from whatsam_connector.messages.inbound.chats import chat_change, contact_change, system_row
from whatsam_connector.messages.inbound.findings import Finding, Owner
from whatsam_connector.messages.inbound.names import chat_names, event_id, phone_of

_MOST_NAMED = 256
"""Members that a row or an event names; the number of all of them is beside."""


def joined(record: InboundGroup, owner: Owner) -> Finding:
    """We are in a group now."""
    names = chat_names(record.group, None)
    subject = string(record.subject)
    row = system_row(
        owner,
        record.event_id,
        names,
        "group_joined",
        record.timestamp,
        subject=subject,
        reason=string(record.reason) or None,
        memberCount=len(record.members),
    )
    contacts = [contact_change(member.jid, member.phone, None) for member in record.members if member.phone]
    return Finding(
        "group",
        messages=[row],
        chats=[chat_change(names, name=subject or None, ephemeral_seconds=record.ephemeral_seconds)],
        contacts=[contact for contact in contacts if contact is not None],
        events=[_event(record.event_id, owner, record.group, {"joined": True, "subject": subject})],
    )


def changed(record: InboundGroupChange, owner: Owner) -> Finding:
    """Something about a group changed."""
    names = chat_names(record.group, None)
    changes = _changes(record)
    rows = [
        system_row(owner, record.event_id, names, f"group_{kind}", record.timestamp, by=record.by or "", **details)
        for kind, details in changes.items()
    ]
    change = chat_change(
        names,
        name=string(record.subject) if record.subject else None,
        ephemeral_seconds=record.ephemeral_seconds,
    )
    body: dict[str, Any] = {"changes": changes}
    if record.by:
        body["by"] = record.by
    events = [_event(record.event_id, owner, record.group, body)] if changes else []
    return Finding("group", messages=rows, chats=[change], events=events)


def picture(record: InboundPicture, owner: Owner) -> Finding:
    """A picture changed. Only those of groups are told in the chat."""
    names = chat_names(record.jid, phone_of(record.jid))
    if names.kind != "group":
        return Finding("picture")
    kind = "picture_removed" if record.removed else "picture"
    row = system_row(owner, record.event_id, names, f"group_{kind}", record.timestamp, by=record.by or "")
    body: dict[str, Any] = {"changes": {kind: {}}}
    if record.by:
        body["by"] = record.by
    return Finding(
        "picture",
        messages=[row],
        chats=[chat_change(names)],
        events=[_event(record.event_id, owner, record.jid, body)],
    )


def _changes(record: InboundGroupChange) -> dict[str, dict[str, Any]]:
    """What changed, by kind, with details."""
    found: dict[str, dict[str, Any]] = {}
    for kind, members in (
        ("members_joined", record.joined),
        ("members_left", record.left),
        ("promoted", record.promoted),
        ("demoted", record.demoted),
    ):
        if members:
            found[kind] = {"members": list(members[:_MOST_NAMED]), "memberCount": len(members)}
    if record.joined and record.join_reason:
        found["members_joined"]["reason"] = string(record.join_reason)
    if record.subject is not None:
        found["subject"] = {"subject": string(record.subject)}
    if record.description is not None:
        found["description"] = {"description": string(record.description)}
    if record.announce is not None:
        found["announce"] = {"announce": record.announce}
    if record.locked is not None:
        found["locked"] = {"locked": record.locked}
    if record.ephemeral_seconds is not None:
        found["ephemeral"] = {"seconds": record.ephemeral_seconds}
    if record.invite_link is not None:
        found["invite_link"] = {}  # the link itself lets people in: it is asked for, not stored
    if record.deleted:
        found["deleted"] = {}
    if record.other:
        found["other"] = {"words": [string(word) for word in record.other[:16]]}
    return found


def _event(record: str, owner: Owner, group: str, body: dict[str, Any]) -> NewEvent:
    return NewEvent(event_id(owner.uid, record), "group.updated", {"group": group, **body})
