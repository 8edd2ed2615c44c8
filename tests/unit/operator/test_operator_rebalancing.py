"""Sessions move from busy workers to idle ones, few at a time, and it comes to rest."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_kit import NAMESPACE, START, assignment, condition, moment, observed, pod, pool, session, snapshot

from whatsam_core.lease import LeaseState, Load
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.placement import Floor
from whatsam_operator.planning.rebalancing import (
    MOST_IN_A_DAY,
    REST_ROUNDS,
    Marks,
    Move,
    Pause,
    Pressure,
    moves,
    pause,
    round_of,
)

INTERVAL = 60


class Fleet:
    """Workers with sessions that each use some CPU, of which the operator sees only the sum."""

    def __init__(self, workers, limit, sessions, *, measured=True, leases=None, pods=None, **rebalance):
        self.limit = limit
        self.measured = measured
        self.boots = [f"b{number:02}" for number in range(workers)]
        self.at = {f"s{number:02}": boot for number, (boot, _) in enumerate(sessions)}
        self.cpu = {f"s{number:02}": cpu for number, (_, cpu) in enumerate(sessions)}
        self.since = dict.fromkeys(self.at, START)
        self.moved: dict[str, list[float]] = {}
        self.pool = pool(spec={"sessionsPerWorker": limit, "rebalance": {"enabled": True, **rebalance}})
        self.leases, self.pods = leases or {}, pods or {}
        self.changes = {}

    def load(self, boot):
        cpu = sum(self.cpu[name] for name, place in self.at.items() if place == boot)
        return Load(round(cpu), 10) if self.measured else Load()

    def count(self, boot):
        return sum(place == boot for place in self.at.values())

    def snapshot(self):
        sessions = [
            session(
                name,
                status={
                    "epoch": 1,
                    "jid": f"{name}@s",
                    "assignment": {**assignment(boot, f"w{boot}"), "since": self.since[name].isoformat()},
                    "conditions": [condition("Connected", "True", "Connected")],
                    **self.changes.get(name, {}),
                },
            )
            for name, boot in self.at.items()
        ]
        return snapshot(
            sessions=sessions,
            pools=[self.pool],
            pods=[pod(f"w{boot}", **self.pods.get(boot, {})) for boot in self.boots],
            leases=[
                observed(boot, f"w{boot}", **{"load": self.load(boot), **self.leases.get(boot, {})})
                for boot in self.boots
            ],
            balanced={(NAMESPACE, name): tuple(times) for name, times in self.moved.items()},
        )

    def wishes(self, seconds=0.0):
        now, found = moment(seconds), self.snapshot()
        boots = gather(found)
        return moves(found, boots, Floor(found, boots, now.wall), self.pool, now)

    def pause(self, seconds=0.0):
        found = self.snapshot()
        return pause(found, gather(found), self.pool, moment(seconds))

    def carry_out(self, wishes: list[Move], seconds):
        for move in wishes:
            name = move.session[1]
            assert self.at[name] == move.from_boot[1]
            self.at[name] = move.to_boot[1]
            self.since[name] = START + timedelta(seconds=seconds)
            self.moved.setdefault(name, []).append(moment(seconds).steady)


def spread(*counts, cpu=0.0):
    return [(f"b{number:02}", cpu) for number, count in enumerate(counts) for _ in range(count)]


def test_a_full_worker_gives_five_to_the_emptiest_and_stops_below_its_mark():
    fleet = Fleet(3, 20, spread(20, 5, 2), measured=False)
    wishes = fleet.wishes()
    # 90 % of 20 places are 18: two more than that go, to the emptiest worker.
    assert [(move.from_boot[1], move.to_boot[1], move.reason) for move in wishes] == [
        ("b00", "b02", Pressure.SESSIONS)
    ] * 2
    assert len({move.session for move in wishes}) == 2


def test_only_so_many_move_at_a_time():
    fleet = Fleet(2, 100, spread(100, 10), measured=False)
    assert len(fleet.wishes()) == 5
    assert len(Fleet(2, 100, spread(100, 10), measured=False, maxMoves=2).wishes()) == 2


@pytest.mark.parametrize(
    ("load", "reason"), [(Load(81, 10), Pressure.CPU), (Load(10, 91), Pressure.MEMORY), (Load(80, 90), None)]
)
def test_cpu_above_80_and_memory_above_90_percent_are_too_much(load, reason):
    fleet = Fleet(2, 20, spread(10, 1), leases={"b00": {"load": load}, "b01": {"load": Load(5, 5)}})
    wishes = fleet.wishes()
    assert {move.reason for move in wishes} == ({reason} if reason else set())
    assert all(move.to_boot[1] == "b01" for move in wishes)


@pytest.mark.parametrize(
    "changes",
    [
        {"leases": {"b01": {"load": Load(66, 10)}}},  # 66 % and one of nine per cent more are above 70
        {"leases": {"b01": {"load": Load(10, 70)}}},
        {"pods": {"b01": {"cordoned": True}}},
        {"pods": {"b01": {"ready": False}}},
        {"pods": {"b01": {"deleting": True}}},
        {"leases": {"b01": {"state": LeaseState.DRAINING}}},
        {"leases": {"b01": {"engine_version": "neonize-0.5.1"}}},
    ],
)
def test_who_is_not_idle_or_must_not_have_sessions_gets_none(changes):
    fleet = Fleet(2, 20, spread(10, 1, cpu=9.0), **changes)
    assert fleet.load("b00").cpu == 90
    assert fleet.wishes() == []


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [condition("Connected", "False", "Connecting")]},
        {"jid": None},
        {"next": {"worker": "x", "reason": "Drain", "podUID": "x", "bootId": "x", "since": START.isoformat()}},
        {
            "conditions": [
                condition("Connected", "True", "Connected"),
                condition("Replicated", "False", "Behind"),
            ]
        },
    ],
)
def test_what_is_not_connected_stored_and_at_rest_is_not_moved(status):
    fleet = Fleet(2, 4, spread(4, 0), measured=False)
    fleet.changes = dict.fromkeys(fleet.at, status)
    assert fleet.wishes() == []


def test_why_a_pool_is_left_alone():
    assert Fleet(2, 4, spread(4, 0)).pause() is None
    assert Fleet(2, 4, spread(4, 0), enabled=False).pause() is Pause.DISABLED
    assert Fleet(2, 4, spread(4, 0), leases={"b01": {"unchanged": 6.0}}).pause() is Pause.LOSSES
    fleet = Fleet(3, 10, spread(10, 0, 10))
    fleet.carry_out(fleet.wishes(), 0.0)
    assert fleet.pause(INTERVAL - 1) is Pause.INTERVAL
    assert fleet.pause(INTERVAL) is None


def test_the_marks_keep_a_distance():
    found = pool(spec={"rebalance": {"highWatermark": 85, "cpuHighWatermark": 60, "lowWatermark": 80}})
    assert Marks.of(found.spec.rebalance) == Marks(sessions=85, cpu=60, memory=85, low=50)


sizes = st.integers(2, 5)


@st.composite
def fleets(draw, *, measured):
    workers, limit = draw(sizes), draw(st.integers(3, 10))
    boots = [f"b{number:02}" for number in range(workers)]
    loads = st.sampled_from([0.5, 2.0, 10.0, 30.0, 45.0, 85.0]) if measured else st.just(0.0)
    sessions: list[tuple[str, float]] = []
    for boot in boots:
        sessions += [(boot, draw(loads)) for _ in range(draw(st.integers(0, limit)))]
    return Fleet(workers, limit, sessions, measured=measured, maxMoves=draw(st.integers(1, 5)))


def run_to_rest(fleet, rounds):
    """Run so many rounds; returns the number of the last one that moved something."""
    last = -1
    for number in range(rounds):
        seconds = number * float(INTERVAL)
        wishes = fleet.wishes(seconds)
        assert len(wishes) <= fleet.pool.spec.rebalance.max_moves
        for move in wishes:
            before = fleet.moved.get(move.session[1], [])
            assert not before or moment(seconds).steady - before[-1] >= REST_ROUNDS * INTERVAL
        fleet.carry_out(wishes, seconds)
        assert all(fleet.count(boot) <= fleet.limit for boot in fleet.boots)
        last = number if wishes else last
    return last


@settings(max_examples=60, deadline=None)
@given(fleets(measured=False))
def test_from_any_fleet_it_comes_to_rest_and_no_session_moves_twice(fleet):
    marks = Marks.of(fleet.pool.spec.rebalance)
    assert run_to_rest(fleet, 60) < 50
    assert all(len(times) == 1 for times in fleet.moved.values())
    givers = [boot for boot in fleet.boots if 100 * fleet.count(boot) > marks.sessions * fleet.limit]
    takers = [boot for boot in fleet.boots if 100 * (fleet.count(boot) + 1) <= marks.low * fleet.limit]
    assert not givers or not takers, "whoever is too full has nobody to give to"


@settings(max_examples=60, deadline=None)
@given(fleets(measured=True))
def test_it_comes_to_rest_with_sessions_of_very_different_weight(fleet):
    """The operator sees only sums, so it moves heavy sessions by mistake; still it ends, and long before the limit."""
    last = run_to_rest(fleet, 70)
    assert last < 70 - REST_ROUNDS - 2, "nothing has moved for longer than a session must rest"
    assert all(len(times) <= MOST_IN_A_DAY for times in fleet.moved.values())


def test_rounds_are_never_so_short_that_the_load_cannot_show_them():
    assert round_of(pool(spec={"rebalance": {"interval": 5}}).spec.rebalance) == 30.0
    assert round_of(pool(spec={"rebalance": {"interval": 120}}).spec.rebalance) == 120.0
