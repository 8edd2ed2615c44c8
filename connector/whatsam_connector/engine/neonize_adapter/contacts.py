"""What changes about people: pictures and security codes → journal; who is online or writes → events.

Presence is news only while it is new, so it is never journalled. neonize passes on nothing of the address book: names,
archive, pin and mute come by app state into the session's file, and no event tells of them.
"""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonize.events import ChatPresenceEv, IdentityChangeEv, PictureEv, PresenceEv

from whatsam_connector.engine.events import ChatState, ChatStateChanged, PresenceChanged
from whatsam_connector.engine.neonize_adapter.inbound import optional_person
from whatsam_connector.engine.neonize_adapter.jids import person_text
from whatsam_connector.engine.neonize_adapter.subscription import on
from whatsam_connector.journal import InboundIdentityChange, InboundPicture

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession


def subscribe(session: "NeonizeSession") -> None:
    """Subscribe one session to people."""
    on(session, PictureEv, lambda event: session.keep(picture_record(event), is_message=False))
    on(session, IdentityChangeEv, lambda event: session.keep(identity_record(event), is_message=False))
    on(session, PresenceEv, lambda event: session.emit(presence(session.uid, event)))
    on(session, ChatPresenceEv, lambda event: session.emit(chat_state(session.uid, event)))


def picture_record(event: PictureEv) -> InboundPicture:
    """The record of a new picture, or of its end."""
    return InboundPicture(
        event_id=uuid.uuid4().hex,
        jid=person_text(event.JID),
        by=optional_person(event.Author),
        timestamp=datetime.fromtimestamp(event.Timestamp, UTC),
        removed=event.Remove,
    )


def identity_record(event: IdentityChangeEv) -> InboundIdentityChange:
    """The record of a new security code."""
    return InboundIdentityChange(uuid.uuid4().hex, person_text(event.JID), datetime.fromtimestamp(event.Timestamp, UTC))


def presence(uid: str, event: PresenceEv) -> PresenceChanged:
    """Somebody came or went."""
    seen = datetime.fromtimestamp(event.LastSeen, UTC) if event.LastSeen > 0 else None  # Go's zero time is negative
    return PresenceChanged(uid, person_text(event.From), not event.Unavailable, seen)


def chat_state(uid: str, event: ChatPresenceEv) -> ChatStateChanged:
    """Somebody writes, records, or stopped."""
    source = event.MessageSource
    state = ChatState.PAUSED
    if event.State == ChatPresenceEv.COMPOSING:
        state = ChatState.RECORDING if event.Media == ChatPresenceEv.AUDIO else ChatState.COMPOSING
    return ChatStateChanged(uid, person_text(source.Chat), person_text(source.Sender), state)
