"""What a scenario gives back, the facts of the machine beside it, and the file it is written to."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from whatsam_local.driver.cluster import RunningCluster

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured quantity. `value` is the median of `samples`; `goal` is what we aim for, not a test."""

    name: str
    value: float
    unit: str
    samples: list[float]
    goal: float | None = None

    @property
    def worst(self) -> float:
        """The sample that is furthest from what one wants: of rates the lowest, of everything else the highest."""
        return min(self.samples) if self.unit == "1/s" else max(self.samples)


@dataclass(frozen=True)
class Machine:
    """Where it was measured; a figure means nothing without it."""

    cores: int
    memory_gib: float
    kernel: str
    python: str
    load: float
    """Load average over the last minute, at the end."""

    @classmethod
    def here(cls) -> "Machine":
        """This machine, now."""
        return cls(
            cores=os.cpu_count() or 0,
            memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
            kernel=platform.release(),
            python=platform.python_version(),
            load=round(os.getloadavg()[0], 1),
        )


@dataclass(frozen=True)
class Result:
    """All figures of one run of a scenario."""

    scenario: str
    machine: Machine
    figures: list[Figure]
    measured_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def write(self) -> Path:
        """Write it to `bench/results/<scenario>.json`."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.scenario}.json"
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return path


Scenario = Callable[[RunningCluster], list[Figure]]


def figure(name: str, unit: str, samples: Sequence[float], goal: float | None = None, digits: int = 2) -> Figure:
    """A figure from its samples, rounded to what the measurement can tell."""
    rounded = [round(sample, digits) for sample in samples]
    return Figure(name=name, value=round(statistics.median(rounded), digits), unit=unit, samples=rounded, goal=goal)
