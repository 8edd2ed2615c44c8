"""WhatsApp said that another connection took the session over (`StreamReplaced`). May it be started again?

The holder has stopped the engine and reports it. A copy of the device that runs elsewhere would replace us again, so
the operator tries a new epoch only after a full lease duration, at most three times an hour; then a person must look.
The tries are kept in an annotation of the session, written before the try, so that a restarted operator knows them.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, cast

from whatsam_core import names

ANNOTATION = f"{names.GROUP}/stream-replaced"
LIMIT = 3
"""Tries in an hour."""
WINDOW = timedelta(hours=1)


class Answer(Enum):
    """What to do with a session whose stream was replaced."""

    WAIT = "wait"
    """The lease duration is not over: a holder that we do not know of may still be fencing itself."""
    RECORD = "record"
    """Write the try down first; then start."""
    START = "start"
    """The try for this epoch is written down: assign a new epoch."""
    STALL = "stall"
    """Too many tries within the hour: say so and leave it to a person."""


@dataclass(frozen=True, slots=True)
class Try:
    """One recorded try: the epoch that was replaced, and when."""

    epoch: int
    at: datetime


def recorded(annotation: str | None) -> list[Try]:
    """The tries in the annotation; what cannot be read was not written by the operator and does not count."""
    try:
        values: object = json.loads(annotation or "[]")
        if not isinstance(values, list):
            return []
        rows = [cast("dict[str, Any]", value) for value in values]
        return [Try(int(row["epoch"]), datetime.fromisoformat(row["at"])) for row in rows]
    except (ValueError, TypeError, KeyError):
        return []


def with_try(tries: list[Try], epoch: int, now: datetime) -> str:
    """The annotation with one more try; tries from before the window are dropped."""
    kept = [*(one for one in tries if now - one.at < WINDOW), Try(epoch, now)]
    return json.dumps([{"epoch": one.epoch, "at": one.at.isoformat()} for one in kept])


def answer(tries: list[Try], epoch: int, *, waited: float, lease_duration: float, now: datetime) -> Answer:
    """What to do about epoch `epoch` that was replaced `waited` seconds ago by the operator's own clock."""
    if any(one.epoch == epoch for one in tries):
        return Answer.START
    if waited < lease_duration:
        return Answer.WAIT
    if sum(1 for one in tries if now - one.at < WINDOW) >= LIMIT:
        return Answer.STALL
    return Answer.RECORD
