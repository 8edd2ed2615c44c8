"""Time in the simulated world: one real clock, and on each machine a clock of its own that runs a little wrong.

A run is one heap of events and one seeded random generator; nothing else decides. The same seed gives the same run.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Work = Callable[[], None]
START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class Schedule:
    """What happens next."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        """Real seconds. No process of the world can read them."""
        self.chance = random.Random(seed)  # noqa: S311 - faults, not secrets
        self._heap: list[tuple[float, int, Work]] = []
        self._number = itertools.count()

    def at(self, time: float, work: Work) -> None:
        """Do it at that real time."""
        heapq.heappush(self._heap, (max(time, self.now), next(self._number), work))

    def after(self, seconds: float, work: Work) -> None:
        """Do it so many real seconds from now."""
        heapq.heappush(self._heap, (self.now + max(seconds, 0.0), next(self._number), work))

    def run(self, until: float) -> int:
        """Let everything happen that happens before; returns how much that was."""
        count, heap = 0, self._heap
        while heap and heap[0][0] <= until:
            self.now, _, work = heapq.heappop(heap)
            work()
            count += 1
        self.now = until
        return count


class Machine:
    """A node: its steady clock (CLOCK_BOOTTIME) runs at a rate of its own, its wall clock may be set."""

    def __init__(self, schedule: Schedule, rate: float) -> None:
        self._schedule = schedule
        self.rate = rate
        self._offset = schedule.chance.uniform(0.0, 1e6)
        self.wall_offset = 0.0

    def steady(self) -> float:
        """Seconds of a clock that never goes back."""
        return self._offset + self.rate * self._schedule.now

    def wall(self) -> datetime:
        """What the machine takes for UTC."""
        return START + timedelta(seconds=self._schedule.now + self.wall_offset)

    def real(self, steady: float) -> float:
        """The real time at which the steady clock shows this."""
        return (steady - self._offset) / self.rate


class Process:
    """Something that runs on a machine, may be stopped and go on later, and dies once."""

    def __init__(self, schedule: Schedule, machine: Machine) -> None:
        self.schedule = schedule
        self.machine = machine
        self.alive = True
        self.frozen = False
        self._missed: list[Work] = []

    def steady(self) -> float:
        """Its machine's steady clock."""
        return self.machine.steady()

    def later(self, seconds: float, work: Work) -> None:
        """A timer of the process, by its machine's clock. A stopped process has its turn when it goes on."""
        self.schedule.after(seconds / self.machine.rate, lambda: self.deliver(work))

    def deliver(self, work: Work) -> None:
        """Something reaches the process now."""
        if not self.alive:
            return
        if self.frozen:
            self._missed.append(work)
        else:
            work()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT: everything that was missed comes within a moment, in any order."""
        if not self.frozen:
            return
        self.frozen = False
        missed, self._missed = self._missed, []
        self.schedule.chance.shuffle(missed)
        for work in missed:
            self.schedule.after(self.schedule.chance.random() * 0.05, lambda work=work: self.deliver(work))

    def die(self) -> None:
        """The end; nothing reaches it any more."""
        self.alive = False
        self._missed.clear()
