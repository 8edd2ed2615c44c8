"""Sessions that their holder stopped by itself: a newer epoch in the store, another connection at WhatsApp."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_kit import RENDERING, START, assignment, condition, moment, observed, pod, pool, session, snapshot

from whatsam_operator.planning.decisions import Assign, RecordTakeover, SetStatus, TakenFrom, Tell
from whatsam_operator.planning.planner import plan, sightings
from whatsam_operator.planning.stream_replaced import ANNOTATION, Answer, Try, answer, recorded, with_try


def replaced(*, annotation=None, **status):
    return session(
        "a",
        metadata={"annotations": {ANNOTATION: annotation}} if annotation else {},
        status={
            "epoch": 4,
            "assignment": assignment("b1"),
            "phase": "Disconnected",
            "jid": "1:1@s",
            "conditions": [condition("Connected", "False", "StreamReplaced")],
            **status,
        },
    )


def decided(one, seconds=0.0, since=0.0):
    first = snapshot(sessions=[one], pools=[pool()], pods=[pod("w1")], leases=[observed("b1")])
    seen = sightings(first, moment(since))
    found = snapshot(sessions=[one], pools=[pool()], pods=[pod("w1")], leases=[observed("b1")], sightings=seen)
    return [item for item in plan(found, RENDERING, moment(seconds)) if item.target.kind == "session"]


def test_a_replaced_session_waits_a_lease_duration_is_recorded_and_starts_at_the_same_holder():
    assert decided(replaced(), 14.0) == []
    (record,) = decided(replaced(), 15.0)
    assert isinstance(record, RecordTakeover)
    (start,) = decided(replaced(annotation=record.annotation), 15.0)
    assert isinstance(start, Assign)
    assert start.taken_from is TakenFrom.SAME_HOLDER
    assert (start.epoch, start.assignment.boot_id) == (5, "b1")


def test_the_fourth_time_within_an_hour_is_left_to_a_person():
    tries = [Try(epoch, START + timedelta(minutes=epoch)) for epoch in (1, 2)]
    annotation = with_try(tries, 3, START + timedelta(minutes=3))
    (stalled,) = decided(replaced(annotation=annotation), 600.0)
    assert isinstance(stalled, SetStatus)
    assert not stalled.clear_assignment
    said = {one.type.value: (one.status, one.reason) for one in stalled.conditions}
    assert said["Stalled"] == ("True", "StreamReplaced")
    again = replaced(
        annotation=annotation, conditions=[one.to_wire() for one in stalled.conditions], observedGeneration=1
    )
    assert decided(again, 700.0) == []
    (later,) = decided(again, 3 * 3600.0)
    assert isinstance(later, RecordTakeover), "an hour later it may be tried again"


def test_what_stands_in_the_annotation_is_read_back():
    assert recorded(with_try([], 7, START)) == [Try(7, START)]
    assert recorded(with_try([Try(6, START - timedelta(hours=2))], 7, START)) == [Try(7, START)]


@pytest.mark.parametrize("damaged", [None, "", "{", "{}", '[{"epoch": 1}]', '["x"]', "[1]", '[{"epoch":1,"at":"x"}]'])
def test_an_annotation_that_cannot_be_read_counts_nothing(damaged):
    assert recorded(damaged) == []


@given(st.lists(st.integers(min_value=0, max_value=7200), max_size=12), st.integers(min_value=0, max_value=7200))
def test_never_more_than_three_tries_in_an_hour(times, more):
    tries: list[Try] = []
    for epoch, second in enumerate(sorted([*times, more])):
        now = START + timedelta(seconds=second)
        if answer(tries, epoch, waited=20.0, lease_duration=15.0, now=now) is Answer.RECORD:
            tries = recorded(with_try(tries, epoch, now))
            assert sum(1 for one in tries if now - one.at < timedelta(hours=1)) <= 3


def test_an_epoch_behind_the_store_is_raised_above_it_at_the_same_holder():
    behind = session(
        "a",
        status={
            "epoch": 4,
            "assignment": assignment("b1"),
            "replication": {"seq": 9, "epoch": 11},
            "conditions": [condition("Reconciling", "True", "EpochBehindStore")],
        },
    )
    (raised,) = decided(behind)
    assert isinstance(raised, Assign)
    assert (raised.epoch, raised.assignment.boot_id) == (12, "b1")
    settled = session("a", status={"epoch": 12, "assignment": assignment("b1"), "replication": {"seq": 1, "epoch": 12}})
    assert decided(settled) == []


def test_of_two_that_run_with_one_device_the_younger_gives_way_when_it_is_replaced():
    elder = session(
        "elder",
        metadata={"creationTimestamp": (START - timedelta(days=1)).isoformat()},
        status={"epoch": 2, "assignment": assignment("b2"), "phase": "Connected", "jid": "1:1@s"},
    )
    found = snapshot(
        sessions=[elder, replaced()],
        pools=[pool()],
        pods=[pod("w1"), pod("w2")],
        leases=[observed("b1"), observed("b2")],
    )
    (refused,) = [item for item in plan(found, RENDERING, moment(0.0)) if item.target.key[1] == "a"]
    assert isinstance(refused, SetStatus)
    assert refused.clear_assignment
    said = {one.type.value: (one.status, one.reason) for one in refused.conditions}
    assert said["Stalled"] == ("True", "DuplicateDevice")


@pytest.mark.parametrize("reason", ["LoggedOut", "LogoutUnconfirmed", "TemporaryBan", "ClientOutdated", "LoginRefused"])
def test_what_the_holder_says_becomes_an_event_with_its_words(reason):
    one = replaced(phase="Error", conditions=[condition("Connected", "False", reason)])
    (told,) = decided(one)
    assert isinstance(told, Tell)
    assert [(story.reason, story.warning) for story in told.stories] == [(reason, True)]
    assert decided(replaced(phase="Error", conditions=[condition("Connected", "False", "Restarting")])) == []
