"""One journal record → what it says. Pure; called by the inbox for each record of a stretch of the journal."""

from whatsam_connector.journal import (
    InboundAppState,
    InboundCall,
    InboundGroup,
    InboundGroupChange,
    InboundHistory,
    InboundIdentityChange,
    InboundMessage,
    InboundPicture,
    InboundReceipt,
    InboundUndecryptable,
    InboundUnreadable,
    JournalRecord,
    UnknownRecord,
)
from whatsam_connector.messages.inbound import app_state, calls, chats, groups, history, messages, receipts
from whatsam_connector.messages.inbound.findings import Finding, Owner, Wants


def translate(record: JournalRecord | UnknownRecord, owner: Owner, wants: Wants) -> Finding:  # noqa: PLR0911  # a table
    """What the record says. Never raises for anything that a sender can write."""
    match record:
        case InboundMessage():
            return messages.message(record, owner, wants)
        case InboundUndecryptable():
            return messages.undecryptable(record, owner)
        case InboundReceipt():
            return receipts.receipt(record, owner)
        case InboundCall():
            return calls.call(record, owner, wants)
        case InboundGroup():
            return groups.joined(record, owner)
        case InboundGroupChange():
            return groups.changed(record, owner)
        case InboundPicture():
            return groups.picture(record, owner)
        case InboundIdentityChange():
            return chats.identity_changed(record, owner)
        case InboundAppState():
            return app_state.app_state(record, owner)
        case InboundHistory():
            return history.history(record, owner, wants)
        case InboundUnreadable():
            return Finding("unreadable", aside=f"unreadable: {record.event}: {record.error}")
        case UnknownRecord():
            return Finding("unknown", aside="unknown: written by a newer engine")
