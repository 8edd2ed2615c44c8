"""Receipts → journal. What they say settles messages of ours whose outcome was uncertain."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonize.events import ReceiptEv

from whatsam_connector.engine.events import RetryRequested
from whatsam_connector.engine.neonize_adapter.inbound import chat_phone
from whatsam_connector.engine.neonize_adapter.jids import person_text, phone_of
from whatsam_connector.engine.neonize_adapter.subscription import on
from whatsam_connector.journal import InboundReceipt, ReceiptKind

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_KINDS = {
    ReceiptEv.DELIVERED: ReceiptKind.DELIVERED,
    # The recipient's device has it, but was not in the foreground.
    ReceiptEv.INACTIVE: ReceiptKind.DELIVERED,
    ReceiptEv.SENDER: ReceiptKind.SENDER,
    ReceiptEv.RETRY: ReceiptKind.RETRY,
    ReceiptEv.READ: ReceiptKind.READ,
    ReceiptEv.READ_SELF: ReceiptKind.READ_SELF,
    ReceiptEv.PLAYED: ReceiptKind.PLAYED,
    ReceiptEv.PLAYED_SELF: ReceiptKind.PLAYED_SELF,
    # neonize 0.5.2 encodes whatsmeow's "played-self" as SERVER_ERROR; a real server error ends its event loop.
    ReceiptEv.SERVER_ERROR: ReceiptKind.PLAYED_SELF,
}
"""What is not here (receipts among the own devices for keys and history) concerns no message."""


def subscribe(session: "NeonizeSession") -> None:
    """Subscribe one session to receipts."""

    def receipt(event: ReceiptEv) -> None:
        record = receipt_record(event)
        if record is None:
            return
        session.keep(record, is_message=False)
        if record.kind is ReceiptKind.RETRY:
            session.emit(RetryRequested(session.uid, record.chat, record.wa_ids))

    on(session, ReceiptEv, receipt)


def receipt_record(event: ReceiptEv) -> InboundReceipt | None:
    """The record of a receipt; None for receipts that concern no message."""
    kind = _KINDS.get(event.Type)
    if kind is None:
        return None
    source = event.MessageSource
    return InboundReceipt(
        event_id=uuid.uuid4().hex,
        wa_ids=tuple(event.MessageIDs),
        chat=person_text(source.Chat),
        chat_phone=chat_phone(source),
        sender=person_text(source.Sender),
        kind=kind,
        timestamp=datetime.fromtimestamp(event.Timestamp, UTC),
        sender_phone=phone_of(source.Sender, source.SenderAlt),
        group=source.IsGroup,
    )
