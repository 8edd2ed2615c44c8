"""How a boot keeps its Lease, and what it does when it cannot: the counterpart of production's `LeaseKeeper`.

Every decision is asked of the rules. `Boot` adds what runs under the Lease.
"""

import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from safety_clock import Process
from safety_engine import Engine
from safety_session import Runner
from safety_wire import Conflict, Failure, Forbidden, Link, Missing

from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.lease.verdict import Answer, Attempt, Verdict
from whatsam_connector.sessions import inputs
from whatsam_core.lease import LeaseRecord, LeaseState, lease_name

if TYPE_CHECKING:
    from safety_pod import Pod

NAMESPACE = "ns"
POOL = "default"


class Keeper:
    """The Lease of one boot, from its creation to its end."""

    def __init__(self, pod: "Pod", boot_id: str) -> None:
        self.pod = pod
        self.world = pod.world
        self.machine = pod.machine
        self.boot_id = boot_id
        self.process = Process(self.world.schedule, self.machine)
        """The supervisor."""
        self.link = Link(self.process, self.world.api)
        self.tenure = Tenure(self.world.timings)
        self.timings = self.world.timings
        self.engines: set[Engine] = set()
        self.runners: dict[str, Runner] = {}
        self.over = False
        """The container has ended, with everything in it."""
        self._record = self._first_record()
        self._state = LeaseState.ACTIVE
        self._unanswered: deque[Attempt] = deque(maxlen=1000)
        self._renewing = False
        self._renew_soon = False
        self._acted: Verdict = Verdict.RETRY
        self._timer = 0

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

    # --- what a boot adds ---------------------------------------------------------------------------------------------

    def _begin_work(self) -> None:
        """The Lease is ours."""

    def _arm_all(self) -> None:
        """The Lease was renewed."""

    def _all_over(self) -> bool:
        """Whether nothing runs any more."""
        return True

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
        self.process.later(self.timings.renew_period, self._renew)
        self._watch_the_age()
        self._begin_work()

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
