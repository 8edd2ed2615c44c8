"""The journal's promise: whoever is killed at whichever byte, the records before the cut are read once and in order."""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from whatsam_connector.journal import (
    InboundHistory,
    InboundReceipt,
    InboundUnreadable,
    JournalError,
    JournalRecord,
    Reader,
    ReceiptKind,
    UnknownRecord,
    Writer,
)
from whatsam_connector.journal.layout import segment_path, segments, unpack

INSTANT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def record(number: int, padding: int = 0) -> JournalRecord:
    """One kind after the other: all text, text and bytes, one that holds nothing but bytes."""
    filling = "x" * padding
    match number % 3:
        case 0:
            return InboundReceipt(str(number), (filling,), "c@lid", None, "c@lid", ReceiptKind.READ, INSTANT)
        case 1:
            return InboundUnreadable(str(number), filling, "", bytes(padding))
        case _:
            return InboundHistory(str(number), 1, 1, b"\x00\xff{" * padding)


def numbers(reader: Reader) -> list[int]:
    return [int(entry.record.event_id) for entry in reader if not isinstance(entry.record, UnknownRecord)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path) / "journal"


@given(
    paddings=st.lists(st.integers(0, 60), min_size=1, max_size=8),
    cut=st.integers(0, 3000),
    segment_bytes=st.integers(60, 600),
)
@settings(max_examples=150, deadline=None)
def test_a_cut_at_any_byte_keeps_what_was_whole_and_the_next_writer_goes_on(
    paddings: list[int], cut: int, segment_bytes: int
) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path) / "journal"
        writer = Writer(folder, segment_bytes=segment_bytes)
        ends = [writer.append(record(number, padding)) for number, padding in enumerate(paddings)]
        writer.close()

        # The machine died: the newest segment ends at some byte.
        newest = segments(folder)[-1]
        file = segment_path(folder, newest)
        size = min(cut, file.stat().st_size)
        with file.open("r+b") as handle:
            handle.truncate(size)
        whole = [number for number, end in enumerate(ends) if end.segment < newest or end.offset <= size]

        assert numbers(Reader(folder)) == whole
        following = Writer(folder, segment_bytes=segment_bytes)
        following.append(record(100))
        following.close()
        assert numbers(Reader(folder)) == [*whole, 100]


@given(position=st.integers(0, 2000), value=st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_a_damaged_byte_never_brings_a_wrong_record(position: int, value: int) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path) / "journal"
        writer = Writer(folder)
        for number in range(5):
            writer.append(record(number))
        writer.close()
        file = segment_path(folder, 1)
        data = bytearray(file.read_bytes())
        data[position % len(data)] = value
        file.write_bytes(bytes(data))
        try:
            read = numbers(Reader(folder))
        except JournalError:
            assert position % len(data) < 8  # the header
            return
        assert read == list(range(len(read)))


def test_zeros_behind_the_last_record_are_no_record() -> None:
    """File systems leave zeros where data had not reached the disk."""
    assert unpack(bytes(64), 0) is None


class JournalMachine(RuleBasedStateMachine):
    """Writer and reader live and die in any order; a model says what must be read."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "journal"
        self.written: list[int] = []
        self.done = 0
        self.count = 0

    @initialize(segment_bytes=st.integers(60, 500))
    def begin(self, segment_bytes: int) -> None:
        self.segment_bytes = segment_bytes
        self.writer = Writer(self.folder, segment_bytes=segment_bytes)
        self.reader = Reader(self.folder)

    @rule(amount=st.integers(1, 4), padding=st.integers(0, 50))
    def append(self, amount: int, padding: int) -> None:
        for _ in range(amount):
            self.writer.append(record(self.count, padding))
            self.written.append(self.count)
            self.count += 1

    @rule(torn=st.binary(max_size=30))
    def writer_is_killed_inside_an_append(self, torn: bytes) -> None:
        position = self.writer.position
        self.writer.close()
        with segment_path(self.folder, position.segment).open("ab") as file:
            file.write(b"\x00\x00\x01\x00" + torn)  # says 256 bytes, has fewer
        self.writer = Writer(self.folder, segment_bytes=self.segment_bytes)

    @rule(amount=st.integers(0, 6))
    def read_and_acknowledge_some(self, amount: int) -> None:
        self.reader.rewind()
        for entry, _ in zip(self.reader.entries(), range(amount), strict=False):
            assert not isinstance(entry.record, UnknownRecord)
            assert int(entry.record.event_id) == self.written[self.done]
            self.done += 1
            self.reader.acknowledge(entry.position)

    @rule()
    def reader_is_killed(self) -> None:
        (self.folder / "acknowledged.new").write_bytes(b'{"segm')  # what a crash inside the replacement leaves
        self.reader = Reader(self.folder)

    @invariant()
    def what_is_not_acknowledged_is_read_in_order(self) -> None:
        if hasattr(self, "writer"):
            assert numbers(Reader(self.folder)) == self.written[self.done :]

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
        shutil.rmtree(self.root)


JournalMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestJournalMachine = JournalMachine.TestCase
