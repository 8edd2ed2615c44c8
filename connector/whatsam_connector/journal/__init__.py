"""The inbound journal of one session: what WhatsApp delivered, on disk before anything else is done with it.

The engine appends (`Writer`), the connector reads and acknowledges (`Reader`). Both may be killed at any byte; the
records before the cut are read exactly once in order, counted by acknowledged positions. The journal goes on across
restarts of both. See `layout` for the format.
"""

from whatsam_connector.journal.layout import BEGINNING, JournalError, Position
from whatsam_connector.journal.reader import Entry, Reader
from whatsam_connector.journal.records import (
    CallStep,
    GroupMember,
    GroupRole,
    InboundAppState,
    InboundCall,
    InboundGroup,
    InboundGroupChange,
    InboundHistory,
    InboundIdentityChange,
    InboundMessage,
    InboundPicture,
    InboundReceipt,
    InboundUndecryptable,
    InboundUnreadable,
    JournalRecord,
    ReceiptKind,
    UnknownRecord,
)
from whatsam_connector.journal.room import Limits, Room, room_to_start
from whatsam_connector.journal.writer import JournalBusy, JournalClosed, JournalWriteError, Writer

__all__ = [
    "BEGINNING",
    "CallStep",
    "Entry",
    "GroupMember",
    "GroupRole",
    "InboundAppState",
    "InboundCall",
    "InboundGroup",
    "InboundGroupChange",
    "InboundHistory",
    "InboundIdentityChange",
    "InboundMessage",
    "InboundPicture",
    "InboundReceipt",
    "InboundUndecryptable",
    "InboundUnreadable",
    "JournalBusy",
    "JournalClosed",
    "JournalError",
    "JournalRecord",
    "JournalWriteError",
    "Limits",
    "Position",
    "Reader",
    "ReceiptKind",
    "Room",
    "UnknownRecord",
    "Writer",
    "room_to_start",
]
