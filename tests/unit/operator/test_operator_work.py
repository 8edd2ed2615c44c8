"""The work queue: bounded, one item a slot, rest after failures, what holds others up first."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from whatsam_operator.planning.decisions import ForgetMigration, LookUpState, RevokeLease, Target
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.snapshot import Moment
from whatsam_operator.services import work
from whatsam_operator.services.metrics import OperatorMetrics
from whatsam_operator.services.work import LAST_RETRY, Lane, WorkQueue


class World:
    """A clock that a test turns, and work that ends when the test says so."""

    def __init__(self, limit=2):
        self.now = 100.0
        self.registry = CollectorRegistry()
        self.begun = []
        self.gates = {}
        self.queue = WorkQueue(
            self.carry_out,
            limits={Lane.CLUSTER: limit, Lane.STORE: 1},
            metrics=OperatorMetrics(self.registry),
            clock=lambda: Moment(self.now, datetime(2026, 1, 1, tzinfo=UTC)),
            chance=lambda: 0.5,
        )

    async def carry_out(self, decision):
        self.begun.append(decision.target.key[1])
        await self.gate(decision).wait()
        return "done"

    def gate(self, decision):
        return self.gates.setdefault(decision.target.key[1], asyncio.Event())

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"whatsam_operator_{name}", labels)


def plain(name):
    return ForgetMigration(target=Target("session", ("ns", name), f"uid-{name}"), resource_version="1")


def lookup(name):
    return LookUpState(target=Target("session", ("ns", name), f"uid-{name}"))


def revoke(name):
    return RevokeLease(
        target=Target("lease", ("ns", name), f"uid-{name}"),
        boot=("ns", name),
        pool=("ns", "default"),
        resource_version="1",
        proof=Verdict.EXPIRED,
        because="silence",
    )


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_slot_has_one_item_until_it_has_ended():
    world = World()
    assert world.queue.offer(plain("a"))
    assert not world.queue.offer(plain("a"))
    await settle()
    assert not world.queue.offer(lookup("a")), "another decision about the same object waits for the next plan"
    world.gate(plain("a")).set()
    await settle()
    assert world.queue.offer(plain("a"))
    await world.queue.close()


async def test_more_than_the_bound_is_left_to_the_next_plan(monkeypatch):
    monkeypatch.setattr(work, "BOUND", 3)
    world = World(limit=1)
    assert [world.queue.offer(plain(name)) for name in "abcd"] == [True, True, True, False]
    world.queue.look()
    assert world.value("queue_depth", state="waiting") == 2
    assert world.value("queue_depth", state="running") == 1
    await world.queue.close()
    assert len(world.queue) == 0


async def test_a_dead_workers_lease_overtakes_what_waits_and_nothing_starves():
    world = World(limit=1)
    for name in "abc":
        world.queue.offer(plain(name))
    world.queue.offer(revoke("lease"))
    for name in ("a", "lease", "b", "c"):
        await settle()
        world.gates.setdefault(name, asyncio.Event()).set()
    await settle()
    assert world.begun == ["a", "lease", "b", "c"]
    world.queue.offer(plain("busy"))
    world.queue.offer(plain("old"))
    world.now += 60
    world.queue.offer(revoke("new"))
    for name in ("busy", "old", "new"):
        await settle()
        world.gates.setdefault(name, asyncio.Event()).set()
    await settle()
    assert world.begun[-3:] == ["busy", "old", "new"]


async def test_a_store_that_hangs_holds_up_only_what_needs_it():
    world = World(limit=1)
    for name in ("s1", "s2"):
        world.queue.offer(lookup(name))
    world.queue.offer(plain("a"))
    await settle()
    assert sorted(world.begun) == ["a", "s1"]
    await world.queue.close()


async def test_the_age_of_the_oldest_and_the_outcomes_are_told():
    world = World()
    world.queue.offer(plain("a"))
    world.now += 7
    world.queue.offer(plain("b"))
    world.queue.look()
    assert world.value("queue_oldest_seconds") == 7
    world.gate(plain("a")).set()
    await settle()
    world.queue.look()
    assert world.value("queue_oldest_seconds") == 0
    assert world.value("decisions_total", decision="ForgetMigration", outcome="done") == 1
    assert world.value("decision_seconds_count", decision="ForgetMigration") == 1
    await world.queue.close()
    assert world.value("decisions_total", decision="ForgetMigration", outcome="cancelled") == 1


async def test_a_slot_that_failed_rests_as_long_as_the_server_asked():
    world = World()
    slot = plain("a").slot
    assert world.queue.postpone(slot, 0.25, at_least=7.0) == 7.0
    world.now += 6.9
    assert not world.queue.offer(plain("a"))
    assert slot in set(world.queue.busy())
    world.now += 0.2
    assert world.queue.offer(plain("a"))
    await world.queue.close()


async def test_what_is_kept_is_nobody_elses():
    world = World()
    assert world.queue.keep(plain("a").slot)
    assert not world.queue.offer(plain("a"))
    assert not world.queue.keep(plain("a").slot)
    world.queue.let_go(plain("a").slot)
    assert world.queue.offer(plain("a"))
    assert not world.queue.keep(plain("a").slot)
    await world.queue.close()


@given(failures=st.integers(1, 60), first=st.sampled_from([0.25, 1.0]))
def test_rests_grow_and_are_bounded(failures, first):
    world = World()
    rests = [world.queue.postpone(("session", "ns", "a"), first) for _ in range(failures)]
    assert all(later >= earlier for earlier, later in pairwise(rests))
    assert rests[-1] <= LAST_RETRY * 1.25
    world.queue.succeeded(("session", "ns", "a"))
    assert world.queue.postpone(("session", "ns", "a"), first) == pytest.approx(first)
