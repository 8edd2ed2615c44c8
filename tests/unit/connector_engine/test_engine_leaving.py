"""What a process holds too much of, how a journal is given back, and what an engine does not load."""

import os
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.engine.commands import CommandQueue
from whatsam_connector.engine.committer import Committer
from whatsam_connector.engine.events import JournalAdvanced
from whatsam_connector.engine.protocol import Answer, Done
from whatsam_connector.journal import InboundReceipt, JournalClosed, Reader, ReceiptKind, Writer
from whatsam_connector.supervision.leaks import Leak, Usage, UsageLimits, judge, usage_of
from whatsam_connector.supervision.redaction import redact

LIMITS = UsageLimits()


def receipt(number: int) -> InboundReceipt:
    return InboundReceipt(f"e{number}", (f"3EB0{number}",), "1@lid", None, "1@lid", ReceiptKind.READ, datetime.now(UTC))


# --- leaks ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 64))
def test_what_was_measured_is_no_leak(sessions: int) -> None:
    measured = Usage(10 + 5 * sessions, 12 + 4 * sessions, 75 + 1.5 * sessions)
    assert judge(measured, sessions, LIMITS) is Leak.NONE


@given(st.integers(1, 64), st.sampled_from([Leak.DESCRIPTORS, Leak.THREADS, Leak.MEMORY]))
def test_one_above_the_limit_is_a_leak_of_that_kind(sessions: int, kind: Leak) -> None:
    at_the_limit = {
        Leak.DESCRIPTORS: LIMITS.descriptors + sessions * LIMITS.descriptors_per_session,
        Leak.THREADS: LIMITS.threads + sessions * LIMITS.threads_per_session,
        Leak.MEMORY: LIMITS.memory_mib + sessions * LIMITS.memory_mib_per_session,
    }

    def usage(over: float) -> Usage:
        held = {other: float(limit) + (over if other is kind else 0.0) for other, limit in at_the_limit.items()}
        return Usage(int(held[Leak.DESCRIPTORS]), int(held[Leak.THREADS]), held[Leak.MEMORY])

    assert judge(usage(0), sessions, LIMITS) is Leak.NONE
    assert judge(usage(1), sessions, LIMITS) is kind


def test_usage_is_read_from_the_kernel_and_of_the_dead_there_is_none() -> None:
    usage = usage_of(os.getpid())
    assert usage is not None
    more = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    grown = usage_of(os.getpid())
    for descriptor in more:
        os.close(descriptor)
    assert grown is not None
    assert grown.descriptors == usage.descriptors + 20
    assert grown.threads >= threading.active_count()
    assert grown.memory_mib > 1
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert usage_of(child.pid) is None


# --- the journal of a session that leaves -----------------------------------------------------------------------------


def test_a_closed_journal_takes_nothing_and_another_process_may_write_it(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append(receipt(1))
    writer.close()
    next_writer = Writer(tmp_path)
    with pytest.raises(JournalClosed):
        writer.append(receipt(2))
    assert writer.sync() == writer.position
    writer.close()
    next_writer.append(receipt(3))
    next_writer.close()
    assert [getattr(entry.record, "event_id", None) for entry in Reader(tmp_path)] == ["e1", "e3"]


def test_a_late_event_never_gets_into_the_journal_of_a_neighbour(tmp_path: Path) -> None:
    """The number of a closed descriptor is the first that is given to the next file."""
    gone = Writer(tmp_path / "gone")
    gone.close()
    neighbour = Writer(tmp_path / "neighbour")
    with pytest.raises(JournalClosed):
        gone.append(receipt(1))
    neighbour.append(receipt(2))
    neighbour.close()
    assert [getattr(entry.record, "event_id", None) for entry in Reader(tmp_path / "neighbour")] == ["e2"]
    assert list(Reader(tmp_path / "gone")) == []


def test_appends_and_a_close_from_two_threads_leave_whole_records(tmp_path: Path) -> None:
    writer, appended = Writer(tmp_path), threading.Semaphore(0)
    kept: list[str] = []

    def append() -> None:
        for number in range(10_000):
            try:
                writer.append(receipt(number))
            except JournalClosed:
                return
            kept.append(f"e{number}")
            appended.release()

    thread = threading.Thread(target=append)
    thread.start()
    for _ in range(50):
        appended.acquire()
    writer.close()
    thread.join()
    assert [getattr(entry.record, "event_id", None) for entry in Reader(tmp_path)] == kept


def test_a_session_that_leaves_reports_its_last_records_first(tmp_path: Path) -> None:
    told: list[JournalAdvanced] = []
    committer = Committer(told.append, lambda _uid, _room: None)
    writer = Writer(tmp_path)
    position = writer.append(receipt(1))
    committer.touch("u", writer, is_message=False)
    committer.leave("u", writer)
    assert told[-1].position == position
    Writer(tmp_path).close()


def test_a_lane_tells_when_nothing_runs_in_it_any_more() -> None:
    begun, may_end, answers = threading.Event(), threading.Event(), list[Answer]()
    started = threading.Event()
    started.set()
    lane = CommandQueue("messages", answers.append, started)

    def work() -> Answer:
        begun.set()
        may_end.wait()
        return Done(1)

    assert lane.wait_until_idle(0)
    lane.put(1, work)
    begun.wait()
    assert not lane.wait_until_idle(0)
    may_end.set()
    assert lane.wait_until_idle(30)
    assert answers == [Done(1)]


# --- lean engines -----------------------------------------------------------------------------------------------------


def test_an_engine_loads_neonize_without_what_nobody_uses() -> None:
    script = textwrap.dedent(
        """
        import sys
        from whatsam_connector.engine.neonize_adapter import library
        from whatsam_connector.engine.neonize_adapter.lean import UNUSED
        from whatsam_connector.lean import NotLoadedError
        library.load()
        assert not {name for name in sys.modules if name.partition(".")[0] in UNUSED and "." in name}
        import requests
        try:
            requests.get("https://example.org")
        except NotLoadedError:
            print("as it should be")
        """
    )
    # A process of its own: neonize starts threads, and this one has the real libraries loaded.
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.endswith("as it should be\n"), done.stderr


# --- debug lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "secrets"),
    [
        (
            'whatsmeow.Client.Recv DEBUG <message from="4915112345678@s.whatsapp.net" id="3EB0" notify="Ann B">'
            '<enc type="msg" v="2"><!-- 80 bytes --></enc></message>',
            ["4915112345678", "Ann B"],
        ),
        (
            'whatsmeow.Client.Send DEBUG <iq id="1.2-3" to="s.whatsapp.net" type="set" xmlns="md">'
            "<link_code_companion_reg jid=4915112345678@s.whatsapp.net>",
            ["4915112345678"],
        ),
        ("whatsmeow.Client DEBUG Got message from 123456789012345@lid: secret@lid", ["123456789012345", "secret@lid"]),
        ("whatsmeow.Client.Recv DEBUG <key><!-- 0a1b2c3d4e5f60718293a4b5c6d7e8f9 --></key>", ["0a1b2c3d4e5f6071"]),
    ],
)
def test_stanzas_that_whatsmeow_logs_name_nobody(line: str, secrets: list[str]) -> None:
    shown = redact(line)
    assert not [secret for secret in secrets if secret in shown]
    assert shown.startswith("whatsmeow.Client")
