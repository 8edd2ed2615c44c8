"""What a boot starts, tells, ends and drops for what the API server says."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.assignments.plan import Drop, Me, Start, Tell, plan
from whatsam_connector.sessions.inputs import StopReason
from whatsam_core.resources.session import WhatsAppSession

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ME = Me("u1", "b1")


def session(uid: str = "s1", *, epoch: int = 1, pod: str = "u1", boot: str = "b1", **more: Any) -> WhatsAppSession:
    assignment = {"worker": "pod-1", "podUID": pod, "bootId": boot, "endpoint": "http://x:1", "since": NOW}
    return WhatsAppSession.model_validate(
        {
            "metadata": {"name": uid, "namespace": "whatsam", "uid": uid, **more.get("metadata", {})},
            "spec": {"tenant": "t-1", **more.get("spec", {})},
            "status": {"epoch": epoch, "assignment": assignment, **more.get("status", {})},
        }
    )


def test_only_what_names_this_very_boot_is_started() -> None:
    objects = [session("s1"), session("s2", boot="b0"), session("s3", pod="u0")]
    assert plan(objects, {}, ME, draining=False) == [Start(objects[0], None)]


def test_a_draining_boot_starts_nothing_and_keeps_what_it_has() -> None:
    objects = [session("s1"), session("s2")]
    assert plan(objects, {"s1": 1}, ME, draining=True) == [Tell(objects[0], None)]


def test_a_newer_epoch_drops_the_old_one_first_and_keeps_its_files() -> None:
    assert plan([session(epoch=2)], {"s1": 1}, ME, draining=False) == [Drop("s1", keep_files=True)]


def test_what_is_elsewhere_or_gone_is_dropped() -> None:
    assert plan([session(boot="b0")], {"s1": 1}, ME, draining=False) == [Drop("s1", keep_files=False)]
    assert plan([], {"s1": 1}, ME, draining=False) == [Drop("s1", keep_files=False)]


def test_an_epoch_that_was_handed_over_never_starts_again() -> None:
    handed_over = session(status={"handover": {"epoch": 1, "seq": 2, "sha256": "ab"}})
    assert plan([handed_over], {}, ME, draining=False) == []
    before = session(epoch=2, status={"handover": {"epoch": 1, "seq": 2, "sha256": "ab"}})
    assert plan([before], {}, ME, draining=False) == [Start(before, None)]


def test_the_spec_says_how_it_ends() -> None:
    stopped = session(spec={"desiredState": "Stopped"})
    retained = session(metadata={"deletionTimestamp": NOW})
    logout = session(metadata={"deletionTimestamp": NOW}, spec={"deletionPolicy": "Logout"})
    for one, why in ((stopped, StopReason.STOPPED), (retained, StopReason.DELETED), (logout, StopReason.LOGOUT)):
        assert plan([one], {"s1": 1}, ME, draining=False) == [Tell(one, why)]
        assert plan([one], {}, ME, draining=False) == [Start(one, why)]


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "d"]), st.tuples(st.integers(1, 3), st.sampled_from(["b0", "b1"])), max_size=4
    ),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 3), max_size=4),
    st.booleans(),
)
def test_one_decision_for_each_session_and_no_second_start(
    assigned: dict[str, tuple[int, str]], running: dict[str, int], draining: bool
) -> None:
    objects = [session(uid, epoch=epoch, boot=boot) for uid, (epoch, boot) in assigned.items()]
    decisions = plan(objects, running, ME, draining=draining)
    uids = [one.uid if isinstance(one, Drop) else one.session.metadata.uid for one in decisions]
    assert len(uids) == len(set(uids))
    for decision in decisions:
        if isinstance(decision, Start):
            assert decision.session.metadata.uid not in running
            assert not draining
    kept = {uid for uid, epoch in running.items() if assigned.get(uid) == (epoch, "b1")}
    dropped = {one.uid for one in decisions if isinstance(one, Drop)}
    assert dropped == set(running) - kept
