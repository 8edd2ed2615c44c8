"""Is a forwarded call meant for this boot, and may it be taken now? Pure; asked on every call."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Address:
    """For whom a call is meant."""

    uid: str
    epoch: int
    boot: str


class Refusal(Enum):
    """Why a call is not taken; the value is the code that the caller gets."""

    STALE_EPOCH = "STALE_EPOCH"
    """The session is here, under another epoch."""
    NOT_HOLDER = "NOT_HOLDER"
    """Another boot holds it, or nobody."""
    FENCED = "FENCED"
    """This worker's Lease is not confirmed."""
    NOT_CONNECTED = "NOT_CONNECTED"
    """The session is not logged in; the message stays pending and leaves when it is."""
    UNKNOWN_MESSAGE = "UNKNOWN_MESSAGE"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"


def judge_call(address: Address, boot: str, running: int | None, *, may_work: bool) -> Refusal | None:
    """Why boot `boot` must not take a call, or None. `running`: the epoch under which the session runs here, if any.

    `may_work` is read from the clock at this moment: after a freeze a call may come before any timer had its turn.
    """
    if address.boot != boot or running is None:
        return Refusal.NOT_HOLDER
    if address.epoch != running:
        return Refusal.STALE_EPOCH
    return None if may_work else Refusal.FENCED
