"""A journal that nobody works off stops its session in time, and lets it come back when it is smaller."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.journal import InboundUnreadable, Limits, Reader, Room, Writer, room_to_start
from whatsam_connector.journal.layout import segments
from whatsam_connector.journal.room import room, unacknowledged_bytes

LIMITS = Limits(most_bytes=10_000, least_free_bytes=0)
INSTANT = datetime(2026, 1, 2, tzinfo=UTC)


def record(size: int = 1000) -> InboundUnreadable:
    return InboundUnreadable("e", "x", "y", bytes(size))


def fill(writer: Writer) -> int:
    count = 0
    while writer.room() is Room.TAKE:
        writer.append(record())
        count += 1
    return count


def test_a_journal_is_full_at_its_limit_and_what_was_acknowledged_is_still_taken(tmp_path: Path) -> None:
    writer = Writer(tmp_path, limits=LIMITS)
    count = fill(writer)
    assert 8 <= count <= 10
    writer.append(record())
    assert len(list(Reader(tmp_path))) == count + 1


def test_there_is_room_again_when_the_reader_has_worked(tmp_path: Path) -> None:
    writer = Writer(tmp_path, limits=LIMITS)
    fill(writer)
    assert room_to_start(tmp_path, LIMITS) is Room.JOURNAL_FULL
    reader = Reader(tmp_path)
    entries = list(reader)
    reader.acknowledge(entries[1].position)
    assert writer.room() is Room.TAKE
    assert room_to_start(tmp_path, LIMITS) is Room.JOURNAL_FULL  # half of it has to be done before a start
    reader.acknowledge(entries[-3].position)
    assert room_to_start(tmp_path, LIMITS) is Room.TAKE


def test_a_journal_that_is_worked_off_never_looks_full(tmp_path: Path) -> None:
    writer, reader = Writer(tmp_path, limits=LIMITS), Reader(tmp_path)
    for _ in range(50):
        writer.append(record())
        assert writer.room() is Room.TAKE
        for entry in reader:
            reader.acknowledge(entry.position)
    assert len(segments(tmp_path)) <= 2
    assert unacknowledged_bytes(tmp_path) == 0


def test_what_an_earlier_engine_left_counts(tmp_path: Path) -> None:
    first = Writer(tmp_path, limits=LIMITS)
    fill(first)
    first.close()
    assert Writer(tmp_path, limits=LIMITS).room() is Room.JOURNAL_FULL


def test_a_disk_without_space_stops_the_session(tmp_path: Path) -> None:
    greedy = Limits(most_bytes=10_000, least_free_bytes=2**62)
    assert Writer(tmp_path, limits=greedy).room() is Room.DISK_FULL
    assert room_to_start(tmp_path, greedy) is Room.DISK_FULL


def test_a_journal_that_does_not_exist_has_room(tmp_path: Path) -> None:
    assert room_to_start(tmp_path / "journal", LIMITS) is Room.TAKE


def test_a_disk_that_does_not_answer_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path, limits=LIMITS)
    monkeypatch.setattr(os, "statvfs", lambda _path: (_ for _ in ()).throw(OSError(5, "I/O error")))  # type: ignore[reportUnknownLambdaType]
    assert writer.room() is Room.TAKE


@given(
    waiting=st.integers(0, 10**7), free=st.integers(0, 10**7), most=st.integers(1, 10**6), least=st.integers(0, 10**6)
)
def test_who_may_start_may_go_on(waiting: int, free: int, most: int, least: int) -> None:
    limits = Limits(most, least)
    if room(waiting, free, limits, starting=True) is Room.TAKE:
        assert room(waiting, free, limits, starting=False) is Room.TAKE
        assert waiting <= most // 2
        assert free >= least
