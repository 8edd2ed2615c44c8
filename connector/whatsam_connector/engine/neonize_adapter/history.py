"""History from the phone → journal, in parts that fit. It is not parsed: it may have tens of megabytes."""

import uuid
from typing import TYPE_CHECKING

from neonize.events import HistorySyncEv

from whatsam_connector.engine.history import field_content, parts
from whatsam_connector.engine.neonize_adapter.subscription import on_bytes
from whatsam_connector.journal import InboundHistory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_DATA = 1
"""Field of neonize's envelope that holds WhatsApp's `HistorySync`."""


def subscribe(session: "NeonizeSession") -> None:
    """Subscribe one session to history."""

    def history(event: bytes) -> None:
        for record in history_records(event):
            session.keep(record, is_message=False)

    on_bytes(session, HistorySyncEv, history)


def history_records(event: bytes) -> "Iterator[InboundHistory]":
    """The records of one piece of history."""
    pieces = parts(field_content(event, _DATA))
    for number, data in enumerate(pieces, 1):
        yield InboundHistory(uuid.uuid4().hex, number, len(pieces), data)
