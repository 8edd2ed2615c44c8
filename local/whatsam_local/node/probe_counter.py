"""Pure: what a row of probe results means. The loop that probes is in `probes.py`."""

from dataclasses import dataclass
from enum import Enum

from whatsam_local.node.kinds import Json


class Verdict(Enum):
    """What one more result changes."""

    HEALTHY = "act as for a healthy container"
    UNHEALTHY = "act as for an unhealthy container"
    WAIT = "no threshold is reached: leave everything as it is"


@dataclass(frozen=True)
class ProbeTimings:
    """The numbers of a probe with Kubernetes' defaults, in seconds and counts."""

    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: Json) -> "ProbeTimings":
        """The timings of a probe of a pod's spec."""
        return cls(
            initial_delay=probe.get("initialDelaySeconds", 0),
            period=probe.get("periodSeconds", 10),
            timeout=probe.get("timeoutSeconds", 1),
            successes=probe.get("successThreshold", 1),
            failures=probe.get("failureThreshold", 3),
        )


@dataclass(frozen=True)
class ProbeCounter:
    """The row of equal results so far."""

    successes: int = 0
    failures: int = 0

    def after(self, ok: bool, timings: ProbeTimings) -> "tuple[ProbeCounter, Verdict]":
        """The counter and the verdict after one more result."""
        if ok:
            counter = ProbeCounter(successes=self.successes + 1)
            return counter, Verdict.HEALTHY if counter.successes >= timings.successes else Verdict.WAIT
        counter = ProbeCounter(failures=self.failures + 1)
        return counter, Verdict.UNHEALTHY if counter.failures >= timings.failures else Verdict.WAIT
