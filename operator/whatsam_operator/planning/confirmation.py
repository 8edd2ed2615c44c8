"""Right before a session is taken from a lost boot: does a fresh read of that boot's Lease bear it out?

Asked by the writer, because a plan is made from an index and a book that may be a moment old.
"""

from enum import Enum

from whatsam_core.lease import LeaseRecord, LeaseState


class Confirmation(Enum):
    """What the fresh read says about the boot that is to lose its session."""

    GONE = "gone"
    """It holds nothing any more: write."""
    HELD = "held"
    """Its Lease is held, or is back: nothing is written; the next plan decides again."""
    VANISHED = "vanished"
    """Its Lease was there a moment ago and is not now. That is no proof: it must be missed for a whole duration."""


def confirm(found: LeaseRecord | None, *, missed: bool) -> Confirmation:
    """`found` is the Lease as just read, None when there is none. `missed`: the plan was made because it is missing."""
    if found is None:
        return Confirmation.GONE if missed else Confirmation.VANISHED
    if missed or found.state not in (LeaseState.RELEASED, LeaseState.REVOKED):
        return Confirmation.HELD
    return Confirmation.GONE
