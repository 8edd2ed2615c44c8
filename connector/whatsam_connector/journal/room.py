"""Whether a journal may go on growing.

When PostgreSQL is away, the journal keeps what arrives. It must neither grow without a bound nor fill the disk that
sessions and journals share: a message that was acknowledged and cannot be written is lost, one that WhatsApp still has
is not. So a session leaves WhatsApp when its journal is full, and comes back when half of it is worked off. The engine
asks through its `Writer`, the supervisor before it starts an engine.
"""

import enum
import os
from dataclasses import dataclass
from pathlib import Path

from whatsam_connector.journal import acknowledged
from whatsam_connector.journal.layout import JournalError, segment_path, segments


class Room(enum.Enum):
    """What to do with a session's inbound."""

    TAKE = "take"
    """Go on."""
    JOURNAL_FULL = "the journal is full"
    """Stay away from WhatsApp until PostgreSQL has taken more of it."""
    DISK_FULL = "the disk is nearly full"
    """Stay away from WhatsApp until there is space."""


@dataclass(frozen=True)
class Limits:
    """How far a journal may grow."""

    most_bytes: int = 256 * 1024 * 1024
    """Not acknowledged, per session: some 400,000 texts."""
    least_free_bytes: int = 512 * 1024 * 1024
    """On the journal's disk: room for what is under way and for the keys, which change with every message."""


def room(unacknowledged: int, free: int, limits: Limits, *, starting: bool) -> Room:
    """Decide. A session that is `starting` needs half of the limit, so that it does not come and go all the time."""
    if unacknowledged > (limits.most_bytes // 2 if starting else limits.most_bytes):
        return Room.JOURNAL_FULL
    if free < limits.least_free_bytes + (limits.least_free_bytes // 4 if starting else 0):
        return Room.DISK_FULL
    return Room.TAKE


def unacknowledged_bytes(folder: Path) -> int:
    """Size of what a journal's reader has not acknowledged; 0 for a journal that does not exist."""
    done = acknowledged.load(folder)
    total = 0
    try:
        for number in segments(folder):
            if number >= done.segment:
                total += _size(segment_path(folder, number)) - (done.offset if number == done.segment else 0)
    except FileNotFoundError:
        return 0
    return max(total, 0)


def free_bytes(folder: Path) -> int:
    """Space on the disk of `folder`, which exists, that this user may take."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def room_to_start(folder: Path, limits: Limits) -> Room:
    """Whether a session whose journal is in `folder` may start; its parent folder exists."""
    try:
        return room(unacknowledged_bytes(folder), free_bytes(folder.parent), limits, starting=True)
    except (OSError, JournalError):
        return Room.TAKE  # what is wrong with the journal is told by whoever opens it


def _size(segment: Path) -> int:
    try:
        return segment.stat().st_size
    except FileNotFoundError:  # acknowledged and deleted in this moment
        return 0
