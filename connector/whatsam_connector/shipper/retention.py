"""Which stored bases are not needed any more. Pure; the shipper asks after each base it stored.

Kept always: the newest two bases of the present epoch and the last one of the epoch before. Bases of still older
epochs go once this epoch has proven itself with a number of bases of its own. A base may be held for some time: the
last one of a device that the session lost. The mark of it is an empty object whose key says what and until when.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from whatsam_core.sessions_state import BaseRef

KEEP_OWN: Final = 2
"""The newest one, and the one before it in case the newest turns out to be damaged."""
PROVEN_AFTER: Final = 8
"""Bases of this epoch that must be stored before epochs older than the previous one lose theirs."""
KEEP_LOST_DEVICE: Final = timedelta(days=7)
"""How long the last state of a device is kept after the session lost or replaced that device."""
KEEP_EVIDENCE: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Until when a damaged base is kept: until its session's state is destroyed. A person may want to know what happened,
and whoever damaged it may have a good copy."""
_MARK: Final = re.compile(
    r"^(?P<prefix>.+/)held/(?P<until>[0-9]+)-(?P<epoch>[0-9]+)-(?P<boot>[a-z0-9]+)-(?P<seq>[0-9]+)$"
)


@dataclass(frozen=True, slots=True)
class HeldMark:
    """A mark in the store: the base of that epoch, boot and number stays until then."""

    key: str
    epoch: int
    boot: str
    seq: int
    until: datetime

    def covers(self, ref: BaseRef) -> bool:
        """Whether this mark is about that base."""
        return (self.epoch, self.boot, self.seq) == (ref.epoch, ref.boot, ref.seq)


def mark(prefix: str, ref: BaseRef, until: datetime) -> HeldMark:
    """The mark that holds a base."""
    key = f"{prefix}held/{int(until.timestamp())}-{ref.epoch}-{ref.boot}-{ref.seq}"
    return HeldMark(key, ref.epoch, ref.boot, ref.seq, until)


def marks_of(keys: Iterable[str]) -> list[HeldMark]:
    """All marks among the keys of a listing."""
    return [
        HeldMark(key, int(m["epoch"]), m["boot"], int(m["seq"]), datetime.fromtimestamp(int(m["until"]), UTC))
        for key in keys
        if (m := _MARK.match(key)) is not None
    ]


def superseded(
    known: Iterable[BaseRef], held: Iterable[HeldMark], *, epoch: int, boot: str, stored: int, now: datetime
) -> list[BaseRef]:
    """The bases that may be deleted. `stored`: how many bases this epoch is known to have stored.

    A base of a newer epoch means that this writer has been replaced: it deletes nothing any more.
    """
    refs = sorted(set(known), reverse=True)
    if any(ref.epoch > epoch for ref in refs):
        return []
    own = [ref for ref in refs if (ref.epoch, ref.boot) == (epoch, boot)]
    if not own:
        return []
    earlier = [ref for ref in refs if ref.epoch < epoch]
    gone = own[KEEP_OWN:]
    if earlier:
        previous = earlier[0].epoch
        # Of the previous epoch only the last one; of older epochs nothing once this one is proven.
        gone += [ref for ref in earlier[1:] if ref.epoch == previous or stored >= PROVEN_AFTER]
    standing = [item for item in held if item.until > now]
    return [ref for ref in gone if not any(item.covers(ref) for item in standing)]


def expired(held: Iterable[HeldMark], now: datetime) -> list[HeldMark]:
    """Marks whose time is over."""
    return [item for item in held if item.until <= now]
