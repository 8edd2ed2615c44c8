"""Who starts with whom, who comes back with whom, and what is merged: laws of the pure plans."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.supervision.cohorts import (
    Cohort,
    CohortTimings,
    Group,
    Outcome,
    Outlook,
    Suspicion,
    Waiting,
    aftermath,
    deal,
    gather,
    merge,
)
from whatsam_connector.supervision.exits import ExitReason

TIMINGS = CohortTimings()
CRASHES = [ExitReason.PANIC, ExitReason.CRASHED, ExitReason.HUNG, ExitReason.KILLED, ExitReason.ENGINE_FAILED]
QUIET = [ExitReason.CLEAN, ExitReason.FENCED, ExitReason.CONNECT_FAILED, ExitReason.PARENT_GONE]


def waiting(uids: Sequence[str], since: float = 0.0, *, alone: bool = False) -> list[Waiting]:
    return [Waiting(uid, since, alone) for uid in uids]


def test_the_last_of_a_planned_move_waits_for_nobody() -> None:
    last = [Waiting("a", 0.0, alone=False, planned=True)]
    assert gather(last, (), 0.0, 50, TIMINGS, outlook=Outlook({}, (), planned=False)).batches == (("a",),)
    assert gather(last, (), 0.0, 50, TIMINGS, outlook=Outlook({}, (), planned=True)).batches == ()


def test_those_of_a_planned_move_wait_for_each_other_only() -> None:
    moving = [Waiting("a", 0.0, alone=False, planned=True), Waiting("b", 0.1, alone=False, planned=True)]
    strangers = waiting(["x"], 0.0)
    early = gather([*moving, *strangers], [], 0.2, 8, TIMINGS, outlook=Outlook({"y": 0.0}, ()))
    assert early.batches == ()
    assert early.look_again == pytest.approx(0.1 + TIMINGS.planned_window)
    later = gather([*moving, *strangers], [], 0.26, 8, TIMINGS, outlook=Outlook({"y": 0.0}, ()))
    assert later.batches == (("a", "b"),)


# --- gather -----------------------------------------------------------------------------------------------------------

sessions = st.lists(
    st.builds(Waiting, st.integers(0, 10**6).map(str), st.floats(0, 10), st.booleans(), st.booleans()),
    max_size=40,
    unique_by=lambda one: one.uid,
)


@given(sessions, st.integers(1, 8), st.floats(0, 20), st.data())
def test_nobody_starts_twice_nobody_is_lost_and_no_process_is_too_large(
    ready: list[Waiting], size: int, now: float, data: st.DataObject
) -> None:
    uids = [one.uid for one in ready]
    members = data.draw(st.lists(st.sampled_from(uids), unique=True)) if uids else []
    groups = [Group(frozenset(members) | {"lost"})] if members else []
    departure = gather(ready, groups, now, size, TIMINGS)
    started = [uid for batch in departure.batches for uid in batch]
    assert len(started) == len(set(started))
    assert set(started) <= set(uids)
    assert all(1 <= len(batch) <= size for batch in departure.batches)
    left = set(uids) - set(started)
    assert (departure.look_again is not None) == bool(left)
    if departure.look_again is not None:
        assert departure.look_again > now
        # Whoever is left starts at the latest then, should nobody else come.
        rest = [one for one in ready if one.uid in left]
        later = gather(rest, groups, now + TIMINGS.reunion + TIMINGS.longest_window + 20, size, TIMINGS)
        assert {uid for batch in later.batches for uid in batch} == left


@given(sessions, st.integers(1, 8), st.floats(0, 20))
def test_who_needs_a_process_alone_gets_it_at_once(ready: list[Waiting], size: int, now: float) -> None:
    departure = gather(ready, [], now, size, TIMINGS)
    for one in ready:
        if one.alone:
            assert (one.uid,) in departure.batches


def test_sessions_that_become_ready_within_the_window_start_together() -> None:
    ready = [*waiting(["a"], 0.0), *waiting(["b"], 0.2)]
    early = gather(ready, [], 0.4, 8, TIMINGS)
    assert early.batches == ()
    assert early.look_again == pytest.approx(0.5)
    assert gather(ready, [], 0.5, 8, TIMINGS).batches == (("a", "b"),)


def test_the_first_does_not_wait_for_ever_while_others_keep_coming() -> None:
    ready = [Waiting(str(number), number * 0.1, alone=False) for number in range(16)]
    assert gather(ready, [], 1.5, 64, TIMINGS).batches == (tuple(str(number) for number in range(16)),)


def test_who_is_ready_waits_for_those_on_their_way_but_not_for_long() -> None:
    ready, coming = waiting(["a"], 10.0), {"b": 9.0}
    early = gather(ready, [], 10.5, 8, TIMINGS, outlook=Outlook(coming, ()))
    assert early.batches == ()
    assert early.look_again == pytest.approx(10.0 + TIMINGS.lull)
    assert gather(ready, [], 10.0 + TIMINGS.lull, 8, TIMINGS, outlook=Outlook(coming, ())).batches == (("a",),)
    assert gather([*ready, *waiting(["b"], 10.5)], [], 10.8, 8, TIMINGS, outlook=Outlook({}, ())).batches == (
        ("a", "b"),
    )


def test_a_stream_of_sessions_makes_full_cohorts() -> None:
    arrivals = [number * 0.08 for number in range(40)]
    ready = [Waiting(str(number), since, alone=False) for number, since in enumerate(arrivals)]
    coming = {f"later {number}": 0.0 for number in range(60)}
    assert gather(ready, [], arrivals[-1], 50, TIMINGS, outlook=Outlook(coming, ())).batches == ()
    more = [*ready, *(Waiting(f"m{number}", arrivals[-1], alone=False) for number in range(10))]
    assert [
        len(batch) for batch in gather(more, [], arrivals[-1], 50, TIMINGS, outlook=Outlook(coming, ())).batches
    ] == [50]


def test_many_that_became_ready_lately_announce_more_of_a_lost_worker() -> None:
    lately = [10.0 + number * 0.1 for number in range(TIMINGS.stream)]
    newest = lately[-1]
    ready, outlook = waiting(["a"], newest), Outlook({}, lately)
    departure = gather(ready, [], newest + TIMINGS.window, 50, TIMINGS, outlook=outlook)
    assert departure.batches == ()
    assert departure.look_again == pytest.approx(newest + TIMINGS.lull)
    few = Outlook({}, lately[1:])
    assert gather(ready, [], newest + TIMINGS.window, 50, TIMINGS, outlook=few).batches == (("a",),)


def test_nobody_waits_for_one_that_is_stuck_or_that_belongs_to_a_group() -> None:
    ready = waiting(["a"], 100.0)
    window = TIMINGS.window
    assert gather(
        ready, [], 100.0 + window, 8, TIMINGS, outlook=Outlook({"stuck": 100.0 - TIMINGS.believed}, ())
    ).batches == (("a",),)
    assert gather(
        ready, [Group(frozenset("xy"))], 100.0 + window, 8, TIMINGS, outlook=Outlook({"x": 100.0}, ())
    ).batches == (("a",),)


@given(
    st.lists(st.floats(0, 30), min_size=1, max_size=60),
    st.dictionaries(st.text(min_size=3, max_size=5), st.floats(-100, 30), max_size=10),
    st.integers(1, 64),
    st.booleans(),
)
def test_whoever_else_is_on_the_way_nobody_waits_beyond_the_bound(
    arrivals: list[float], coming: dict[str, float], size: int, stream: bool
) -> None:
    ready: list[Waiting] = []
    waited: list[float] = []
    queue = sorted(arrivals)
    now = queue[0]
    while queue or ready:
        while queue and queue[0] <= now:
            ready.append(Waiting(str(len(waited) + len(ready)), queue.pop(0), alone=False))
        outlook = Outlook(coming, [now] * TIMINGS.stream if stream else [])
        departure = gather(ready, [], now, size, TIMINGS, outlook=outlook)
        gone = {uid for batch in departure.batches for uid in batch}
        waited += [now - one.since for one in ready if one.uid in gone]
        ready = [one for one in ready if one.uid not in gone]
        looks = [at for at in (departure.look_again, queue[0] if queue else None) if at is not None]
        now = min(looks, default=now)
    assert len(waited) == len(arrivals)
    assert max(waited) <= TIMINGS.patience + 1e-6


def test_a_full_cohort_does_not_wait() -> None:
    assert gather(waiting("abc"), [], 0.0, 2, TIMINGS).batches == (("a", "b"),)


def test_a_group_starts_as_soon_as_it_is_complete_and_takes_no_stranger() -> None:
    group = Group(frozenset("ab"))
    departure = gather(waiting("abx"), [group], 0.0, 8, TIMINGS)
    assert departure.batches == (("a", "b"),)
    assert departure.look_again == pytest.approx(TIMINGS.window)


def test_a_group_does_not_wait_for_ever_for_one_that_is_lost() -> None:
    group = Group(frozenset("ab"))
    assert gather(waiting("a"), [group], 2.9, 8, TIMINGS).batches == ()
    assert gather(waiting("a"), [group], 3.0, 8, TIMINGS).batches == (("a",),)


# --- aftermath --------------------------------------------------------------------------------------------------------


def test_the_first_crash_reunites_all() -> None:
    after = aftermath("abc", ExitReason.PANIC, {}, 100.0, TIMINGS)
    assert after.outcome is Outcome.REUNITE
    assert after.groups == (Group(frozenset("abc")),)
    assert set(after.suspicions) == set("abc")


def test_a_second_crash_within_memory_halves_and_one_after_it_does_not() -> None:
    first = aftermath("abcde", ExitReason.PANIC, {}, 100.0, TIMINGS)
    again = aftermath("abcde", ExitReason.PANIC, first.suspicions, 100.0 + TIMINGS.memory - 1, TIMINGS)
    assert again.outcome is Outcome.SPLIT
    assert again.groups == (Group(frozenset("abc")), Group(frozenset("de")))
    late = aftermath("abcde", ExitReason.PANIC, first.suspicions, 100.0 + TIMINGS.memory, TIMINGS)
    assert late.outcome is Outcome.REUNITE


@pytest.mark.parametrize("reason", QUIET)
def test_an_orderly_end_means_nothing(reason: ExitReason) -> None:
    after = aftermath("abc", reason, {"a": Suspicion(3, 0.0)}, 1.0, TIMINGS)
    assert (after.outcome, after.groups, after.suspicions) == (Outcome.NOTHING, (), {})


def test_a_session_that_does_not_leave_is_to_blame_and_its_neighbours_are_not() -> None:
    after = aftermath("abc", ExitReason.HUNG, {}, 1.0, TIMINGS, culprit="b")
    assert after.groups == (Group(frozenset("ac")),)
    assert set(after.suspicions) == {"b"}


@given(st.integers(2, 64), st.data(), st.sampled_from(CRASHES))
def test_a_poisonous_session_is_alone_after_a_few_crashes_and_the_others_live(
    size: int, data: st.DataObject, reason: ExitReason
) -> None:
    everybody = [f"s{number}" for number in range(size)]
    poison = data.draw(st.sampled_from(everybody))
    suspicions: dict[str, Suspicion] = {}
    living: set[str] = set()
    cohort, now, crashes = everybody, 0.0, 0
    while True:
        now += 10
        crashes += 1
        after = aftermath(cohort, reason, suspicions, now, TIMINGS)
        suspicions.update(after.suspicions)
        if after.outcome is Outcome.ISOLATE:
            assert cohort == [poison]
            break
        for group in after.groups:
            if poison in group.uids:
                cohort = [uid for uid in everybody if uid in group.uids]
            else:
                living |= group.uids
    assert living == set(everybody) - {poison}
    assert crashes <= 2 + size.bit_length()
    assert suspicions[poison].holds(now + TIMINGS.quarantine - 1, TIMINGS)
    assert not any(suspicions[uid].holds(now + TIMINGS.memory, TIMINGS) for uid in living)


@given(st.lists(st.text("abcdef", min_size=1), unique=True, min_size=1), st.sampled_from(list(ExitReason)), st.data())
def test_groups_after_an_end_are_disjoint_and_of_members_only(
    members: list[str], reason: ExitReason, data: st.DataObject
) -> None:
    held = data.draw(
        st.dictionaries(st.sampled_from(members), st.builds(Suspicion, st.integers(1, 9), st.floats(0, 9)))
    )
    after = aftermath(members, reason, held, 10.0, TIMINGS)
    grouped = [uid for group in after.groups for uid in group.uids]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) <= set(members)
    if after.outcome is not Outcome.NOTHING:
        assert set(grouped) == set(members)


# --- merge ------------------------------------------------------------------------------------------------------------

cohorts = st.lists(st.tuples(st.integers(0, 64), st.booleans()), max_size=30).map(
    lambda rows: [Cohort(key, size, movable) for key, (size, movable) in enumerate(rows)]
)


@given(cohorts, st.integers(1, 64))
def test_a_merge_fits_moves_only_who_may_be_moved_and_is_worth_it(running: list[Cohort], size: int) -> None:
    chosen = [running[key] for key in merge(running, size)]
    assert len(chosen) != 1
    assert all(cohort.movable and cohort.size for cohort in chosen)
    if chosen:
        total = sum(cohort.size for cohort in chosen)
        assert total <= size
        assert total >= 2 * max(cohort.size for cohort in chosen)


@given(st.lists(st.just(1) | st.none(), max_size=200), st.sampled_from([8, 32, 64]))
def test_sessions_that_come_one_by_one_are_moved_seldom_and_end_in_few_processes(
    arrivals: list[int | None], size: int
) -> None:
    running: dict[int, list[int]] = {}
    moves: dict[int, int] = {}
    for time, arrival in enumerate([*arrivals, *[None] * 200]):
        if arrival is not None:
            running[time] = [time]
            moves[time] = 0
        chosen = merge([Cohort(key, len(members), movable=True) for key, members in running.items()], size)
        if chosen:
            united = [member for key in chosen for member in running.pop(key)]
            running[1000 + time] = united
            for member in united:
                moves[member] += 1
    assert all(number <= size.bit_length() for number in moves.values())
    number = len(moves)
    assert len(running) <= 2 * -(-number // size) + size.bit_length()


# --- deal -------------------------------------------------------------------------------------------------------------

some_dealt = st.lists(st.tuples(st.integers(0, 64), st.booleans(), st.booleans()), max_size=30).map(
    lambda rows: [Cohort(key, size, movable, dealt) for key, (size, movable, dealt) in enumerate(rows)]
)


@given(some_dealt, st.integers(1, 64))
def test_dealing_saves_more_than_a_merge_and_moves_nobody_twice(running: list[Cohort], size: int) -> None:
    chosen = [running[key] for key in deal(running, size)]
    assert all(cohort.movable and cohort.size and not cohort.dealt for cohort in chosen)
    if chosen:
        needed = -(-sum(cohort.size for cohort in chosen) // size)
        assert len(chosen) - needed > max(len(merge(running, size)) - 1, 0)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.sampled_from([50, 200]))
def test_whatever_pieces_a_restart_made_they_end_in_as_few_processes_as_they_need(sizes: list[int], size: int) -> None:
    running = [Cohort(key, number, movable=True) for key, number in enumerate(sizes)]
    needed = -(-sum(sizes) // size)
    chosen = deal(running, size)
    if chosen:
        moved = sum(running[key].size for key in chosen)
        assert len(sizes) - len(chosen) + -(-moved // size) == needed
    else:
        assert len(sizes) - max(len(merge(running, size)) - 1, 0) == needed


@pytest.mark.parametrize(
    ("sizes", "size", "moved"),
    [
        ([45, 30, 25], 50, {45, 30, 25}),
        ([63, 27, 8, 2], 200, {63, 27, 8, 2}),
        ([50, 48, 1, 1], 50, {48, 1}),
        ([50, 30, 2, 2], 50, {30, 2}),  # a merge saves one, this two
        ([50, 20, 20], 50, set[int]()),  # a merge does as well
        ([50, 30, 11, 9], 50, {30, 11, 9}),
        ([50, 50], 50, set[int]()),
        ([50, 45, 5, 3], 50, {5, 3}),
    ],
)
def test_dealing_leaves_those_alone_that_are_full_already(sizes: list[int], size: int, moved: set[int]) -> None:
    chosen = deal([Cohort(key, number, movable=True) for key, number in enumerate(sizes)], size)
    assert {sizes[key] for key in chosen} == moved
