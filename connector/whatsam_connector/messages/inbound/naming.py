"""Phone numbers that a record lacks and the account has learnt before. Pure; the inbox looks them up.

WhatsApp tells the number behind a LID with most records, not with all: what was read on another device, for example,
names the chat by LID alone. A chat must not be two because of that.
"""

from collections.abc import Mapping
from dataclasses import replace

from whatsam_connector.journal import (
    InboundAppState,
    InboundCall,
    InboundHistory,
    InboundMessage,
    InboundReceipt,
    InboundUndecryptable,
    JournalRecord,
    UnknownRecord,
)
from whatsam_connector.messages.inbound import history
from whatsam_connector.messages.inbound.app_state import about, subject
from whatsam_connector.messages.inbound.names import lid_of, person

AnyRecord = JournalRecord | UnknownRecord


def opened(record: AnyRecord) -> AnyRecord:
    """The record; a part of a history is parsed here, once for all that follows."""
    return history.read(record) if isinstance(record, InboundHistory) else record


def unnamed(record: AnyRecord) -> tuple[str, ...]:
    """LIDs of people whose number the record does not tell."""
    match record:
        case InboundMessage() | InboundReceipt() | InboundUndecryptable():
            pairs = ((record.chat, record.chat_phone), (record.sender, record.sender_phone))
        case InboundCall():
            pairs = ((record.caller, record.caller_phone),)
        case InboundAppState():
            pairs = ((subject(record), None),)
        case InboundHistory():
            return history.nameless(record)
        case _:
            return ()
    return tuple(jid for jid, phone in pairs if phone is None and lid_of(jid) is not None)


def named(record: AnyRecord, phones: Mapping[str, str]) -> AnyRecord:
    """The record with the numbers (by LID) that are known."""
    match record:
        case InboundMessage() | InboundReceipt() | InboundUndecryptable():
            chat_phone = record.chat_phone or phones.get(record.chat)
            sender_phone = record.sender_phone or phones.get(record.sender)
            if (chat_phone, sender_phone) == (record.chat_phone, record.sender_phone):
                return record
            return replace(record, chat_phone=chat_phone, sender_phone=sender_phone)
        case InboundCall():
            phone = record.caller_phone or phones.get(record.caller)
            return record if phone == record.caller_phone else replace(record, caller_phone=phone)
        case InboundAppState():
            phone = phones.get(subject(record))
            return record if phone is None else about(record, person(subject(record), phone))
        case InboundHistory():
            return history.with_numbers(record, phones)
        case _:
            return record
