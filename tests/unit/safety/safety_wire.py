"""The way between a process and a server: it may be slow, cut, or lose the answer to a write that happened."""

from collections import deque
from collections.abc import Callable
from typing import Any

from safety_clock import Process, Schedule


class Failure(Exception):
    """An answer of a server that is no success."""


class Conflict(Failure):
    """409."""


class Missing(Failure):
    """404."""


class Forbidden(Failure):
    """403."""


class Unreachable(Failure):
    """No answer in time; whatever was asked may have happened, or may happen yet."""


class Server:
    """What API server and object store have in common."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.down = False
        self.slow = False
        self.overloaded = False
        """It serves only what is urgent: the operators' own Lease has a queue of its own."""


class Link:
    """One client's way to one server."""

    def __init__(self, process: Process, server: Server) -> None:
        self.process = process
        self.server = server
        self._cut = False
        self._waiting: list[tuple[float, Callable[[], None]]] = []
        self.slow = False
        self.hold = 0.0
        """Real seconds by which the next request is late."""
        self.answers_late = False
        """Answers come when they are nearly given up."""
        self.lossy = 0.0
        """Chance that the answer of a request that was carried out gets lost."""

    @property
    def cut(self) -> bool:
        """Whether nothing passes."""
        return self._cut

    @cut.setter
    def cut(self, cut: bool) -> None:
        """What was sent while it was cut is sent again when it is not; what was given up since may come, too."""
        healed, self._cut = self._cut and not cut, cut
        if healed:
            waiting, self._waiting = self._waiting, []
            for until, arrive in waiting:
                if self.server.schedule.now < until or self.server.schedule.chance.random() < 0.3:
                    self.server.schedule.after(0.001 + 0.2 * self.server.schedule.chance.random(), arrive)

    @property
    def usable(self) -> bool:
        """Whether anything passes now."""
        return not self.cut and not self.server.down and not self.server.overloaded

    def call(
        self, work: Callable[[], Any], answer: Callable[[Any], None], *, timeout: float, urgent: bool = False
    ) -> None:
        """Have `work` done by the server. `answer` gets its result or a `Failure`, unless the process dies before."""
        schedule, process = self.server.schedule, self.process
        chance = schedule.chance
        there, back = self._delay(urgent=urgent), self._delay(urgent=urgent)
        if self.answers_late:
            back = timeout * chance.uniform(0.4, 0.95)
        if self.hold:
            there, self.hold = self.hold, 0.0
        limit = schedule.now + timeout / process.machine.rate
        open_ = True

        def tell(result: Any) -> None:
            nonlocal open_
            if open_:
                open_ = False
                process.deliver(lambda: answer(result))

        def arrive() -> None:
            result: Any
            if self.server.down or (self.server.overloaded and not urgent):
                result = Unreachable("down")
            else:
                try:
                    result = work()
                except Failure as failure:
                    result = failure
            if not self.cut and chance.random() >= self.lossy:
                schedule.after(back, lambda: tell(result))
            elif open_:
                schedule.at(limit, lambda: tell(Unreachable("timeout")))

        if self.cut:
            self._waiting.append((limit, arrive))
            schedule.at(limit, lambda: tell(Unreachable("timeout")))
            return
        schedule.after(there, arrive)
        if schedule.now + there + back > limit:
            schedule.at(limit, lambda: tell(Unreachable("timeout")))

    def _delay(self, *, urgent: bool) -> float:
        chance = self.server.schedule.chance
        roll = chance.random()
        if (self.slow or self.server.slow) and not urgent:
            return roll * roll * 12.0
        if roll < 0.01:
            return chance.random() * 20.0
        return 0.002 + 0.03 * roll


class Watch:
    """What a server tells a process of its changes: in order, some time later, and never while the way is cut."""

    def __init__(self, link: Link, take: Callable[[Any], None]) -> None:
        self._link = link
        self._take = take
        self._queue: deque[Any] = deque()
        self._last = 0.0
        self.stalled = False

    def goes_by(self, link: Link) -> bool:
        """Whether it passes there."""
        return self._link is link

    def tell(self, news: Any) -> None:
        """Something changed."""
        schedule = self._link.server.schedule
        chance = schedule.chance
        lag = 0.005 + chance.random() * 0.05 if chance.random() < 0.9 else chance.random() * 3.0
        self._last = max(self._last, schedule.now + lag)
        self._queue.append(news)
        schedule.at(self._last, self._pump)

    def _pump(self) -> None:
        if not self._link.process.alive:
            return
        if self.stalled or not self._link.usable:
            self._link.server.schedule.after(0.5, self._pump)
            return
        self._link.process.deliver(self._next)

    def _next(self) -> None:
        if self._queue:
            self._take(self._queue.popleft())
