"""What the end of an engine means."""

import signal

import pytest

from whatsam_connector.engine.protocol import ExitCode
from whatsam_connector.supervision import ExitReason
from whatsam_connector.supervision.exits import KillCause, classify


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, ExitReason.CLEAN),
        (-signal.SIGABRT, ExitReason.PANIC),
        (2, ExitReason.PANIC),
        (-signal.SIGSEGV, ExitReason.CRASHED),
        (-signal.SIGTERM, ExitReason.KILLED),
        (1, ExitReason.ENGINE_FAILED),
        (137, ExitReason.ENGINE_FAILED),
        (ExitCode.PAIRING_TIMEOUT, ExitReason.PAIRING_TIMEOUT),
        (ExitCode.PAIRING_FAILED, ExitReason.PAIRING_FAILED),
        (ExitCode.CONNECT_FAILED, ExitReason.CONNECT_FAILED),
        (ExitCode.PARENT_GONE, ExitReason.PARENT_GONE),
        (ExitCode.JOURNAL_FAILED, ExitReason.JOURNAL_FAILED),
    ],
)
def test_exit_codes(code: int, reason: ExitReason) -> None:
    assert classify(code, killed=None, deadline=100.0, now=50.0) is reason


def test_every_exit_code_has_a_reason_of_its_own_kind() -> None:
    reasons = {code: classify(code, killed=None, deadline=1.0, now=0.0) for code in ExitCode}
    assert [code for code, reason in reasons.items() if reason is ExitReason.CLEAN] == [ExitCode.CLEAN]


@pytest.mark.parametrize(
    ("killed", "now", "reason"),
    [
        (None, 99.9, ExitReason.KILLED),
        (None, 100.0, ExitReason.FENCED),
        (None, 500.0, ExitReason.FENCED),
        (KillCause.HUNG, 99.0, ExitReason.HUNG),
        (KillCause.REQUESTED, 500.0, ExitReason.KILLED),
        (KillCause.BROKEN_PROTOCOL, 1.0, ExitReason.PROTOCOL_ERROR),
    ],
)
def test_a_sigkill_is_told_apart_by_who_could_have_sent_it(
    killed: KillCause | None, now: float, reason: ExitReason
) -> None:
    assert classify(-signal.SIGKILL, killed=killed, deadline=100.0, now=now) is reason


def test_an_engine_that_ended_by_itself_was_not_killed() -> None:
    """The kill may come a moment too late; the exit code says what really happened."""
    assert classify(0, killed=KillCause.HUNG, deadline=100.0, now=1.0) is ExitReason.CLEAN
