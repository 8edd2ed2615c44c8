"""Receipts: how far messages of ours have come, and what the account has read on another device. Pure."""

from whatsam_connector.content.reading_parts import string
from whatsam_connector.journal import InboundReceipt, ReceiptKind
from whatsam_connector.messages.batch import NewEvent, ReceiptFor
from whatsam_connector.messages.inbound.chats import chat_change
from whatsam_connector.messages.inbound.findings import Finding, Owner
from whatsam_connector.messages.inbound.names import chat_names, event_id, person

STATUS = {ReceiptKind.DELIVERED: "delivered", ReceiptKind.READ: "read", ReceiptKind.PLAYED: "played"}
"""What receipts say about a row; the other kinds are about devices of the own account, or ask for a message again."""

_OWN = frozenset({ReceiptKind.READ_SELF, ReceiptKind.PLAYED_SELF})


def receipt(record: InboundReceipt, owner: Owner) -> Finding:
    """What a receipt says."""
    names = chat_names(record.chat, record.chat_phone)
    if record.kind in _OWN:
        return Finding("receipt", chats=[chat_change(names, read=True)])
    status = STATUS.get(record.kind)
    if status is None:
        return Finding("receipt")
    group = record.group or names.kind != "person"
    recipient = person(record.sender, record.sender_phone)
    return Finding(
        "receipt",
        receipts=[
            ReceiptFor(
                wa_id=string(wa_id),
                status=status,
                recipient=recipient,
                group=group,
                at=record.timestamp,
                chat=names.chat,
                contact=names.contact,
                event=NewEvent(
                    event_id(owner.uid, record.event_id, wa_id),
                    "message.status",
                    {"waId": string(wa_id), "contact": names.contact, "status": status}
                    | ({"recipient": recipient} if group else {}),
                ),
            )
            for wa_id in record.wa_ids
        ],
    )
