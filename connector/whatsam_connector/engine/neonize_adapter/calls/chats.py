"""Chats: what the phone has set for them, and the disappearing timer. Calls of `engine.methods`.

neonize cannot archive, pin, mute, mark or delete a chat: its `send_app_state` compares the address of the patch's kind
instead of the kind, so the patch leaves without the name of its collection (seen with 0.5.2). Those calls are not here,
which makes them Unsupported. What the phone did can be read, because whatsmeow keeps it in the session's file.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neonize.proto.Neonize_pb2 import JID

from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused
from whatsam_connector.engine.neonize_adapter.calls.people import GROUP_SERVER, jid_on
from whatsam_connector.engine.neonize_adapter.jids import LID_SERVER, PHONE_SERVER, jid_text

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

TIMERS = (0, 86_400, 604_800, 7_776_000)
"""Seconds that WhatsApp's apps know: off, 1, 7 and 90 days. They ignore others."""
_FOR_EVER = (9000 - 1970) * 31_556_952
"""Unix seconds of the year 9000: whatsmeow keeps "muted for ever" as a time in the year 9999."""
_NANOSECONDS = 1_000_000_000


def chat_settings(session: "NeonizeSession", arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """What the phone has set for chats, from the session's own file: WhatsApp is not asked."""
    return [_settings(session, _chat(text)) for text in arguments["chats"]]


def set_disappearing(session: "NeonizeSession", arguments: dict[str, Any]) -> None:
    """Let messages of a chat disappear after `seconds`; 0 for never.

    In a group it is a setting; to a person it is a message, which moves the sending chain like any other.
    neonize takes nanoseconds here, and adds a time of setting to the wrong power of ten: ours makes up for it.
    """
    seconds = int(arguments["seconds"])
    if seconds not in TIMERS:
        raise CallRefused("Invalid", f"WhatsApp knows {', '.join(str(timer) for timer in TIMERS)} seconds")
    now = time.time()
    session.client.set_disappearing_timer(
        _chat(arguments["chat"]),
        seconds * _NANOSECONDS,
        timedelta(milliseconds=now * 1000 - now),  # neonize adds the present in seconds and means milliseconds
    )


def _settings(session: "NeonizeSession", chat: JID) -> dict[str, Any]:
    found = session.client.chat_settings.get_chat_settings(chat)
    if not found.Found:
        for other in _other_names(session, chat):
            found = session.client.chat_settings.get_chat_settings(other)
            if found.Found:
                break
    until = found.MutedUntil if found.Found else 0.0
    return {
        "chat": jid_text(chat),
        "archived": found.Archived,
        "pinned": found.Pinned,
        "muted": until > time.time(),
        "muted_until": int(until) if time.time() < until < _FOR_EVER else None,
    }


def _other_names(session: "NeonizeSession", chat: JID) -> list[JID]:
    """The phone may have written its setting under the number or under the LID."""
    if chat.Server == PHONE_SERVER:
        other = session.client.get_lid_from_pn(chat)
    elif chat.Server == LID_SERVER:
        other = session.client.get_pn_from_lid(chat)
    else:
        return []
    return [other] if other.User else []


def _chat(text: object) -> JID:
    return jid_on(text, PHONE_SERVER, LID_SERVER, GROUP_SERVER)


CALLS: dict[str, "Callable[[NeonizeSession, dict[str, Any]], Any]"] = {
    "chat_settings": chat_settings,
    "set_disappearing": set_disappearing,
}
