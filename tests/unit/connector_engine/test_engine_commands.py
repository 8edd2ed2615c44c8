"""Commands of one session: one at a time, none before the start, and what has not begun can be taken back."""

import queue
import threading

from whatsam_connector.engine.commands import CommandQueue
from whatsam_connector.engine.protocol import Answer, Done, Refused

LIMIT_SECONDS = 10


def test_nothing_runs_before_every_session_has_started() -> None:
    answers: queue.Queue[Answer] = queue.Queue()
    may_begin = threading.Event()
    commands = CommandQueue("u", answers.put, may_begin)
    ran = threading.Event()

    def work() -> Answer:
        ran.set()
        return Done(1)

    commands.put(1, work)
    assert not ran.is_set()
    may_begin.set()
    assert answers.get(timeout=LIMIT_SECONDS) == Done(1)


def test_a_command_that_waits_can_be_cancelled_and_one_that_runs_cannot() -> None:
    answers: queue.Queue[Answer] = queue.Queue()
    may_begin = threading.Event()
    may_begin.set()
    commands = CommandQueue("u", answers.put, may_begin)
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Answer:
        begun.set()
        assert go_on.wait(LIMIT_SECONDS)
        return Done(1)

    never_ran: list[int] = []

    def never() -> Answer:
        never_ran.append(2)
        return Done(2)

    commands.put(1, slow)
    commands.put(2, never)
    commands.put(3, lambda: Done(3))
    assert begun.wait(LIMIT_SECONDS)
    commands.cancel(1)
    commands.cancel(2)
    commands.cancel(99)
    first = answers.get(timeout=LIMIT_SECONDS)
    assert isinstance(first, Refused)
    assert (first.id, first.code) == (2, "NotStarted")
    go_on.set()
    assert [answers.get(timeout=LIMIT_SECONDS), answers.get(timeout=LIMIT_SECONDS)] == [Done(1), Done(3)]
    assert never_ran == []
