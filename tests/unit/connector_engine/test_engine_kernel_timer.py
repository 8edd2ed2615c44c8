"""The kernel kills at the deadline, also a process that is stopped. Each test fences a child of its own."""

import os
import select
import signal
import subprocess
import sys

import pytest

from whatsam_connector.fence import FenceError, KernelTimer, boottime

LIMIT_SECONDS = 20


def fenced(script: str) -> "subprocess.Popen[str]":
    """A child that runs `script` with a timer; it prints a line when it is ready and then waits for ever."""
    program = (
        "import sys, threading\n"
        "from whatsam_connector.fence import KernelTimer, boottime\n"
        f"timer = KernelTimer()\n{script}\nprint('ready', flush=True)\nthreading.Event().wait()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    if script.find("now") < 0:
        assert child.stdout.readline() == "ready\n"
    return child


def end_of(child: "subprocess.Popen[str]") -> int:
    try:
        return child.wait(LIMIT_SECONDS)
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_it_kills_at_the_deadline() -> None:
    assert end_of(fenced("timer.arm(boottime() + 0.3)")) == -signal.SIGKILL


def test_it_kills_a_stopped_process() -> None:
    child = fenced("timer.arm(boottime() + 0.5)")
    os.kill(child.pid, signal.SIGSTOP)
    assert end_of(child) == -signal.SIGKILL


def test_a_deadline_in_the_past_kills_at_once() -> None:
    assert end_of(fenced("timer.arm(-5.0)  # now")) == -signal.SIGKILL


def test_arming_again_replaces_the_deadline() -> None:
    assert end_of(fenced("timer.arm(boottime() + 600)\ntimer.arm(boottime() + 0.3)")) == -signal.SIGKILL


def test_a_later_deadline_saves_the_process() -> None:
    child = fenced("timer.arm(boottime() + 3600)\ntimer.arm(boottime() + 0.5)\ntimer.arm(boottime() + 3600)")
    descriptor = os.pidfd_open(child.pid)
    try:
        ended, _, _ = select.select([descriptor], [], [], 1.0)
        assert not ended
    finally:
        os.close(descriptor)
        child.kill()
        end_of(child)


def test_it_tells_the_time_left_and_can_be_disarmed() -> None:
    timer = KernelTimer()
    assert timer.remaining() is None
    timer.arm(boottime() + 1000)
    left = timer.remaining()
    assert left is not None
    assert 900 < left <= 1000
    timer.disarm()
    assert timer.remaining() is None
    timer.close()


def test_a_closed_timer_says_so() -> None:
    timer = KernelTimer()
    timer.close()
    timer.close()
    with pytest.raises(FenceError):
        timer.arm(boottime() + 1000)
