"""Whom a fault meets and how long it lasts, and what all kinds of faults are made of."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from safety_boot import Boot
from safety_clock import Process
from safety_stories import Near, Story
from safety_wire import Link

if TYPE_CHECKING:
    from safety_world import World

LONGEST = 30.0
"""Real seconds in which faults begin."""


class Luck:
    """The bad luck of one run."""

    def __init__(self, world: "World", story: Story) -> None:
        self._world = world
        self._story = story
        self._chance = world.chance
        self._begin_until = 5.0 + world.chance.uniform(5.0, LONGEST)
        self.until = self._begin_until
        """When all faults are over; it moves while they happen."""

    def _while(self) -> float:
        timings, election = self._world.timings, self._world.election
        chance, duration = self._chance, timings.lease_duration
        near = self._story.near if chance.random() < 0.75 else Near.ANY
        if near is Near.ANY:
            near = chance.choice((Near.FENCE, Near.EXPIRY, Near.OUTAGE, Near.LEADER, None))
        match near:
            case Near.FENCE:
                return chance.uniform(timings.soft_fence * 0.95, duration * 1.4)
            case Near.EXPIRY:
                return chance.uniform(duration - timings.renew_period * 1.2, duration + 2.0)
            case Near.LEADER:
                return chance.uniform(election.deadline * 0.9, election.lease_duration * 1.5)
            case Near.OUTAGE:
                return chance.uniform(duration, duration * 2.5)
            case _:
                return chance.uniform(0.05, 4.0)

    def _then(self, work: Callable[[], None]) -> None:
        lasts = self._while()
        self.until = max(self.until, self._world.schedule.now + lasts + 0.1)
        self._world.schedule.after(lasts, work)

    def _boot(self) -> Boot | None:
        """A living boot; rather one that has sessions."""
        living = [pod.living for pod in self._world.pods if pod.living is not None]
        busy = [boot for boot in living if boot.runners]
        return self._chance.choice(busy or living) if living else None

    def _note(self, what: str, about: object) -> None:
        self._world.witness.note(f"fault: {what}", str(about))

    def _freeze(self, what: str, about: object, *processes: Process) -> None:
        self._note(what, about)
        for process in processes:
            process.freeze()

        def go_on() -> None:
            self._note("(goes on)", about)
            for process in processes:
                process.thaw()

        self._then(go_on)

    def _cut(self, what: str, about: object, link: Link) -> None:
        self._note(what, about)
        link.cut = True

        def pass_again() -> None:
            self._note("(passes again)", about)
            link.cut = False
            self._perhaps_deaf(link)

        self._then(pass_again)

    def _perhaps_deaf(self, link: Link) -> None:
        """A watch may not have noticed that its connection is dead."""
        for _, watch in self._world.api.watches:
            if watch.goes_by(link) and self._chance.random() < 0.5:
                watch.stalled = True
                lasts = self._chance.uniform(0.5, 8.0)
                self._world.schedule.after(lasts, lambda watch=watch: setattr(watch, "stalled", False))
