"""One run of a connector's container: it arms and kills its engines, and runs what is assigned to it.

The counterpart of production's `LivingEngines` and `Worker`; every decision is asked of the rules.
"""

from typing import TYPE_CHECKING, Any

from safety_clock import Process
from safety_engine import Engine
from safety_keeper import Keeper
from safety_session import Runner
from safety_successor import Successor
from safety_wire import Failure, Link, Watch

from whatsam_connector.assignments.leaving import Leave, Patience
from whatsam_connector.assignments.plan import Drop, Me, Start, Tell
from whatsam_connector.http.holding import Address
from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.inputs import StopReason
from whatsam_core.lease import LeaseState
from whatsam_core.resources.session import WhatsAppSession

if TYPE_CHECKING:
    from safety_pod import Pod

GRACE = 50.0
PATIENCE = Patience(last_call=35.0)


class Boot(Keeper):
    """It lives from the start of the container to its end."""

    def __init__(self, pod: "Pod", boot_id: str) -> None:
        super().__init__(pod, boot_id)
        self.shipping = Process(self.world.schedule, self.machine)
        """The shipper: it ends with the container, not with the supervisor."""
        self.store_link = Link(self.process, self.world.store)
        self.shipper_links: list[Link] = []
        self.least_seq: dict[tuple[str, int], int] = {}
        self._being_born = 0
        self._supervisor_timer = 0
        self._objects: dict[str, WhatsAppSession] = {}
        self.me = Me(pod.uid, boot_id)
        self.draining = False
        self.successor = Successor(self)
        self._watch = Watch(self.link, self._watched)

    def _begin_work(self) -> None:
        api = self.world.api
        api.watches.append(("session", self._watch))
        self.link.call(lambda: list(api.sessions.values()), self._listed, timeout=5.0)
        self._outbox()

    # --- the fences ---------------------------------------------------------------------------------------------------

    def _arm_all(self) -> None:
        self._arm_supervisor()
        deadline = self.world.rules.engine_deadline(self.tenure)
        for engine in list(self.engines):
            self.world.schedule.after(0.003, lambda engine=engine: engine.process.deliver(lambda: engine.arm(deadline)))

    def _arm_supervisor(self) -> None:
        self._supervisor_timer += 1
        deadline = self.world.rules.supervisor_timer(
            len(self.engines) + self._being_born, self.tenure.renewed_at, self.timings
        )
        if deadline is not None:
            number = self._supervisor_timer
            self.world.schedule.at(self.machine.real(deadline), lambda: self._supervisor_fence(number))

    def _supervisor_fence(self, number: int) -> None:
        if self.process.alive and number == self._supervisor_timer:
            self.world.witness.note("supervisor's timer", self.boot_id)
            self.pod.supervisor_dies(self)

    def spawn(self, runner: Runner) -> None:
        """Start an engine under the present deadline."""
        if not self.may_work():
            self.process.later(0.0, lambda: runner.born(None))
            return
        deadline = self.world.rules.engine_deadline(self.tenure)
        engine = Engine(runner, deadline)
        self._being_born += 1
        self._arm_supervisor()
        chance = self.world.schedule.chance
        self.engines_ever.append(engine)
        engine.process.later(chance.uniform(0.01, 0.4), engine.begin)

        def spoken() -> None:
            self._being_born -= 1
            if engine.process.alive:
                self.engines.add(engine)
            self._arm_supervisor()
            newest = self.world.rules.engine_deadline(self.tenure)
            if newest > deadline:
                engine.process.deliver(lambda: engine.arm(newest))
            runner.born(engine)

        self.process.later(chance.uniform(0.4, 0.6), spoken)

    @property
    def engines_ever(self) -> list[Engine]:
        """Every engine of this container, dead or alive."""
        return self.pod.engines_of(self)

    def hear_of_death(self, runner: Runner, engine: Engine) -> None:
        """The kernel tells the supervisor that a child has ended."""

        def reaped() -> None:
            self.engines.discard(engine)
            self._arm_supervisor()
            runner.engine_gone(engine)

        self.world.schedule.after(0.002, lambda: self.process.deliver(reaped))

    # --- the assignments ----------------------------------------------------------------------------------------------

    def _listed(self, result: Any) -> None:
        if isinstance(result, Failure):
            api = self.world.api
            self.process.later(
                0.5, lambda: self.link.call(lambda: list(api.sessions.values()), self._listed, timeout=5.0)
            )
            return
        for raw in result:
            self._note(raw)
        self._apply()

    def _watched(self, news: Any) -> None:
        kind, thing = news
        if kind == "session gone":
            self._objects.pop(thing["metadata"]["uid"], None)
            self.successor.gone(thing["metadata"]["uid"])
        else:
            self._note(thing)
        self._apply()

    def _note(self, raw: Any) -> None:
        self._learn(self.world.model(raw))

    def _learn(self, session: WhatsAppSession) -> None:
        known = self._objects.get(session.metadata.uid)
        if known is None or known.metadata.version < session.metadata.version:
            self._objects[session.metadata.uid] = session
            self.successor.note(session)

    def _apply(self) -> None:
        if self.over:
            return
        running = {uid: runner.epoch for uid, runner in self.runners.items()}
        for decision in self.world.rules.boot_plan(self._objects.values(), running, self.me, draining=self.draining):
            match decision:
                case Start():
                    self._start(decision)
                case Tell():
                    runner = self.runners[decision.session.metadata.uid]
                    runner.observe(decision.session)
                    if decision.stop is not None:
                        runner.push(inputs.Stop(decision.stop))
                case Drop():
                    self.runners[decision.uid].push(inputs.AssignmentLost(keep_files=decision.keep_files))

    def _start(self, decision: Start) -> None:
        runner = Runner(self, decision.session)
        self.runners[runner.uid] = runner
        if decision.stop is not None:
            runner.push(inputs.Stop(decision.stop))
        if self.tenure.fenced:
            runner.push(inputs.SoftFenced())
        runner.push(inputs.Begin())

    def forgotten(self, runner: Runner) -> None:
        """Nothing of the session is left here; look again at what should run."""
        if self.runners.get(runner.uid) is runner:
            if not self.world.rules.learns_what_it_has_read:
                pass
            elif runner.writer.gone:
                self._objects.pop(runner.uid, None)
            else:
                self._learn(runner.writer.session)
            del self.runners[runner.uid]
            self.process.later(0.001, self._apply)

    def session_is_over(self, runner: Runner) -> None:
        """It was handed over or lost."""
        if self.draining:
            self.process.later(0.01, self._perhaps_release)

    def drain(self) -> None:
        """SIGTERM: hand everything over, then release the Lease."""
        if self.draining or self.over:
            return
        self.draining = True
        self.tenure.draining = True
        self._state = LeaseState.RELEASED if self.world.rules.releases_first else LeaseState.DRAINING
        self._renew()
        self._let_go(self.process.steady(), set())
        self._perhaps_release()
        self.process.later(GRACE, lambda: self.pod.container_ends(self, 1))

    def _let_go(self, began: float, told: set[str]) -> None:
        waited = self.process.steady() - began
        for runner in list(self.runners.values()):
            if runner.uid in told or runner.state.stage.final:
                continue
            leave = self.world.rules.leave(runner.state, successor=runner.successor, waited=waited, patience=PATIENCE)
            if leave is Leave.GO:
                told.add(runner.uid)
                runner.push(inputs.Stop(StopReason.HANDED_OVER))
        if not self.over and any(runner.uid not in told for runner in self.runners.values()):
            self.process.later(0.25, lambda: self._let_go(began, told))

    def _perhaps_release(self) -> None:
        if self.over or self._state is LeaseState.RELEASED:
            return
        if self._all_over():
            self._state = LeaseState.RELEASED
            self._renew()
        else:
            self.process.later(0.1, self._perhaps_release)

    def _all_over(self) -> bool:
        sessions = all(runner.state.stage.final and runner.writer.settled for runner in self.runners.values())
        return sessions and not self.engines and not self._being_born

    # --- messages -----------------------------------------------------------------------------------------------------

    def _outbox(self) -> None:
        for runner in list(self.runners.values()):
            runner.send_something(self.world.schedule.chance.choice((1, 1, 1, 2, 2, 3, 3, 60)))
        self.process.later(self.world.schedule.chance.uniform(*self.world.traffic), self._outbox)

    def take_call(self, address: Address) -> None:
        """A forwarded call has come in."""
        runner = self.runners.get(address.uid)
        running = None if runner is None or runner.state.stage.final else runner.epoch
        if self.world.rules.judge_call(address, self.boot_id, running, may_work=self.may_work()) is None:
            self.world.witness_call(self, address)
