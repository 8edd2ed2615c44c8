"""The patch that a connector writes into a session's status: what it says, never touches, and when it is written."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.sessions.inputs import StopReason
from whatsam_connector.sessions.report import report
from whatsam_connector.sessions.state import SessionState, ShownCode, Stage, Trouble
from whatsam_connector.sessions.status_patch import REPLICATION_PERIOD, Holder, ReplicationView, status_patch
from whatsam_core.resources.session import Handover, WhatsAppSession

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
JID = "491511000001:1@s.whatsapp.net"
SCHEDULED = {"type": "Scheduled", "status": "True", "reason": "Assigned", "message": "to pod-1"}


def session(**status: Any) -> WhatsAppSession:
    assignment = {"worker": "pod-1", "podUID": "u1", "bootId": "b1", "endpoint": "http://x:1", "since": NOW}
    return WhatsAppSession.model_validate(
        {
            "metadata": {"name": "s1", "namespace": "whatsam", "uid": "uid-1", "resourceVersion": "7", "generation": 2},
            "spec": {"tenant": "t-1"},
            "status": {"epoch": 3, "assignment": assignment, "conditions": [SCHEDULED], **status},
        }
    )


def applied(found: WhatsAppSession, patch: dict[str, Any]) -> WhatsAppSession:
    """The object after the API server has merged the patch."""
    body = found.to_wire()
    _merge(body["status"], patch["status"])
    return WhatsAppSession.from_wire(body)


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def connected() -> SessionState:
    return SessionState(
        epoch=3,
        stage=Stage.CONNECTED,
        jid=JID,
        linked=True,
        secured=True,
        promised=True,
        logged_in=True,
        last_connected_at=NOW,
    )


codes = st.one_of(
    st.none(),
    st.builds(ShownCode, st.just("2@qr"), st.none(), st.just(NOW)),
    st.builds(ShownCode, st.none(), st.just("ABCD-EFGH"), st.just(NOW)),
    st.builds(ShownCode, st.none(), st.none(), st.just(NOW), st.just("{}"), st.sampled_from([None, "EFGH-ABCD"])),
)
states = st.builds(
    SessionState,
    epoch=st.just(3),
    stage=st.sampled_from(Stage),
    jid=st.sampled_from([None, JID]),
    linked=st.booleans(),
    secured=st.booleans(),
    promised=st.booleans(),
    logged_in=st.booleans(),
    code=codes,
    stop=st.sampled_from([None, *StopReason]),
    halt=st.sampled_from([None, Trouble("LoggedOut", "x"), Trouble("StreamReplaced", "y")]),
    trouble=st.sampled_from([None, Trouble("EngineExited", "z")]),
    handover=st.sampled_from([None, Handover(epoch=3, seq=1, sha256="ab")]),
    store_epoch=st.sampled_from([None, 9]),
    last_connected_at=st.sampled_from([None, NOW, NOW + timedelta(milliseconds=300)]),
)
views = st.sampled_from([None, ReplicationView(4, NOW), ReplicationView(5, NOW, "the store does not answer")])


@given(st.lists(st.tuples(states, views), min_size=1, max_size=4))
def test_one_patch_says_it_all_and_never_what_is_the_operators(steps: list[tuple[SessionState, Any]]) -> None:
    found = session()
    for state, view in steps:
        patch = status_patch(found, report(state), view, NOW)
        if patch is not None:
            assert patch["metadata"] == {"resourceVersion": "7", "uid": "uid-1"}
            assert not {"epoch", "assignment", "next", "migrations"} & set(patch["status"])
            found = applied(found, patch)
        assert status_patch(found, report(state), view, NOW) is None, "the second write says nothing new"
        assert found.status.pairing == report(state).pairing
        scheduled = [one for one in found.status.conditions if one.type == "Scheduled"]
        assert [one.message for one in scheduled] == ["to pod-1"]


def test_a_pairing_code_takes_the_place_of_a_qr_code() -> None:
    pairing = SessionState(epoch=3, stage=Stage.PAIRING, code=ShownCode("2@qr", None, NOW))
    patch = status_patch(session(), report(pairing), None, NOW)
    assert patch is not None
    found = applied(session(), patch)
    other = replace(pairing, code=ShownCode(None, "ABCD-EFGH", NOW))
    patch = status_patch(found, report(other), None, NOW)
    assert patch is not None
    shown = applied(found, patch).status.pairing
    assert shown is not None
    assert (shown.code, shown.pairing_code) == (None, "ABCD-EFGH")


def test_what_is_not_known_here_stays() -> None:
    found = session(jid=JID, phoneNumber="491511000001", pushName="Ann", lastConnectedAt=NOW)
    patch = status_patch(found, report(SessionState(epoch=3, stage=Stage.PREPARING)), None, NOW)
    assert patch is not None
    after = applied(found, patch).status
    assert (after.jid, after.phone_number, after.push_name) == (JID, "491511000001", "Ann")


def test_progress_of_the_replication_alone_is_written_now_and_then() -> None:
    first = status_patch(session(), report(connected()), ReplicationView(4, NOW), NOW)
    assert first is not None
    found = applied(session(), first)
    soon = ReplicationView(9, NOW + REPLICATION_PERIOD / 2)
    assert status_patch(found, report(connected()), soon, NOW) is None
    later = ReplicationView(20, NOW + REPLICATION_PERIOD)
    patch = status_patch(found, report(connected()), later, NOW)
    assert patch is not None
    assert patch["status"]["replication"]["seq"] == 20


def test_falling_behind_is_written_at_once() -> None:
    first = status_patch(session(), report(connected()), ReplicationView(4, NOW), NOW)
    assert first is not None
    found = applied(session(), first)
    assert status_patch(found, report(connected()), ReplicationView(4, NOW, "the store is away"), NOW) is not None


def test_a_newer_epoch_in_the_store_reaches_the_operator() -> None:
    behind = SessionState(epoch=3, stage=Stage.HALTED, halt=Trouble("EpochBehindStore", "9"), store_epoch=9)
    patch = status_patch(session(), report(behind), None, NOW)
    assert patch is not None
    assert patch["status"]["replication"]["epoch"] == 9


def test_only_the_boot_and_the_epoch_that_are_named_hold_a_session() -> None:
    mine = Holder("u1", "b1", 3)
    assert mine.holds(session())
    assert not mine.holds(session(epoch=4))
    assert not Holder("u1", "b2", 3).holds(session())
    assert not Holder("u2", "b1", 3).holds(session())
    assert not mine.holds(session(assignment=None))
