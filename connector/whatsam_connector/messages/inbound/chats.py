"""System rows: what is shown in a chat and was written by nobody. Pure; for the other modules of this package."""

from datetime import datetime
from typing import Any

from whatsam_connector.journal import InboundIdentityChange
from whatsam_connector.messages.batch import ChatChange, ContactChange, NewMessage
from whatsam_connector.messages.inbound.findings import Finding, Owner
from whatsam_connector.messages.inbound.names import (
    ChatNames,
    chat_names,
    lid_of,
    person,
    phone_of,
)
from whatsam_core.message_ids import derived_message_id, message_at


def system_row(
    owner: Owner, event: str, names: ChatNames, kind: str, at: datetime, *, by: str = "", **details: Any
) -> NewMessage:
    """A row of type system; `event` and `kind` make it unique."""
    said = {name: value for name, value in details.items() if value is not None}
    return NewMessage(
        id=derived_message_id(at, owner.uid, event, kind),
        direction="in",
        chat=names.chat,
        contact=names.contact,
        sender=by,
        sender_phone=phone_of(by),
        wa_id=None,
        type="system",
        body={"system": {"kind": kind, **said}},
        status="received",
        at=message_at(at),
    )


def chat_change(names: ChatNames, **changes: Any) -> ChatChange:
    """A change of a chat, or only the fact that it exists."""
    return ChatChange(chat=names.chat, contact=names.contact, kind=names.kind, **changes)


def contact_change(
    jid: str, phone: str | None, push_name: str | None, business_name: str | None = None
) -> ContactChange | None:
    """What a record says about a person; None for what is no person."""
    name = person(jid, phone)
    if phone_of(name) is None and lid_of(name) is None:
        return None
    return ContactChange(
        jid=name,
        phone=phone_of(name),
        lid=lid_of(jid),
        push_name=push_name or None,
        business_name=business_name or None,
    )


def identity_changed(record: InboundIdentityChange, owner: Owner) -> Finding:
    """Somebody has a new phone: the security code of the chat is another one."""
    names = chat_names(record.jid, phone_of(record.jid))
    row = system_row(owner, record.event_id, names, "security_code_changed", record.timestamp)
    return Finding("identity", messages=[row], chats=[chat_change(names)])
