"""Whether this boot may work right now. Read before every claim, spawn and forwarded call; written by the keeper."""

from dataclasses import dataclass

from whatsam_core.lease import LeaseTimings


@dataclass
class Tenure:
    """How this boot stands to its Lease."""

    timings: LeaseTimings
    renewed_at: float | None = None
    """CLOCK_BOOTTIME start of the last good renewal; None before the Lease was created."""
    fenced: bool = False
    """The soft fence has acted and no renewal has come since."""
    draining: bool = False
    """The boot hands over and takes nothing new."""
    revoked: bool = False

    def holds(self, now: float) -> bool:
        """Whether work may be started at `now` (CLOCK_BOOTTIME).

        Computed from the clock, not only from `fenced`: after the process was frozen, the first thing that runs may be
        a send, before any timer had its turn.
        """
        if self.revoked or self.fenced or self.renewed_at is None:
            return False
        return now - self.renewed_at < self.timings.soft_fence

    def engine_deadline(self) -> float:
        """CLOCK_BOOTTIME at which engines must be dead unless the Lease is renewed. Needs a Lease."""
        if self.renewed_at is None:
            raise ValueError("no engine may be started before the Lease exists")
        return self.renewed_at + self.timings.hard_fence
