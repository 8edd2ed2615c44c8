"""Who prepares itself for what, and when a session of a worker that ends lets go anyway."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.assignments.leaving import Leave, Patience, leave
from whatsam_connector.assignments.plan import Me
from whatsam_connector.assignments.succession import (
    ARRIVAL,
    UNSEEN,
    Arrival,
    Declared,
    arrival,
    is_wanted,
    next_round,
    superfluous,
)
from whatsam_connector.sessions.state import SessionState, Stage
from whatsam_core.resources.session import WhatsAppSession

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ME = Me("pod2", "boot2")
HERE = {"worker": "w2", "podUID": "pod2", "bootId": "boot2"}
THERE = {"worker": "w1", "podUID": "pod1", "bootId": "boot1"}
PATIENCE = Patience(last_call=40.0)


def session(
    name: str = "s1", *, held: Any = THERE, named: Any = HERE, after: float = 0.0, **more: Any
) -> WhatsAppSession:
    since = (NOW + timedelta(seconds=after)).isoformat()
    status: dict[str, Any] = {"epoch": 3}
    if held is not None:
        status["assignment"] = {**held, "endpoint": "http://10.0.0.1:8080", "since": since}
    if named is not None:
        status["next"] = {**named, "reason": "Drain", "since": since, **more.get("next", {})}
    return WhatsAppSession.from_wire(
        {
            "metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}", **more.get("metadata", {})},
            "spec": {"tenant": "acme", **more.get("spec", {})},
            "status": status,
        }
    )


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        (session(), True),
        (session(named=None), False),
        (session(named={**HERE, "bootId": "boot1x"}), False),
        (session(named={**HERE, "podUID": "pod3"}), False),
        (session(held=HERE), False),
        (session(spec={"desiredState": "Stopped"}), False),
        (session(metadata={"deletionTimestamp": NOW.isoformat()}), False),
    ],
    ids=["named", "nobody", "another boot", "another pod", "it is here already", "stopped", "deleted"],
)
def test_only_what_names_this_very_boot_is_prepared(one: WhatsAppSession, wanted: bool) -> None:
    assert is_wanted(one, ME) is wanted


def test_the_longest_named_come_first_and_a_round_has_its_size() -> None:
    named = [session(f"s{number}", after=-number) for number in range(5)]
    assert next_round(named, {}, 10.0, 3) == ["uid-s4", "uid-s3", "uid-s2"]


def test_who_is_ready_or_failed_lately_is_passed_over() -> None:
    ready = session("ready", next={"preparedAt": NOW.isoformat()})
    assert next_round([ready, session("failed"), session("new")], {"uid-failed": 12.0}, 10.0, 8) == ["uid-new"]
    assert next_round([session("failed")], {"uid-failed": 12.0}, 12.0, 8) == ["uid-failed"]


@pytest.mark.parametrize(
    ("stage", "unnamed", "now", "expected"),
    [
        (None, None, 1.0, Arrival.EXPECTED),
        (Stage.STARTING, 0.5, 1.0, Arrival.EXPECTED),
        (Stage.CONNECTED, 0.5, 1.0, Arrival.ARRIVED),
        (Stage.HALTED, 0.5, 1.0, Arrival.ARRIVED),
        (None, 0.5, 0.5 + UNSEEN / 2, Arrival.EXPECTED),
        (None, 0.5, 0.5 + UNSEEN, Arrival.NOT_COMING),
        (None, None, ARRIVAL, Arrival.NOT_COMING),
        (Stage.STARTING, 0.5, ARRIVAL, Arrival.NOT_COMING),
    ],
)
def test_a_round_ends_when_all_are_here_or_do_not_come(
    stage: Stage | None, unnamed: float | None, now: float, expected: Arrival
) -> None:
    assert arrival(Declared("uid-s1", 0.0, unnamed), stage, now) is expected


@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")))
def test_nothing_that_is_wanted_or_runs_is_thrown_away(prepared: set[str], wanted: set[str], running: set[str]) -> None:
    gone = superfluous(prepared, wanted, running)
    assert gone <= prepared
    assert not gone & (wanted | running)
    assert prepared - gone <= wanted | running


def working(stage: Stage = Stage.CONNECTED, **more: Any) -> SessionState:
    return SessionState(epoch=3, stage=stage, **{"linked": True, "secured": True, **more})


@pytest.mark.parametrize(
    ("state", "successor", "waited", "expected"),
    [
        (working(), False, 0.0, Leave.STAY),
        (working(), False, 14.9, Leave.STAY),
        (working(), False, 15.0, Leave.GO),
        (working(), True, 15.0, Leave.STAY),
        (working(), True, 40.0, Leave.GO),
        (working(Stage.PAIRING, linked=False), False, 0.0, Leave.GO),
        (working(Stage.SECURING, secured=False), True, 0.0, Leave.GO),
        (working(Stage.HALTED), True, 0.0, Leave.GO),
        (working(Stage.CONNECTING), True, 1.0, Leave.STAY),
    ],
)
def test_a_worker_that_ends_keeps_a_session_while_somebody_may_take_it(
    state: SessionState, successor: bool, waited: float, expected: Leave
) -> None:
    assert leave(state, successor=successor, waited=waited, patience=PATIENCE) is expected


@given(st.booleans(), st.floats(0, 100), st.floats(0, 100))
def test_who_may_go_may_go_later_too(successor: bool, one: float, other: float) -> None:
    early, late = sorted((one, other))
    if leave(working(), successor=successor, waited=early, patience=PATIENCE) is Leave.GO:
        assert leave(working(), successor=successor, waited=late, patience=PATIENCE) is Leave.GO
