"""Marks, presence and calls: what goes along with messages."""

from typing import TYPE_CHECKING, Any

from neonize.utils.enum import ChatPresence, ChatPresenceMedia, Presence, ReceiptType

from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused
from whatsam_connector.engine.neonize_adapter.jids import parse_jid

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_CHAT_STATES = {
    "composing": (ChatPresence.CHAT_PRESENCE_COMPOSING, ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT),
    "recording": (ChatPresence.CHAT_PRESENCE_COMPOSING, ChatPresenceMedia.CHAT_PRESENCE_MEDIA_AUDIO),
    "paused": (ChatPresence.CHAT_PRESENCE_PAUSED, ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT),
}


def mark_read(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Tell the sender that messages were read, or played (`played`): all of one chat and one sender."""
    ids = [str(message_id) for message_id in arguments["message_ids"]]
    if not ids or any(not message_id or " " in message_id for message_id in ids):  # neonize joins them with blanks
        raise CallRefused("Invalid", "message ids are words")
    session.client.mark_read(
        *ids,
        chat=parse_jid(arguments["chat"]),
        sender=parse_jid(arguments["sender"]),
        receipt=ReceiptType.PLAYED if arguments.get("played") else ReceiptType.READ,
    )


def presence(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Show the account as available or not. Refused until WhatsApp has told the account's push name."""
    available = bool(arguments["available"])
    session.client.send_presence(Presence.AVAILABLE if available else Presence.UNAVAILABLE)


def chat_presence(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Show the other side that we are composing or recording, or no longer (`paused`)."""
    state = _CHAT_STATES.get(arguments["state"])
    if state is None:
        raise CallRefused("Invalid", f"the state is one of {', '.join(_CHAT_STATES)}")
    session.client.send_chat_presence(parse_jid(arguments["chat"]), *state)


def subscribe_presence(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Ask to be told when somebody comes online (events `PresenceChanged`)."""
    session.client.subscribe_presence(parse_jid(arguments["jid"]))


def reject_call(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Decline a call that is offered."""
    session.client.reject_call(parse_jid(arguments["from"]), str(arguments["call_id"]))


CALLS: dict[str, "Callable[[NeonizeSession, dict[str, Any]], Any]"] = {
    "mark_read": mark_read,
    "presence": presence,
    "chat_presence": chat_presence,
    "subscribe_presence": subscribe_presence,
    "reject_call": reject_call,
}
