"""The journal's ordinary life: records, acknowledgement, space, the one writer."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from whatsam_connector.journal import (
    BEGINNING,
    InboundMessage,
    InboundReceipt,
    InboundUndecryptable,
    JournalBusy,
    JournalError,
    JournalWriteError,
    Position,
    Reader,
    ReceiptKind,
    UnknownRecord,
    Writer,
)
from whatsam_connector.journal.layout import pack, segment_path, segments

INSTANT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
MESSAGE = InboundMessage(
    event_id="e1",
    wa_id="3EB0",
    chat="1@lid",
    chat_phone="491510000",
    sender="1@lid",
    sender_phone=None,
    from_me=False,
    text="Grüße 👋 \ud83d",
    type="text",
    timestamp=INSTANT,
    push_name="",
    group=False,
    raw=bytes(range(256)),
)
RECEIPT = InboundReceipt("e2", ("a", "b"), "1@lid", None, "1@lid", ReceiptKind.PLAYED, INSTANT)
UNDECRYPTABLE = InboundUndecryptable("e3", "3EB1", "g@g.us", None, "1@lid", "491510000", False, INSTANT, True, False)


def test_every_kind_of_record_comes_back_as_it_was(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "j")
    positions = [writer.append(record) for record in (MESSAGE, RECEIPT, UNDECRYPTABLE)]
    entries = list(Reader(tmp_path / "j"))
    assert [entry.record for entry in entries] == [MESSAGE, RECEIPT, UNDECRYPTABLE]
    assert [entry.position for entry in entries] == positions == sorted(positions)


def test_a_journal_that_was_never_written_is_empty(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "none")
    assert list(reader) == []
    assert reader.acknowledged == BEGINNING


def test_the_reader_follows_a_living_writer(tmp_path: Path) -> None:
    writer, reader = Writer(tmp_path), Reader(tmp_path)
    assert list(reader) == []
    writer.append(MESSAGE)
    assert [entry.record for entry in reader] == [MESSAGE]
    assert list(reader) == []
    writer.append(RECEIPT)
    assert [entry.record for entry in reader] == [RECEIPT]


def test_acknowledged_records_do_not_come_again_and_their_segments_go(tmp_path: Path) -> None:
    writer = Writer(tmp_path, segment_bytes=100)
    for _ in range(4):
        writer.append(RECEIPT)
    reader = Reader(tmp_path)
    entries = list(reader)
    reader.acknowledge(entries[2].position)
    assert [entry.position for entry in Reader(tmp_path)] == [entries[3].position]
    assert min(segments(tmp_path)) == entries[2].position.segment


def test_numbers_grow_also_when_all_segments_are_gone(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append(RECEIPT)
    writer.close()
    reader = Reader(tmp_path)
    (entry,) = reader
    reader.acknowledge(entry.position)
    segment_path(tmp_path, 1).unlink()
    following = Writer(tmp_path)
    assert following.append(MESSAGE) > entry.position
    assert [entry.record for entry in Reader(tmp_path)] == [MESSAGE]


def test_rewind_hands_out_again_what_was_not_acknowledged(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append(MESSAGE)
    writer.append(RECEIPT)
    reader = Reader(tmp_path)
    first, _second = reader
    reader.acknowledge(first.position)
    reader.rewind()
    assert [entry.record for entry in reader] == [RECEIPT]


def test_what_was_not_read_cannot_be_acknowledged(tmp_path: Path) -> None:
    Writer(tmp_path).append(MESSAGE)
    with pytest.raises(JournalError):
        Reader(tmp_path).acknowledge(Position(1, 50))


def test_acknowledging_backwards_changes_nothing(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    first, second = writer.append(MESSAGE), writer.append(RECEIPT)
    reader = Reader(tmp_path)
    list(reader)
    reader.acknowledge(second)
    reader.acknowledge(first)
    assert Reader(tmp_path).acknowledged == second


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = Writer(tmp_path)
    with pytest.raises(JournalBusy):
        Writer(tmp_path)
    first.close()
    Writer(tmp_path).close()


def test_a_writer_whose_disk_has_refused_stays_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a record may be in the file: anything appended behind it would never be read."""
    writer = Writer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(JournalWriteError):
            writer.append(MESSAGE)
    with pytest.raises(JournalWriteError):
        writer.append(MESSAGE)


def test_a_record_of_a_newer_engine_does_not_stop_the_reader(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    payload = json.dumps({"is": "InboundTelepathy", "event_id": "x"}).encode()
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(pack(payload))
    writer.append(MESSAGE)
    assert [entry.record for entry in Reader(tmp_path)] == [UnknownRecord(payload), MESSAGE]


def test_a_segment_of_another_format_is_reported(tmp_path: Path) -> None:
    segment_path(tmp_path, 1).write_bytes(b"WSJRNL\x00\x03rest")
    with pytest.raises(JournalError):
        list(Reader(tmp_path))


def test_a_damaged_acknowledgement_is_reported_rather_than_guessed(tmp_path: Path) -> None:
    (tmp_path / "acknowledged").write_bytes(b"{}")
    with pytest.raises(JournalError):
        Reader(tmp_path)
    with pytest.raises(JournalError):
        Writer(tmp_path)


def test_torn_bytes_are_counted_once_their_writer_is_gone(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.append(MESSAGE)
    writer.close()
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(b"\x00\x00\x00")
    reader = Reader(tmp_path)
    list(reader)
    assert reader.torn_bytes == 0
    Writer(tmp_path).append(RECEIPT)
    assert [entry.record for entry in reader] == [RECEIPT]
    assert reader.torn_bytes == 3
