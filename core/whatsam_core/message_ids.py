"""Ids of messages that tell their time (the layout of UUID versions 7 and 8), so that a row is found without a search.

Rows of messages are stored by month; a statement that names the row's time as well as its id looks into one partition.
API and connector make ids here; the database holds each row's `at` against its id. Pure.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)
"""Before WhatsApp. A phone whose clock was wrong may have told such times."""
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM, _DERIVED = 7, 8
"""Versions of UUIDs: time and chance; a layout of one's own."""
_TAIL_BITS = 74
"""Bits behind the time, without version and variant."""


def message_at(moment: datetime) -> datetime:
    """The time that a row is filed under: whole seconds, as WhatsApp counts, between `EARLIEST` and `LATEST`."""
    return min(max(moment, EARLIEST), LATEST).astimezone(UTC).replace(microsecond=0)


def new_message_id(now: datetime) -> UUID:
    """An id for a message that is accepted now."""
    return _assemble(now, _RANDOM, secrets.randbits(_TAIL_BITS))


def derived_message_id(moment: datetime, *names: str) -> UUID:
    """The id of what `names` name (an event, its session) at that time: the same each time it is asked for."""
    digest = hashlib.sha256("\x00".join(names).encode("utf-8", "surrogatepass")).digest()
    return _assemble(moment, _DERIVED, int.from_bytes(digest[:16]) >> (128 - _TAIL_BITS))


def at_of(message: UUID) -> datetime | None:
    """The time that the row is filed under; None for an id of the first schema, which tells no time."""
    if message.version not in {_RANDOM, _DERIVED}:
        return None
    return _EPOCH + timedelta(seconds=(message.int >> 80) // 1000)


def _assemble(moment: datetime, version: int, tail: int) -> UUID:
    clamped = min(max(moment, EARLIEST), LATEST)
    milliseconds = (clamped - _EPOCH) // timedelta(milliseconds=1)
    high, low = tail >> 62, tail & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | version << 76 | high << 64 | 0b10 << 62 | low)
