"""A plan that was carried out leaves nothing to plan: nothing is written twice."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_kit import (
    NAMESPACE,
    RENDERING,
    START,
    assignment,
    moment,
    observed,
    pod,
    pool_object,
    session_object,
)

from whatsam_core.lease import LeaseState
from whatsam_core.resources import WhatsAppSession, WorkerPool
from whatsam_operator.planning.decisions import (
    ApplyBudget,
    ApplyDeployment,
    Assign,
    Finalize,
    LookUpState,
    NameSuccessor,
    RevokeLease,
    SetFinalizers,
    SetPoolStatus,
    SetStatus,
    Tell,
)
from whatsam_operator.planning.deployment import deployment as render
from whatsam_operator.planning.lease_book import LeaseBook, ReadLease
from whatsam_operator.planning.planner import plan
from whatsam_operator.planning.snapshot import Snapshot, StateKnowledge
from whatsam_operator.planning.views import ContainerView, Termination, read_budget, read_deployment, template_of

ENDED = Termination(START.replace(minute=1), "Error", 137)


class Applied:
    """The objects, changed as the decisions say."""

    def __init__(self, sessions, pool, pods, leases):
        self.sessions = {one["metadata"]["name"]: one for one in sessions}
        self.pool = pool
        self.pods = pods
        self.book = LeaseBook({(NAMESPACE, one.record.boot_id): one for one in leases}, {}, 0.0)
        self.states = {}
        self.deployment = None
        self.budget = None

    def snapshot(self):
        sessions = [WhatsAppSession.from_wire(one) for one in self.sessions.values()]
        pool = WorkerPool.from_wire(self.pool)
        return Snapshot(
            sessions={one.metadata.key: one for one in sessions},
            pools={pool.metadata.key: pool},
            pods={one.uid: one for one in self.pods},
            leases=self.book.leases,
            states=self.states,
            deployments={pool.metadata.key: read_deployment(self.deployment)} if self.deployment else {},
            budgets={pool.metadata.key: read_budget(self.budget)} if self.budget else {},
        )

    @property
    def template(self):
        """Which template the pods are made from."""
        pool = WorkerPool.from_wire(self.pool)
        return template_of(render(pool, RENDERING, None)["spec"]["template"]["metadata"]["annotations"])

    def apply(self, decision):  # noqa: PLR0912 - one branch per decision
        thing = self.sessions.get(decision.target.key[1]) if decision.target.kind == "session" else self.pool
        match decision:
            case SetFinalizers():
                thing["metadata"]["finalizers"] = list(decision.finalizers)
            case LookUpState():
                self.states[decision.target.uid] = StateKnowledge()
            case Assign():
                wire = [one.to_wire() for one in decision.conditions]
                thing.setdefault("status", {}).update(
                    epoch=decision.epoch,
                    assignment=decision.assignment.to_wire(),
                    phase=decision.phase.value,
                    conditions=wire,
                )
            case NameSuccessor():
                named = decision.successor
                thing["status"]["next"] = None if named is None else named.to_wire()
            case SetStatus():
                status = thing.setdefault("status", {})
                status.update(
                    phase=decision.phase.value,
                    observedGeneration=decision.observed_generation,
                    conditions=[one.to_wire() for one in decision.conditions],
                )
                if decision.clear_assignment:
                    del status["assignment"]
            case Finalize():
                del self.sessions[decision.target.key[1]]
            case RevokeLease():
                lease = self.book.leases[decision.boot]
                record = lease.record.renewed(lease.record.renewed_at, state=LeaseState.REVOKED)
                self.book = self.book.wrote(ReadLease(record, decision.because))
            case ApplyDeployment():
                self.deployment = {**decision.body}
                self.deployment["metadata"] = {**decision.body["metadata"], "uid": "d", "resourceVersion": "1"}
            case ApplyBudget():
                self.budget = {**decision.body, "metadata": {**decision.body["metadata"], "resourceVersion": "1"}}
            case SetPoolStatus():
                thing["status"] = decision.status.to_wire()
            case Tell():
                pass
            case _:
                pytest.fail(f"unexpected {decision}")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "b1", "b2", "b3"]),
            st.sampled_from(["Running", "Stopped"]),
            st.booleans(),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.integers(min_value=1, max_value=4),
    st.booleans(),
)
def test_plans_come_to_rest(wishes, capacity, ends):
    sessions = []
    for number, (boot, desired, deleting, finalized) in enumerate(wishes):
        made = session_object(f"s{number}", spec={"desiredState": desired})
        if boot is not None:
            made["status"] = {"epoch": 1, "assignment": assignment(boot, f"w{boot[1]}"), "jid": f"{number}:1@s"}
        if deleting:
            made["metadata"]["deletionTimestamp"] = START.isoformat()
        elif finalized:
            made["metadata"]["finalizers"] = []
        sessions.append(made)
    world = Applied(
        sessions,
        pool_object(spec={"replicas": 3, "sessionsPerWorker": capacity}),
        [pod("w1", deleting=ends), pod("w2", container=ContainerView(terminated=ENDED)), pod("w3"), pod("w4")],
        [
            observed("b1", "w1"),
            observed("b2", "w2"),
            observed("b3", "w3", unchanged=99.0),
            observed("b4", "w4"),
        ],
    )
    world.pods = [replace(one, template=world.template) for one in world.pods]
    rounds = 0
    while decisions := [one for one in plan(world.snapshot(), RENDERING, moment(70)) if not isinstance(one, Tell)]:
        rounds += 1
        assert rounds <= 10, f"never at rest: {decisions}"
        for decision in decisions:
            world.apply(decision)
    alive = [one for one in world.sessions.values() if one.get("status", {}).get("assignment")]
    assert {one["status"]["assignment"]["bootId"] for one in alive} <= {"b1", "b4"}
    for one in alive:
        going = one["status"].get("next")
        assert going is None or (ends and one["status"]["assignment"]["bootId"] == "b1" and going["bootId"] == "b4")


def test_the_brake_leaves_time_between_two_takeovers():
    pods = [pod(f"w{number}") for number in range(4)]
    leases = [observed(f"b{number}", f"w{number}", unchanged=30.0) for number in range(3)]
    world = Applied([], pool_object(), pods, [*leases, observed("b3", "w3")])
    braked = [one for one in plan(world.snapshot(), RENDERING, moment(70)) if isinstance(one, RevokeLease)]
    assert [one.braked for one in braked] == [True]
    soon = Snapshot(
        pools=world.snapshot().pools,
        pods=world.snapshot().pods,
        leases=world.snapshot().leases,
        last_braked={(NAMESPACE, "default"): moment(65).steady},
    )
    assert not [one for one in plan(soon, RENDERING, moment(70)) if isinstance(one, RevokeLease)]
    assert [one for one in plan(soon, RENDERING, moment(75)) if isinstance(one, RevokeLease)]
