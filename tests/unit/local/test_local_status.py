"""What `status` says, and what `down` leaves."""

from typing import Any

import pytest

from whatsam_local.down import survives
from whatsam_local.install import hopeless
from whatsam_local.status import Health, duration, judge


def part(name: str = "etcd", state: str = "ready", **more: Any) -> dict[str, Any]:
    known = {"name": name, "state": state, "frozen": False, "ended_by": "", "waits_for": [], "log": f"/l/{name}.log"}
    return known | more


def test_all_parts_run():
    assert judge([part(), part("node")], completed=True).health is Health.ALL_RUN


def test_a_dead_part_is_named_with_its_end_its_log_and_what_to_do():
    verdict = judge([part(), part("apiserver", "ended", ended_by="signal 9 (SIGKILL)")], completed=True)
    assert verdict.health is Health.SOME_DEAD
    for expected in ("apiserver", "SIGKILL", "/l/apiserver.log", "part start apiserver"):
        assert expected in verdict.text
    assert "etcd" not in verdict.text


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (part("node", "stopped"), "node was stopped"),
        (part("node", frozen=True), "part thaw node"),
        (part("node", "waiting", waits_for=["apiserver"]), "waiting for apiserver"),
        (part("node", "not ready"), "does not answer"),
    ],
)
def test_everything_but_ready_is_told(other: dict[str, Any], expected: str):
    verdict = judge([part(), other], completed=True)
    assert verdict.health is Health.SOME_DEAD
    assert expected in verdict.text


def test_an_installation_that_was_cut_off_is_told():
    verdict = judge([part()], completed=False)
    assert verdict.health is Health.SOME_DEAD
    assert "make up" in verdict.text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0s"), (59.9, "59s"), (60, "1m00s"), (3599, "59m59s"), (7260, "2h01m")]
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("name", "kept", "always"),
    [
        ("logs", True, True),
        ("logs.2", True, True),
        ("doors.json", True, True),
        ("state", True, False),
        ("run", False, False),
        ("env", False, False),
        ("kubeconfig", False, False),
    ],
)
def test_down_leaves_logs_and_ports_and_on_request_the_data(name: str, kept: bool, always: bool):
    assert survives(name, keep=True) is kept
    assert survives(name, keep=False) is always


def pod(restarts: int, state: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": [{"restartCount": restarts, "state": state}]}}


def test_up_gives_up_on_programs_that_keep_crashing_only():
    crashing = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert hopeless([pod(4, crashing)]) == ["p has ended 4 times"]
    assert hopeless([pod(1, crashing), pod(4, {"running": {}}), {"metadata": {"name": "new"}, "status": {}}]) == []
