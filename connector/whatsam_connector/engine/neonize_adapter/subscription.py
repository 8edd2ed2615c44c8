"""Subscribes functions to neonize's events. neonize encodes only what is subscribed before `connect()`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message
from neonize.client import NewClient

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

EventMessage = TypeVar("EventMessage", bound=Message)


def on(session: "NeonizeSession", event: type[EventMessage], function: Callable[[EventMessage], None]) -> None:
    """Call `function` for each event of this class, on neonize's event thread, one at a time."""

    def call(_client: NewClient, message: EventMessage) -> None:
        function(message)

    session.client.event(event)(call)
