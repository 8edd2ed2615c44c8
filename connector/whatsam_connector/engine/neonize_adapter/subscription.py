"""Hands neonize's events to functions of ours, and keeps what they cannot read.

neonize encodes only what is subscribed before `connect()`. Whatever people can send must not end a session: a message
that neonize's Python side cannot parse (nested too deeply, for example) or that a handler of ours stumbles over goes
into the journal as it came.
"""

import ctypes
import sys
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message
from neonize.client import NewClient
from neonize.events import (
    EVENT_TO_INT,
    INT_TO_EVENT,
    CallAcceptEv,
    CallOfferEv,
    CallOfferNoticeEv,
    CallTerminateEv,
    ChatPresenceEv,
    GroupInfoEv,
    HistorySyncEv,
    IdentityChangeEv,
    JoinedGroupEv,
    MessageEv,
    PictureEv,
    PresenceEv,
    ReceiptEv,
    UndecryptableMessageEv,
)

from whatsam_connector.journal import InboundUnreadable, JournalError

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

EventMessage = TypeVar("EventMessage", bound=Message)

_MADE_BY_OTHERS = frozenset(
    EVENT_TO_INT[event]
    for event in (
        CallAcceptEv,
        CallOfferEv,
        CallOfferNoticeEv,
        CallTerminateEv,
        ChatPresenceEv,
        GroupInfoEv,
        HistorySyncEv,
        IdentityChangeEv,
        JoinedGroupEv,
        MessageEv,
        PictureEv,
        PresenceEv,
        ReceiptEv,
        UndecryptableMessageEv,
    )
)
"""Events whose content other people decide. A fault in any other one is a fault of the engine."""


def on(session: "NeonizeSession", event: type[EventMessage], function: Callable[[EventMessage], None]) -> None:
    """Call `function` for each event of this class, on neonize's event thread, one at a time."""

    def call(_client: NewClient, message: EventMessage) -> None:
        function(message)

    session.client.event(event)(call)


def on_bytes(session: "NeonizeSession", event: type[Message], function: Callable[[bytes], None]) -> None:
    """Like `on`, with the bytes of neonize's protobuf: for what is too large to be parsed in passing."""
    session.client.event(event)(lambda _client, _message: None)  # subscribes
    session.bytes_handlers[EVENT_TO_INT[event]] = function


class Delivery:
    """Takes the place of neonize's own dispatcher (`Event.execute`)."""

    def __init__(self, session: "NeonizeSession") -> None:
        self._session = session
        self._execute = session.client.event.execute

    def __call__(self, client: int, data: int, size: int, code: int) -> None:
        """Deliver one event; raises what may not be passed over."""
        try:
            in_bytes = self._session.bytes_handlers.get(code)
            if in_bytes is None:
                self._execute(client, data, size, code)
            else:
                in_bytes(ctypes.string_at(data, size))
        except JournalError:
            raise
        except Exception as error:
            if code not in _MADE_BY_OTHERS:
                raise
            name, word = INT_TO_EVENT[code].__name__, type(error).__name__
            print(f"engine: an event {name} could not be read: {word}", file=sys.stderr, flush=True)
            record = InboundUnreadable(uuid.uuid4().hex, name, word, ctypes.string_at(data, size))
            self._session.keep(record, is_message=True)
