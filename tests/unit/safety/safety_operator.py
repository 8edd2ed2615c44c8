"""One operator process: it stands for election for ever, and has a term while it leads.

The counterpart of production's `Leadership`.
"""

from typing import TYPE_CHECKING, Any

from safety_clock import Machine, Process
from safety_term import WRITE_TIMEOUT, Term
from safety_wire import Conflict, Failure, Link, Missing

from whatsam_operator.planning.election import Candidacy, Step, body, seen

if TYPE_CHECKING:
    from safety_world import World

PLACE = ("system", "whatsam-operator")


class Operator:
    """One process; a restarted one is another."""

    def __init__(self, world: "World", name: str, machine: Machine) -> None:
        self.world = world
        self.name = name
        self.process = Process(world.schedule, machine)
        self.link = Link(self.process, world.api)
        self._known: Candidacy | None = None
        self._renewed_at: float | None = None
        self.term: Term | None = None
        self._ends = False

    def begin(self) -> None:
        """Stand for election for ever."""
        if self._ends:
            return
        api = self.world.api
        if self._known is None or self._known.holder != self.name:
            self.link.call(api.read_leader, self._read, timeout=self._timings.request_timeout, urgent=True)
        else:
            self._act()

    @property
    def _timings(self) -> Any:
        return self.world.election

    @property
    def leads(self) -> bool:
        """Whether this process may write now."""
        return self.world.rules.may_write(self._renewed_at, self.process.steady(), self._timings)

    def end(self) -> None:
        """SIGTERM: end the term, let go of the Lease."""
        self._ends = True
        known, self._renewed_at, self.term = self._known, None, None
        if known is not None and known.holder == self.name:
            wanted = body(PLACE, "", known=known, timings=self._timings, now=self.process.machine.wall())
            self.link.call(
                lambda: self.world.api.write_leader(wanted, create=False), lambda _: None, timeout=WRITE_TIMEOUT
            )

    def _read(self, lease: Any) -> None:
        if isinstance(lease, Failure):
            self._again()
            return
        self._known = None if lease is None else seen(self._known, lease, self.process.steady())
        self._act()

    def _act(self) -> None:
        what = self.world.rules.election_step(self._known, self.name, self.process.steady())
        if what is Step.WAIT:
            self._again()
            return
        started = self.process.steady()
        wanted = body(PLACE, self.name, known=self._known, timings=self._timings, now=self.process.machine.wall())
        api, create = self.world.api, what is Step.CREATE

        def answer(stored: Any) -> None:
            if isinstance(stored, (Conflict, Missing)):
                self._known, self._renewed_at = None, None
            elif not isinstance(stored, Failure) and not self._ends:
                self._known = seen(self._known, stored, self.process.steady())
                self._renewed_at = started
            self._again()

        self.link.call(
            lambda: api.write_leader(wanted, create=create),
            answer,
            timeout=self._timings.request_timeout,
            urgent=True,
        )

    def _again(self) -> None:
        if self._ends:
            return
        if self.leads and self.term is None:
            self.world.witness.note("leads", self.name)
            self.term = Term(self)
            self.term.begin()
        elif not self.leads and self.term is not None:
            self.world.witness.note("leads no more", self.name)
            self.term = None
        self.process.later(self._timings.retry, self.begin)
