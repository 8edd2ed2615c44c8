"""What was done on the phone to chats, contacts and messages: archived, pinned, muted, read, deleted, named. Pure.

Only engines that tell app state write such records. Our own changes come back as records, too, and change nothing then.
What the phone puts away is not erased here: a chat that is deleted there leaves the list, and its messages stay.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from whatsam_connector.content.reading import Key, RevokeContent
from whatsam_connector.content.reading_parts import string, time_of
from whatsam_connector.content.schema import MalformedMessage, SyncActionValue, parse
from whatsam_connector.journal import InboundAppState
from whatsam_connector.journal.payload import to_payload
from whatsam_connector.messages.batch import FOR_EVER, NO_LONGER, ChatChange, TargetKey
from whatsam_connector.messages.inbound.chats import chat_change, contact_change
from whatsam_connector.messages.inbound.findings import Finding, Owner, Reference
from whatsam_connector.messages.inbound.names import (
    LID_SERVER,
    PHONE_SERVER,
    ChatNames,
    bare,
    chat_names,
    event_id,
    lid_of,
    person,
    phone_of,
    server_of,
)
from whatsam_core.message_ids import message_at

_CHATS: Final = frozenset({PHONE_SERVER, LID_SERVER, "g.us", "newsletter", "broadcast"})
_CONTACT: Final = "contact"
_FOR_ME: Final = "deleteMessageForMe"
_COUNT: Final = "app_state"


def app_state(record: InboundAppState, owner: Owner) -> Finding:
    """What a change of app state says; nothing for what has no place in the tables."""
    try:
        value = parse(record.data, SyncActionValue)
    except MalformedMessage:
        return Finding("malformed", aside="malformed app state")
    word, *rest = record.index or ("",)
    jid = bare(string(rest[0])) if rest else ""
    if server_of(jid) not in _CHATS:
        return Finding(_COUNT)
    if word == _CONTACT:
        return _contact(jid, value)
    if word == _FOR_ME:
        return _deleted_for_me(record, jid, rest[1:], owner)
    chat = _WORDS.get(word)
    change = chat(record, chat_names(jid, phone_of(jid)), value) if chat is not None else None
    return Finding(_COUNT, chats=[] if change is None else [change])


def subject(record: InboundAppState) -> str:
    """The JID that a record is about: a chat's or a person's. Empty: it is about neither."""
    return bare(string(record.index[1])) if len(record.index) > 1 else ""


def about(record: InboundAppState, jid: str) -> InboundAppState:
    """The record with another name for what it is about."""
    return replace(record, index=(record.index[0], jid, *record.index[2:]))


def _archived(_record: InboundAppState, names: ChatNames, value: Any) -> ChatChange | None:
    if not value.HasField("archiveChatAction"):
        return None
    return chat_change(names, archived=bool(value.archiveChatAction.archived))


def _pinned(record: InboundAppState, names: ChatNames, value: Any) -> ChatChange | None:
    if not value.HasField("pinAction"):
        return None
    return chat_change(names, pinned_at=record.timestamp if value.pinAction.pinned else NO_LONGER)


def _muted(_record: InboundAppState, names: ChatNames, value: Any) -> ChatChange | None:
    if not value.HasField("muteAction"):
        return None
    if not value.muteAction.muted:
        return chat_change(names, muted_until=NO_LONGER)
    return chat_change(names, muted_until=time_of(value.muteAction.muteEndTimestamp / 1000) or FOR_EVER)


def _marked(record: InboundAppState, names: ChatNames, value: Any) -> ChatChange | None:
    if not value.HasField("markChatAsReadAction"):
        return None
    if not value.markChatAsReadAction.read:
        return chat_change(names, marked_unread=True)
    # Among all settings it may be years old: what came since then is unread.
    return None if record.full_sync else chat_change(names, read=True, marked_unread=False)


def _deleted(record: InboundAppState, names: ChatNames, _value: Any) -> ChatChange | None:
    return None if record.full_sync else chat_change(names, gone_at=record.timestamp)


def _cleared(record: InboundAppState, names: ChatNames, _value: Any) -> ChatChange | None:
    return None if record.full_sync else chat_change(names, emptied_at=record.timestamp)


_WORDS: Final[dict[str, Callable[[InboundAppState, ChatNames, Any], ChatChange | None]]] = {
    "archive": _archived,
    "pin_v1": _pinned,
    "mute": _muted,
    "markChatAsRead": _marked,
    "deleteChat": _deleted,
    "clearChat": _cleared,
}
"""First words of an index that are about a chat."""


def _contact(jid: str, value: Any) -> Finding:
    """A name in the phone's address book. One that was taken out stays here: the messages of that time are his."""
    action = value.contactAction
    name = string(action.fullName) or string(action.firstName)
    lid = lid_of(jid) or lid_of(bare(string(action.lidJID)))
    known = contact_change(lid or jid, phone_of(jid) or phone_of(bare(string(action.pnJID))), None)
    return Finding(_COUNT, contacts=[replace(known, full_name=name)] if known is not None and name else [])


def _deleted_for_me(record: InboundAppState, jid: str, rest: list[str], owner: Owner) -> Finding:
    """A message that the account has deleted for itself: the others have it still."""
    if record.full_sync or len(rest) < 3:
        return Finding(_COUNT)  # those of the past are not in a history either
    wa_id, own, names = string(rest[0]), rest[1] == "1", chat_names(jid, phone_of(jid))
    by = person("", owner.phone)
    return Finding(
        _COUNT,
        reference=Reference(
            record_id=event_id(owner.uid, record.event_id, "deferred"),
            key=TargetKey(wa_id, names.all),
            content=RevokeContent(Key(wa_id, jid, bare(string(rest[2])), own), for_me=True),
            names=names,
            sender=by,
            sender_names=owner.own,
            from_me=own,
            at=message_at(record.timestamp),
            payload=to_payload(record),
            event=event_id(owner.uid, record.event_id),
        ),
    )
