"""Parts of the bodies of outgoing rows: pure translations from calls and from rows that are there. For `outgoing`."""

from collections.abc import Sequence
from typing import Any, Final

from whatsam_api.errors import CannotChange, InvalidField, MediaNotReady
from whatsam_api.models.messages import MessageRow
from whatsam_api.models.sending import (
    CaptionedMessage,
    ContactMessage,
    Content,
    FileMessage,
    LiveLocationMessage,
    LocationMessage,
    PollMessage,
)
from whatsam_api.policies.recipients import recipient
from whatsam_api.services.media_intake import Accepted
from whatsam_core.messages import BODIES, MEDIA_TYPES, InvalidBody, MessageType, OutgoingBody, parse_body
from whatsam_core.resources import WhatsAppSession

GROUP: Final = "@g.us"
FORWARDABLE: Final = frozenset(BODIES) - {
    MessageType.REACTION,
    MessageType.EDIT,
    MessageType.REVOKE,
    MessageType.POLL,
    MessageType.LIVE_LOCATION,
}
MARKS: Final = frozenset({MessageType.REACTION, MessageType.EDIT, MessageType.REVOKE})
"""Rows that are no messages of their own in the chat."""
_CONTENT_FIELDS: Final = (
    "text", "caption", "media", "width", "height", "seconds", "thumbnail", "waveform", "pages", "animated", "location",
    "contacts", "preview",
)  # fmt: skip
"""What a forwarded message keeps of the first one."""
_MEDIA_FIELDS: Final = ("sha256", "size", "mimetype", "fileName")


def people(given: Sequence[str], field: str) -> list[str]:
    """JIDs of persons. Raises `InvalidField`."""
    found = [jid(one, field) for one in given]
    if any(one.endswith(GROUP) for one in found):
        raise InvalidField(field, "only persons can be mentioned, not groups")
    return found


def jid(given: str, field: str) -> str:
    """The JID of a number or address in a field of that name. Raises `InvalidField`."""
    try:
        return recipient(given)
    except InvalidField as error:
        raise InvalidField(field, error.message.removeprefix("to: ")) from None


def surrounded(wanted: Content) -> bool:
    """Whether a message says more than its content."""
    return bool(wanted.mentions) or wanted.quoted_message_id is not None


def file_parts(wanted: FileMessage, accepted: Accepted) -> dict[str, Any]:
    """The content of a message with a file."""
    look = accepted.look
    parts: dict[str, Any] = {
        "media": accepted.media,
        "width": look.width,
        "height": look.height,
        "seconds": look.seconds,
        "thumbnail": look.thumbnail,
        "waveform": look.waveform,
        "animated": look.animated,
        "view_once": getattr(wanted, "view_once", False),
    }
    if isinstance(wanted, CaptionedMessage) and wanted.caption:
        parts["caption"] = wanted.caption
    return parts


def plain_parts(wanted: Any, secret: str) -> dict[str, Any]:
    """The content of a message without a file. `secret`: base64 of what votes on a poll are encrypted with."""
    if isinstance(wanted, PollMessage):
        return {"poll": {**wanted.poll.model_dump(), "secret": secret}}
    if isinstance(wanted, ContactMessage):
        cards = [
            {"name": card.name, "vcard": card.vcard}
            if card.phone is None
            else {"name": card.name, "phone": jid(card.phone, "contacts.phone").partition("@")[0]}
            for card in wanted.contacts
        ]
        return {"contacts": cards}
    if isinstance(wanted, LiveLocationMessage):
        return {"location": wanted.location.model_dump(), "caption": wanted.caption}
    if isinstance(wanted, LocationMessage):
        return {"location": wanted.location.model_dump()}
    raise InvalidField("type", "messages of this type cannot be sent")


def target(session: WhatsAppSession, row: MessageRow) -> Any:
    """How a reaction, an edit or a deletion names the message that it is about."""
    own = row.direction == "out"
    return {
        "message_id": row.id,
        "wa_id": row.wa_id,
        "sender": own_jid(session) if own else row.sender,
        "from_me": own,
        "type": row.type,
    }


def own_jid(session: WhatsAppSession) -> str | None:
    """Who the session is, without the device."""
    user, _, server = (session.status.jid or "").partition("@")
    return f"{user.partition(':')[0]}@{server}" if server else None


def refuse_dead(row: MessageRow) -> None:
    """Raise `CannotChange` for a message that nobody has."""
    if row.deleted_at is not None:
        raise CannotChange("the message was deleted")
    if row.status == "failed" or (row.wa_id is None and row.direction == "in"):
        raise CannotChange("the message was never sent")


def forwarded(row: MessageRow) -> OutgoingBody:
    """The body of a message that passes `row` on. Raises `CannotChange`, `MediaNotReady`."""
    body = {name: row.body[name] for name in _CONTENT_FIELDS if row.body.get(name) is not None}
    raw = row.body.get("raw")
    if row.type in MEDIA_TYPES:
        found = {**(row.media or {}), **(row.body.get("media") or {})}
        if "sha256" in found and found.get("state", "stored") == "stored":
            # Uploaded anew: what lies at WhatsApp's servers expires after some weeks.
            body["media"] = {name: found[name] for name in _MEDIA_FIELDS if found.get(name) is not None}
            raw = None
        elif raw is None:
            raise MediaNotReady("the file of this message is not in the store (yet); try again, or send it anew")
    if raw is not None:
        body["raw"] = raw
    body["forwarded"] = True
    body["forwardingScore"] = int(row.body.get("forwardingScore") or 0) + (1 if row.body.get("forwarded") else 0)
    try:
        return parse_body(row.type, body)
    except InvalidBody as error:
        raise CannotChange("this message cannot be forwarded") from error
