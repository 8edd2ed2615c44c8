"""Where a list of messages goes on, whose chat is meant, and in which order the past is looked through. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from whatsam_api.errors import InvalidField
from whatsam_api.policies.recipients import recipient
from whatsam_core.message_ids import EARLIEST, LATEST

CURSOR = r"^[0-9]{1,10}-[0-9]{1,18}$"
"""Form of a cursor: opaque to callers."""
_ANY_CHAT = re.compile(r"[A-Za-z0-9._:-]{1,64}@[a-z.]{1,32}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands in a session's history: the order is by time, then by arrival."""

    at: datetime
    seq: int


def cursor_of(at: datetime, seq: int) -> str:
    """Where the list goes on behind the message of this place."""
    return f"{int(at.timestamp())}-{seq}"


def place_of(cursor: str) -> Place:
    """What `cursor_of` has written. Raises `InvalidField`."""
    if re.fullmatch(CURSOR, cursor) is None:
        raise InvalidField("cursor", "give `nextCursor` of the page before")
    seconds, _, seq = cursor.partition("-")
    return Place(datetime.fromtimestamp(int(seconds), UTC), int(seq))


def chat_address(contact: str) -> str:
    """The address of any chat: a number, a person, a group, a newsletter, the status updates."""
    text = contact.strip()
    if _ANY_CHAT.fullmatch(text):
        return text
    try:
        return recipient(text)
    except InvalidField as error:
        raise InvalidField("contact", "give a phone number with its country code, or a chat's address") from error


_FIRST_STRETCH = timedelta(days=31)
_SHORT_STRETCH = timedelta(days=2)
_GROWTH = 4
"""Each stretch is so much longer than the one before: five of them reach back twenty years."""


def stretches(
    now: datetime, since: datetime | None, until: datetime | None, before: datetime | None, *, short: bool = False
) -> Iterator[tuple[datetime, datetime]]:
    """Stretches of time, newest first and ever longer, that cover everything between `since` and `until` once.

    A stretch begins with its first time and ends before its second. `before`: nothing younger is wanted. `short`: with
    a short one in front.
    """
    second = timedelta(seconds=1)
    end = min(until or LATEST + second, before + second if before is not None else LATEST + second)
    first = since or EARLIEST
    present, length = min(end, now), _SHORT_STRETCH if short else _FIRST_STRETCH
    start = max(present - length, first)
    while end > first:
        yield start, end
        length = max(length * _GROWTH, _FIRST_STRETCH)
        end, start = start, max(start - length, first)
