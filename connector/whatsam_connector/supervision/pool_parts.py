"""What the pool of engine processes and its upkeep share: settings, the processes that run, and who counts."""

from dataclasses import dataclass, field
from typing import Protocol

from whatsam_connector.supervision.cohorts import CohortTimings
from whatsam_connector.supervision.exits import EngineExit
from whatsam_connector.supervision.leaks import UsageLimits
from whatsam_connector.supervision.member import MoveReason, Process, SessionEngine


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """How the pool works. Times in seconds."""

    cohort_size: int = 1
    launches: int = 2
    """Processes that are started at the same time: each takes half a second of a core."""
    spare_from: int | None = 8
    """With so many sessions, one process waits, ready to take over those of one that died. None: never."""
    ping_period: float = 15.0
    """Between two pings of a process."""
    ping_timeout: float = 10.0
    """A process that does not answer for so long, `ping_misses` times in a row, hangs and is killed."""
    ping_misses: int = 2
    usage_period: float = 30.0
    """Between two looks at what the processes hold."""
    usage_misses: int = 3
    """Looks in a row that must find too much: a burst is no leak."""
    merge_period: float = 60.0
    """Between two merges of processes."""
    merge: bool = True
    timings: CohortTimings = field(default_factory=CohortTimings)
    limits: UsageLimits = field(default_factory=UsageLimits)


class Observer(Protocol):
    """Who counts."""

    def ended(self, ended: EngineExit) -> None:
        """A process has ended."""
        ...

    def replaced(self, reason: MoveReason) -> None:
        """A process is being replaced in a planned way."""
        ...


class Running:
    """A process that was given its sessions."""

    def __init__(self, process: Process, number: int) -> None:
        self.process = process
        self.started_with = number
        self.members: dict[str, SessionEngine] = {}
        self.culprit: str | None = None
        self.misses = 0
        self.leaks = 0

    def staying(self) -> list[SessionEngine]:
        """Those that have not left."""
        return [member for member in self.members.values() if not member.gone]

    def alone(self, uid: str) -> bool:
        """Whether every other session has left."""
        return all(member.gone for other, member in self.members.items() if other != uid)
