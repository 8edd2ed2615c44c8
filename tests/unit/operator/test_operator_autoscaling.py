"""A pool grows with its sessions at once and shrinks slowly, by workers that are empty; and it does not swing."""

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_kit import NAMESPACE, START, assignment, condition, observed, pod, pool, session, snapshot

from whatsam_core.lease import LeaseState, Load
from whatsam_core.resources import MOST_DEMANDS, Demand, Scaling
from whatsam_operator.planning.autoscaling import PATIENCE, Seats, Use, Verb, advise, next_step, remembered, use_of
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.demand import grain_of, peak, remember

WINDOW = 300


def scaled(**spec):
    values = {"enabled": True, "minReplicas": 1, "maxReplicas": 10, "targetUtilization": 80, **spec}
    return pool(spec={"replicas": 3, "sessionsPerWorker": 10, "autoscaling": values})


def seat(boot, busy, *, told=False, kept=False, waiting=0):
    return Seats(not told, busy, busy + waiting, (NAMESPACE, boot), kept)


def use(replicas=3, sessions=20, *, held=None, **rest):
    per = held if held is not None else [sessions // max(replicas, 1)] * replicas
    values = {
        "replicas": replicas,
        "settled": True,
        "suspected": False,
        "sessions": sessions,
        "unpaired": 0,
        "unplaced": 0,
        "homeless": 0,
        "workers": tuple(seat(f"b{number}", count) for number, count in enumerate(per)),
        "cpu": None,
        "memory": None,
        **rest,
    }
    return Use(**values)


@pytest.mark.parametrize(
    ("seen", "replicas", "because"),
    [
        (use(sessions=0), 1, "minReplicas"),
        (use(sessions=8), 1, "8 sessions"),
        (use(sessions=9), 2, "9 sessions"),
        (use(sessions=500), 10, "maxReplicas"),
        (use(sessions=9, cpu=100.0), 4, "CPU"),
        (use(sessions=9, cpu=86.0), 3, "CPU"),  # within a tenth of the target the number stays
        (use(sessions=9, cpu=10.0, memory=120.0), 5, "memory"),
        (use(replicas=0, sessions=9, held=[], cpu=99.0), 2, "9 sessions"),
        (use(sessions=21, unpaired=21), 3, "21 sessions"),
        (use(sessions=8, workers=(seat("b0", 8), seat("b1", 0, kept=True))), 2, "8 sessions"),  # one is cordoned
    ],
)
def test_sessions_cpu_and_memory_ask_for_workers_within_the_limits(seen, replicas, because):
    advice = advise(scaled(), seen)
    assert advice.replicas == replicas
    assert because in advice.because


def at(seconds):
    return START + timedelta(seconds=seconds)


def known(*needed, desired=2, busy=None):
    """What the status says at second 1000; `needed` as (replicas, seconds)."""
    demands = [Demand(replicas=replicas, until=at(until)) for replicas, until in needed]
    return Scaling(desired=desired, reason="Sessions", busy_since=None if busy is None else at(busy), needed=demands)


@pytest.mark.parametrize(
    ("seen", "before", "verb", "replicas"),
    [
        (use(sessions=30), known(), Verb.GROW, 4),
        (use(sessions=20), known(), Verb.STAY, 3),
        (use(sessions=10), known((3, 701)), Verb.STAY, 3),  # three were needed within the window
        (use(sessions=10), known((4, 705)), Verb.STAY, 3),
        (use(sessions=10), known((3, 699)), Verb.DRAIN, 2),
        (use(sessions=10), known(), Verb.DRAIN, 2),
        (use(sessions=10, held=[5, 0, 5]), known(), Verb.DRAIN, 2),  # nothing may come to it while it goes
        (use(sessions=10, workers=(seat("b0", 5), seat("b1", 0, told=True))), known(), Verb.SHRINK, 2),
        (use(sessions=10, workers=(seat("b0", 5), seat("b1", 1, told=True))), known(), Verb.DRAIN, 2),
        (use(sessions=10, workers=(seat("b0", 5), seat("b1", 0, told=True, waiting=2))), known(), Verb.SHRINK, 2),
        (use(sessions=10, workers=(seat("b0", 1, kept=True),)), known(), Verb.STAY, 3),
        (use(sessions=10, suspected=True), known(), Verb.STAY, 3),
        (use(sessions=10, settled=False), known(), Verb.STAY, 3),
        (use(sessions=10, unplaced=1), known(), Verb.STAY, 3),
        (use(sessions=20, cpu=99.0), known(), Verb.STAY, 3),
        (use(sessions=20, cpu=99.0), known(busy=1001 - PATIENCE.seconds), Verb.STAY, 3),
        (use(sessions=20, cpu=99.0), known(busy=1000 - PATIENCE.seconds), Verb.GROW, 4),
    ],
)
def test_the_next_step(seen, before, verb, replicas):
    step = next_step(scaled(), seen, before, at(1000))
    assert (step.verb, step.replicas) == (verb, replicas)


def test_the_emptiest_worker_goes_and_whoever_was_told_to():
    drained = next_step(scaled(), use(sessions=10, held=[4, 2, 4]), known(), at(1000))
    assert (drained.verb, drained.worker) == (Verb.DRAIN, (NAMESPACE, "b1"))
    told = use(sessions=10, workers=(seat("b0", 4, told=True), seat("b1", 2), seat("b2", 4)))
    assert next_step(scaled(), told, known(), at(1000)).worker == (NAMESPACE, "b0")


def test_without_autoscaling_nothing_happens():
    step = next_step(pool(spec={"replicas": 3}), use(sessions=999), known(), START)
    assert step.verb is Verb.STAY


def test_what_the_snapshot_shows():
    full = [condition("Scheduled", "False", "NoCapacity")]
    stalled = [condition("Scheduled", "False", "DuplicateDevice"), condition("Stalled", "True", "DuplicateDevice")]
    sessions = [
        session("a", status={"epoch": 1, "assignment": assignment("b1", "w1"), "jid": "a@s"}),
        session("pairing", status={"epoch": 1, "assignment": assignment("b1", "w1")}),
        session("out", status={"epoch": 1, "assignment": assignment("b1", "w1"), "jid": "b@s", "phase": "LoggedOut"}),
        session("waiting", status={"conditions": full}),
        session("stalled", status={"conditions": stalled, "jid": "c@s"}),
        session("stopped", spec={"desiredState": "Stopped"}),
        session("going", metadata={"deletionTimestamp": "2026-01-01T12:00:00Z"}),
        session("other", spec={"poolRef": {"name": "other"}}),
    ]
    found = snapshot(
        sessions=sessions,
        pools=[scaled()],
        pods=[pod("w1"), pod("w2", ready=False), pod("w3")],
        leases=[
            observed("b1", "w1", load=Load(40, None)),
            observed("b2", "w2", load=Load(99, 99)),
            observed("b3", "w3", state=LeaseState.RELEASED),
        ],
    )
    seen = use_of(found, gather(found), scaled())
    assert (seen.sessions, seen.unpaired, seen.unplaced, seen.homeless) == (5, 2, 1, 1)
    assert seen.workers == (seat("b1", 1, waiting=2),)
    assert (seen.cpu, seen.memory, seen.settled) == (40.0, None, False)


@given(st.lists(st.tuples(st.floats(0.1, 200), st.integers(1, 12)), min_size=1, max_size=40), st.integers(10, 400))
def test_what_is_remembered_is_never_less_than_what_was_needed_and_not_for_much_longer(advices, window):
    """The short list against the whole past; between two of these moments the earlier number was right."""
    now, needed, before, whole = 0.0, [], advices[0][1], [(0.0, advices[0][1])]
    for later, replicas in advices:
        now += later
        needed = remember(needed, before, replicas, at(now), window)
        whole.append((now, replicas))
        before = replicas

        def most_since(since, now=now):
            ends = [*(moment for moment, _ in whole[1:]), now + 1]
            return max(wanted for (_, wanted), end in zip(whole, ends, strict=True) if end > since)

        found = peak(needed, replicas, at(now), window)
        assert len(needed) <= MOST_DEMANDS
        assert [one.replicas for one in needed] == sorted({one.replicas for one in needed}, reverse=True)
        assert found >= most_since(now - window)
        if len(needed) < MOST_DEMANDS:
            assert found <= most_since(now - window - grain_of(window))


def test_a_clock_that_was_ahead_holds_nothing_back_for_ever():
    needed = [Demand(replicas=9, until=at(1_000_000))]
    assert peak(remember(needed, 2, 1, START, 300), 1, at(400), 300) == 1


class Site:
    """A pool in which everything happens at once: each round is one plan, carried out."""

    def __init__(self, replicas, sessions, cpu, **spec):
        self.spec = {"scaleDownStabilization": WINDOW, **spec}
        self.replicas, self.sessions, self.cpu = replicas, sessions, cpu
        self.told, self.status, self.now = False, None, 0.0

    def pool(self):
        found = scaled(**self.spec)
        status = {} if self.status is None else {"status": found.status.model_copy(update={"autoscaling": self.status})}
        return found.model_copy(update={"spec": found.spec.model_copy(update={"replicas": self.replicas}), **status})

    def round(self, *, forgetful=False):
        """One plan; a `forgetful` one is made by a new leader, who knows only what objects say."""
        held = [self.sessions // self.replicas] * self.replicas if self.replicas else []
        seats = [seat(f"b{number:02}", count) for number, count in enumerate(held)]
        if self.told and seats:
            seats[0] = seat("b00", 0, told=True)
        shared = self.cpu / self.replicas if self.replicas else None
        seen = use(self.replicas, self.sessions, workers=tuple(seats), cpu=shared)
        self.status = remembered(self.pool(), seen, at(self.now))
        if forgetful:
            self.status = Scaling.model_validate_json(self.status.model_dump_json(by_alias=True))
        step = next_step(self.pool(), seen, self.status, at(self.now))
        if step.verb is Verb.SHRINK:
            assert self.told
            assert step.replicas == self.replicas - 1
        if step.verb in (Verb.GROW, Verb.SHRINK):
            self.replicas, self.told = step.replicas, False
        self.told = self.told or step.verb is Verb.DRAIN
        self.now += 20.0
        return step.verb


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 12),
    st.integers(0, 90),
    st.floats(0, 900),
    st.integers(0, 4),
    st.integers(1, 8),
    st.integers(20, 100),
    st.booleans(),
)
def test_with_constant_work_it_comes_to_rest_and_never_swings(replicas, sessions, cpu, least, more, target, forgetful):
    """CPU is a sum that all workers share; drained sessions go to the others; leaders change or do not."""
    site = Site(replicas, sessions, cpu, minReplicas=least, maxReplicas=least + more, targetUtilization=target)
    verbs = [site.round(forgetful=forgetful) for _ in range(90)]
    assert verbs[-1] is Verb.STAY
    assert least <= site.replicas <= least + more
    assert Verb.SHRINK not in verbs or Verb.GROW not in verbs or replicas < least, "it goes one way only"
    needed = math.ceil(sessions / (10 * target / 100))
    assert site.replicas >= min(needed, least + more)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=6), st.booleans())
def test_whatever_the_work_it_stays_within_its_bounds_and_shrinks_only_after_the_window(work, forgetful):
    site = Site(2, 15, 0.0, minReplicas=2, maxReplicas=6)
    enough_since = 0.0
    for sessions, rounds in work:
        site.sessions = sessions
        for _ in range(rounds):
            before, now = site.replicas, site.now
            wanted = advise(site.pool(), use(before, sessions, held=[1] * before)).replicas
            if wanted >= before:
                enough_since = now + 20.0
            verb = site.round(forgetful=forgetful)
            assert 2 <= site.replicas <= 6
            if verb is Verb.SHRINK:
                assert now - enough_since >= WINDOW - 20.0 - grain_of(WINDOW)
