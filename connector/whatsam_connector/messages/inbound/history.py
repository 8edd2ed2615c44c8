"""History that the phone hands over: chats, names, and, where the owner wants them, messages. Pure.

Nothing of it is new: rows are marked, nobody is told unless asked, and what is stored already stays as it is. Ids are
made of chat and message id, so a part that comes again changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from whatsam_connector.content.polls import chosen
from whatsam_connector.content.reading import MessageContent, read_message
from whatsam_connector.content.reading_parts import string, time_of
from whatsam_connector.content.schema import HistorySync, MalformedMessage, parse
from whatsam_connector.journal import InboundHistory
from whatsam_connector.messages.batch import ContactChange, NewEvent, NewMessage, ReactionChange, Vote
from whatsam_connector.messages.inbound.chats import chat_change, contact_change
from whatsam_connector.messages.inbound.findings import Finding, Owner, Wants
from whatsam_connector.messages.inbound.messages import with_media
from whatsam_connector.messages.inbound.names import (
    LID_SERVER,
    ChatNames,
    bare,
    chat_names,
    event_id,
    lid_of,
    person,
    phone_of,
    server_of,
)
from whatsam_connector.messages.inbound.targets import target_of
from whatsam_core.message_ids import derived_message_id, message_at

_STATUS: Final = {3: "delivered", 4: "read", 5: "played"}
"""Values of `WebMessageInfo.status` for messages of ours; everything else is sent."""

_STUBS: Final = {
    1: "message_deleted",
    20: "group_created",
    21: "group_subject",
    22: "group_picture",
    23: "group_invite_link",
    24: "group_description",
    25: "group_locked",
    26: "group_announce",
    27: "group_members_joined",
    28: "group_members_left",
    29: "group_promoted",
    30: "group_demoted",
    31: "group_members_joined",
    32: "group_members_left",
    33: "number_changed",
    38: "security_code_changed",
    40: "missed_call",
    41: "missed_video_call",
    42: "number_changed",
    43: "group_deleted",
    72: "ephemeral",
}
"""Values of `WebMessageInfo.messageStubType` that are shown."""
_MOST_PARAMETERS: Final = 256


@dataclass(frozen=True, slots=True)
class ReadHistory(InboundHistory):
    """A part that is parsed, so that nobody parses it again."""

    sync: Any
    """The part; None when it is malformed."""
    numbers: Mapping[str, str] = field(default_factory=dict[str, str])
    """People by LID whose number the part does not tell."""


def read(record: InboundHistory) -> ReadHistory:
    """The part, parsed if it was not yet."""
    if isinstance(record, ReadHistory):
        return record
    try:
        sync = parse(record.data, HistorySync)
    except MalformedMessage:
        sync = None
    return ReadHistory(record.event_id, record.part, record.parts, record.data, sync)


def history(record: InboundHistory, owner: Owner, wants: Wants) -> Finding:
    """What a part of the history says."""
    part = read(record)
    sync = part.sync
    if sync is None:
        return Finding("malformed", aside="malformed history")
    finding = Finding("history")
    phones = {string(pair.lidJID): string(pair.pnJID) for pair in sync.phoneNumberToLidMappings} | dict(part.numbers)
    for lid, number in phones.items():
        _know(finding, bare(lid), phone_of(bare(number)), None)
    for known in sync.pushnames:
        jid = bare(string(known.ID))
        _know(finding, jid, _phone(jid, phones), string(known.pushname))
    for conversation in sync.conversations:
        _conversation(finding, conversation, phones, owner, wants)
    return finding


def nameless(record: InboundHistory) -> tuple[str, ...]:
    """LIDs of chats whose number the part does not tell: a phone that is asked for more of a chat may leave it out."""
    sync = read(record).sync
    if sync is None:
        return ()
    told = {bare(string(pair.lidJID)) for pair in sync.phoneNumberToLidMappings}
    jids = [bare(string(part.ID)) for part in sync.conversations if phone_of(bare(string(part.pnJID))) is None]
    return tuple(jid for jid in jids if lid_of(jid) is not None and jid not in told)


def with_numbers(record: InboundHistory, phones: Mapping[str, str]) -> InboundHistory:
    """The part with those of the numbers (by LID) that it does not tell."""
    part = read(record)
    known = {lid: person(lid, phones[lid]) for lid in nameless(part) if lid in phones}
    return replace(part, numbers=known) if known else record


def _conversation(finding: Finding, part: Any, phones: dict[str, str], owner: Owner, wants: Wants) -> None:
    jid = bare(string(part.ID))
    if not server_of(jid):
        return
    phone = phone_of(bare(string(part.pnJID))) or _phone(jid, phones)
    lid = bare(string(part.lidJID))
    # Messages name the chat by its LID from now on; the history may still name it by number.
    names = chat_names(lid if server_of(lid) == LID_SERVER else jid, phone)
    name = string(part.name) or string(part.displayName) or None
    finding.chats.append(
        chat_change(
            names,
            name=name,
            unread=int(part.unreadCount),
            marked_unread=bool(part.markedAsUnread) or None,
            archived=bool(part.archived) or None,
            pinned_at=time_of(part.pinned),
            muted_until=_muted(int(part.muteEndTime)),
            ephemeral_seconds=int(part.ephemeralExpiration) if part.HasField("ephemeralExpiration") else None,
        )
    )
    if names.kind == "person":
        _know(finding, names.chat, phone, None, full_name=name)
    if wants.history and names.kind != "status":
        for item in part.messages:
            _message(finding, item.message, names, _Reader(owner, wants, phones))


@dataclass(frozen=True, slots=True)
class _Reader:
    """For whom a part of the history is read, and the phone numbers that it tells."""

    owner: Owner
    wants: Wants
    phones: dict[str, str]


def _message(finding: Finding, info: Any, names: ChatNames, reader: _Reader) -> None:
    owner, wants = reader.owner, reader.wants
    wa_id, at = string(info.key.ID), time_of(info.messageTimestamp)
    if not wa_id or at is None:
        return
    content = _content(info)
    if content is None:
        return
    own = bool(info.key.fromMe)
    author = bare(string(info.participant) or string(info.key.participant) or ("" if own else names.chat))
    author_phone = _phone(author, reader.phones) or (phone_of(names.contact) if author == names.chat else None)
    body = dict(content.body)
    push_name = string(info.pushName)
    if push_name and not own:
        body["pushName"] = push_name
    secret = content.secret or (info.messageSecret if len(info.messageSecret) == 32 else None)
    row = NewMessage(
        id=derived_message_id(at, owner.uid, names.contact, wa_id),
        direction="out" if own else "in",
        chat=names.chat,
        contact=names.contact,
        sender=author,
        sender_phone=author_phone,
        wa_id=wa_id,
        type=content.type,
        body=body,
        status=_STATUS.get(info.status, "sent") if own else "received",
        at=message_at(at),
        history=True,
        quoted_wa_id=content.quoted_wa_id,
        secret=secret if content.type == "poll" or names.kind == "group" else None,
        event=NewEvent(
            event_id(owner.uid, names.contact, wa_id), "message.sent" if own else "message.received", {"history": True}
        )
        if wants.history_events
        else None,
    )
    finding.messages.append(with_media(row, content.media, wants))
    _answers(finding, info, row, names, reader)


def _content(info: Any) -> MessageContent | None:
    if info.HasField("message"):
        content = read_message(info.message)
        if isinstance(content, MessageContent):
            return content
    kind = _STUBS.get(info.messageStubType)
    if kind is None:
        return None
    said = [string(text) for text in info.messageStubParameters[:_MOST_PARAMETERS]]
    return MessageContent("system", {"system": {"kind": kind, **({"parameters": said} if said else {})}})


def _answers(finding: Finding, info: Any, row: NewMessage, names: ChatNames, reader: _Reader) -> None:
    """Reactions and votes come with the message, readable."""
    for reaction in info.reactions:
        sender = _who(reaction.key, names, reader)
        if sender:
            at = time_of(reaction.senderTimestampMS / 1000) or row.at
            change = ReactionChange(
                names.contact, row.wa_id or "", sender, string(reaction.text)[:64], message_at(at), None
            )
            finding.reactions.append(change)
    if row.type != "poll":
        return
    target = target_of(row)
    for update in info.pollUpdates:
        voter = _who(update.pollUpdateMessageKey, names, reader)
        if voter:
            at = time_of(update.senderTimestampMS / 1000) or row.at
            picked = chosen(target.options, update.vote.selectedOptions)
            finding.votes.append(Vote(target, voter, picked, message_at(at), None))


def _who(key: Any, names: ChatNames, reader: _Reader) -> str:
    """Canonical name of who sent the message with this key."""
    if key.fromMe:
        return person("", reader.owner.phone)
    author = bare(string(key.participant))
    if author:
        return person(author, _phone(author, reader.phones))
    return names.contact if names.kind == "person" else ""


def _know(
    finding: Finding, jid: str, phone: str | None, push_name: str | None, *, full_name: str | None = None
) -> None:
    known = contact_change(jid, phone, push_name)
    if known is None:
        return
    if full_name:
        known = ContactChange(known.jid, known.phone, known.lid, known.push_name, full_name, known.business_name)
    finding.contacts.append(known)


def _phone(jid: str, phones: dict[str, str]) -> str | None:
    return phone_of(jid) or (phone_of(bare(phones.get(jid, ""))) if lid_of(jid) else None)


def _muted(value: int) -> datetime | None:
    """WhatsApp gives seconds or milliseconds here, and the greatest number for always."""
    if value <= 0:
        return None
    seconds = value / 1000 if value > 10**11 else value
    return time_of(seconds) or datetime(9999, 1, 1, tzinfo=UTC)
