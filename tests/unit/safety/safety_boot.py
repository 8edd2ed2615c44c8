"""One run of a connector's container: it keeps its Lease, arms and kills its engines, runs what is assigned to it.

The counterpart of production's `LeaseKeeper`, `LivingEngines` and `Worker`; every decision is asked of the rules.
"""

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from safety_clock import Process
from safety_engine import Engine
from safety_session import Runner
from safety_wire import Conflict, Failure, Forbidden, Link, Missing, Watch

from whatsam_connector.assignments.plan import Drop, Me, Start, Tell
from whatsam_connector.http.holding import Address
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.lease.verdict import Answer, Attempt, Verdict
from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.inputs import StopReason
from whatsam_core.lease import LeaseRecord, LeaseState, lease_name
from whatsam_core.resources.session import WhatsAppSession

if TYPE_CHECKING:
    from safety_pod import Pod

NAMESPACE = "ns"
POOL = "default"


class Boot:
    """It lives from the start of the container to its end."""

    def __init__(self, pod: "Pod", boot_id: str) -> None:
        self.pod = pod
        self.world = pod.world
        self.machine = pod.machine
        self.boot_id = boot_id
        self.process = Process(self.world.schedule, self.machine)
        """The supervisor."""
        self.shipping = Process(self.world.schedule, self.machine)
        """The shipper: it ends with the container, not with the supervisor."""
        self.link = Link(self.process, self.world.api)
        self.store_link = Link(self.process, self.world.store)
        self.shipper_links: list[Link] = []
        self.tenure = Tenure(self.world.timings)
        self.timings = self.world.timings
        self.engines: set[Engine] = set()
        self.least_seq: dict[tuple[str, int], int] = {}
        self.runners: dict[str, Runner] = {}
        self.over = False
        """The container has ended, with everything in it."""
        self._record = self._first_record()
        self._state = LeaseState.ACTIVE
        self._unanswered: deque[Attempt] = deque(maxlen=1000)
        self._being_born = 0
        self._objects: dict[str, WhatsAppSession] = {}
        self._me = Me(pod.uid, boot_id)
        self._draining = False
        self._renewing = False
        self._renew_soon = False
        self._acted: Verdict = Verdict.RETRY
        self._timer = 0
        self._watch = Watch(self.link, self._watched)

    def _first_record(self) -> LeaseRecord:
        now = self.machine.wall()
        return LeaseRecord(
            name=lease_name(POOL, self.boot_id),
            namespace=NAMESPACE,
            pool=POOL,
            pod_name=self.pod.name,
            pod_uid=self.pod.uid,
            boot_id=self.boot_id,
            endpoint="http://10.0.0.1:8080",
            state=LeaseState.ACTIVE,
            acquired_at=now,
            renewed_at=now,
            duration_seconds=math.ceil(self.timings.lease_duration),
            engine_version="neonize-0.5.2",
        )

    # --- the Lease ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Create the Lease, for as long as it takes."""
        started, moment = self.process.steady(), self.machine.wall()
        attempt = Attempt(replace(self._record, acquired_at=moment, renewed_at=moment), started)
        self._unanswered.append(attempt)

        def answer(result: Any) -> None:
            if isinstance(result, LeaseRecord):
                self._acquired(result, attempt.started)
            elif isinstance(result, Conflict):
                self._read_back(self._created_before, lambda: self.process.later(1.0, self.begin))
            else:
                self.process.later(1.0, self.begin)

        self.link.call(
            lambda: self.world.api.create_lease(attempt.record), answer, timeout=self.timings.request_timeout
        )

    def _created_before(self, found: LeaseRecord | None) -> None:
        judged, known = self.world.rules.judge_read_back(found, self._unanswered)
        if judged is Verdict.RENEWED and known is not None and found is not None:
            self._acquired(found, known.started)
        elif self.world.rules.adopts_lease and found is not None:
            self._record = found
            self._acquired(found, self.process.steady())
        else:
            self.process.later(1.0, self.begin)

    def _acquired(self, record: LeaseRecord, started: float) -> None:
        self._accept(record, started)
        api = self.world.api
        api.watches.append(("session", self._watch))
        self.link.call(lambda: list(api.sessions.values()), self._listed, timeout=5.0)
        self.process.later(self.timings.renew_period, self._renew)
        self._watch_the_age()
        self._outbox()

    def _accept(self, record: LeaseRecord, started: float) -> None:
        self._record = record
        self._unanswered.clear()
        self.tenure.renewed_at = started

    def _renew(self) -> None:
        if self._renewing or self.tenure.revoked:
            self._renew_soon = True
            return
        self._renewing, self._renew_soon = True, False
        started, rules = self.process.steady(), self.world.rules
        record = self._record.renewed(self.machine.wall(), state=self._state, sessions=len(self.runners))
        attempt = Attempt(rules.renewal(record), started)
        self._unanswered.append(attempt)

        def answer(result: Any) -> None:
            said = _answer_of(result)
            verdict = rules.judge_answer(said, self._age(), self.timings)
            if verdict is Verdict.RENEWED:
                self._accept(result, rules.renewal_counts_from(started, self.process.steady()))
                self._renewed()
                self._next_renewal(started, self.timings.renew_period)
            elif verdict is Verdict.REVOKED:
                self._revoked()
            elif verdict is Verdict.READ_BACK:
                self._read_back(
                    lambda found: self._judge_read_back(found, started),
                    lambda: self._next_renewal(started, self.timings.renew_period / 2),
                )
            else:
                self._next_renewal(started, self.timings.renew_period / 2)

        self.link.call(
            lambda: self.world.api.update_lease(attempt.record), answer, timeout=self.timings.request_timeout
        )

    def _next_renewal(self, started: float, period: float) -> None:
        self._renewing = False
        if self.over:
            return
        pause = 0.0 if self._renew_soon else period - (self.process.steady() - started)
        self.process.later(max(pause, self.timings.renew_period / 10), self._renew)

    def _renewed(self) -> None:
        self._arm_all()
        if self._record.state is LeaseState.RELEASED:
            self._released()
            return
        if self.tenure.fenced:
            self.world.witness.note("resumed", self.boot_id)
            self.tenure.fenced = False
            for runner in list(self.runners.values()):
                runner.push(inputs.LeaseResumed())
        self._watch_the_age()

    def _released(self) -> None:
        if self._all_over():
            self.world.witness.note("released", self.boot_id)
            self.pod.container_ends(self, 0)
        else:
            self.process.later(0.1, self._released)

    def _read_back(self, judge: Any, otherwise: Any) -> None:
        def answer(result: Any) -> None:
            if isinstance(result, Missing):
                judge(None)
            elif isinstance(result, Failure):
                otherwise()
            else:
                judge(result.record)

        name, api = self._record.name, self.world.api
        self.link.call(lambda: api.read_lease(name), answer, timeout=self.timings.request_timeout)

    def _judge_read_back(self, found: LeaseRecord | None, started: float) -> None:
        outcome, known = self.world.rules.judge_read_back(found, self._unanswered)
        if outcome is Verdict.REVOKED:
            self._revoked()
            return
        if known is not None and found is not None:
            self._accept(found, known.started)
            if self.world.rules.judge_own_write(self._age(), self.timings) is Verdict.RENEWED:
                self._renewed()
        self._next_renewal(started, self.timings.renew_period / 2)

    def _revoked(self) -> None:
        self.world.witness.note("knows that it is revoked", self.boot_id)
        self.tenure.revoked = True
        for engine in list(self.engines):
            engine.kill()
        self.pod.container_ends(self, 3)

    def _age(self) -> float:
        renewed = self.tenure.renewed_at
        return math.inf if renewed is None else self.process.steady() - renewed

    # --- the fences ---------------------------------------------------------------------------------------------------

    def may_work(self) -> bool:
        """Asked before every claim, spawn and forwarded call."""
        return self.world.rules.holds(self.tenure, self.process.steady())

    def _watch_the_age(self) -> None:
        rules, timings = self.world.rules, self.timings
        due = rules.judge_age(self._age(), timings)
        if due is Verdict.RETRY and not self.tenure.fenced:
            self._acted = Verdict.RETRY
        if due is not Verdict.RETRY and not self.tenure.fenced:
            self.world.witness.note("soft fence", self.boot_id)
            self.tenure.fenced = True
            self._acted = Verdict.SOFT_FENCE
            for runner in list(self.runners.values()):
                runner.push(inputs.SoftFenced())
        if due is Verdict.HARD_FENCE and self._acted is not Verdict.HARD_FENCE:
            self._acted = Verdict.HARD_FENCE
            self.world.witness.note("hard fence", self.boot_id)
            for engine in list(self.engines):
                engine.kill()
        self._timer += 1
        number, age = self._timer, self._age()
        fences = [fence - age for fence in (timings.soft_fence, rules.kill_after(timings)) if age < fence]
        wait = min(fences, default=timings.renew_period)
        self.process.later(wait + 0.001, lambda: self._watch_the_age() if number == self._timer else None)

    def _arm_all(self) -> None:
        self._arm_supervisor()
        deadline = self.world.rules.engine_deadline(self.tenure)
        for engine in list(self.engines):
            self.world.schedule.after(0.003, lambda engine=engine: engine.process.deliver(lambda: engine.arm(deadline)))

    _supervisor_timer = 0

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
        self._note(news[1])
        self._apply()

    def _note(self, raw: Any) -> None:
        session = self.world.model(raw)
        known = self._objects.get(session.metadata.uid)
        if known is None or int(known.metadata.resource_version) < int(session.metadata.resource_version):
            self._objects[session.metadata.uid] = session

    def _apply(self) -> None:
        if self.over:
            return
        running = {uid: runner.epoch for uid, runner in self.runners.items()}
        for decision in self.world.rules.boot_plan(self._objects.values(), running, self._me, draining=self._draining):
            match decision:
                case Start():
                    self._start(decision)
                case Tell():
                    runner = self.runners[decision.session.metadata.uid]
                    runner.writer.observe(decision.session)
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
            del self.runners[runner.uid]
            self.process.later(0.001, self._apply)

    def session_is_over(self, runner: Runner) -> None:
        """It was handed over or lost."""
        if self._draining:
            self.process.later(0.01, self._perhaps_release)

    def drain(self) -> None:
        """SIGTERM: hand everything over, then release the Lease."""
        if self._draining or self.over:
            return
        self._draining = True
        self.tenure.draining = True
        self._state = LeaseState.RELEASED if self.world.rules.releases_first else LeaseState.DRAINING
        self._renew()
        for runner in list(self.runners.values()):
            runner.push(inputs.Stop(StopReason.HANDED_OVER))
        self._perhaps_release()
        self.process.later(50.0, lambda: self.pod.container_ends(self, 1))

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


def _answer_of(result: Any) -> Answer:
    match result:
        case LeaseRecord():
            return Answer.ACCEPTED
        case Conflict():
            return Answer.CONFLICT
        case Missing():
            return Answer.MISSING
        case Forbidden():
            return Answer.REFUSED
        case _:
            return Answer.UNREACHABLE
