"""Calls: a row and an event when somebody rings. What becomes of the call afterwards is not stored. Pure."""

from whatsam_connector.journal import CallStep, InboundCall
from whatsam_connector.messages.batch import NewEvent, NewMessage
from whatsam_connector.messages.inbound.chats import chat_change, contact_change
from whatsam_connector.messages.inbound.findings import Finding, Owner, Wants
from whatsam_connector.messages.inbound.names import chat_names, event_id, person
from whatsam_core.message_ids import derived_message_id, message_at


def call(record: InboundCall, owner: Owner, wants: Wants) -> Finding:
    """What a call's step says; only the offer is shown."""
    if record.step is not CallStep.OFFERED:
        return Finding("call")
    names = chat_names(record.group or record.caller, None if record.group else record.caller_phone)
    caller = person(record.caller, record.caller_phone)
    said = {"callId": record.call_id, "video": record.video, "rejecting": wants.reject_calls}
    row = NewMessage(
        id=derived_message_id(record.timestamp, owner.uid, record.event_id),
        direction="in",
        chat=names.chat,
        contact=names.contact,
        sender=record.caller,
        sender_phone=record.caller_phone,
        wa_id=f"call:{record.call_id}",  # WhatsApp tells of one call several times
        type="call",
        body={"call": said},
        status="received",
        at=message_at(record.timestamp),
        event=NewEvent(
            event_id(owner.uid, record.event_id),
            "call.received",
            {"chat": names.chat, "contact": names.contact, "caller": caller, **said},
        ),
    )
    known = contact_change(record.caller, record.caller_phone, None)
    return Finding("call", messages=[row], chats=[chat_change(names)], contacts=[known] if known else [])
