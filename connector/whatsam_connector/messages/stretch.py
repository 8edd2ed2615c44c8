"""A stretch of the journal: as many records as one transaction should take over. For the inbox."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whatsam_connector.journal import Entry, InboundAppState, InboundHistory, InboundMessage, InboundUnreadable, Reader

MOST_RECORDS = 500
"""Records per transaction: bounds what is done again after a crash."""
MOST_BYTES = 2 * 1024 * 1024
"""Bytes of content per transaction, but for the last record: bounds what is in memory."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Records that were read and not acknowledged yet."""

    entries: Sequence[Entry]
    more: bool
    """Whether the journal may hold more."""


def read_stretch(reader: Reader) -> Stretch:
    """The next records behind the reader's cursor; it moves behind them. Blocks: call it in a thread."""
    entries: list[Entry] = []
    size = 0
    records: Iterator[Entry] = reader.entries()
    for entry in records:
        entries.append(entry)
        size += _size(entry)
        if len(entries) == MOST_RECORDS or size >= MOST_BYTES:
            return Stretch(entries, more=True)
    return Stretch(entries, more=False)


def _size(entry: Entry) -> int:
    match entry.record:
        case (
            InboundMessage(raw=content)
            | InboundHistory(data=content)
            | InboundAppState(data=content)
            | InboundUnreadable(data=content)
        ):
            return len(content)
        case _:
            return 0
