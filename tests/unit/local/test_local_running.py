"""Records of processes never lead to a foreign process."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from whatsam_local.running import ProcessRecord, read_record


@pytest.fixture
def child():
    """A process that waits to be ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_record_survives_being_written(tmp_path: Path):
    record = ProcessRecord.of(os.getpid())
    record.write(tmp_path / "record.json")
    assert read_record(tmp_path / "record.json") == record
    assert record.runs()


def test_another_process_under_the_same_number_is_not_the_recorded_one(child: subprocess.Popen[bytes]):
    record = ProcessRecord.of(child.pid)
    older = dataclasses.replace(record, start_ticks=record.start_ticks - 1)
    assert record.runs()
    assert not older.runs()


def test_a_record_from_before_a_reboot_names_nobody(child: subprocess.Popen[bytes]):
    record = dataclasses.replace(ProcessRecord.of(child.pid), boot_id="another boot")
    assert not record.runs()


def test_an_ended_process_does_not_run_even_before_it_is_reaped(child: subprocess.Popen[bytes]):
    record = ProcessRecord.of(child.pid)
    handle = record.open()
    assert handle is not None
    child.kill()
    assert handle.ended(10)
    assert not record.runs()


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"pid": "x", "start_ticks": 1, "boot_id": ""}', "{"])
def test_an_unreadable_record_is_none(tmp_path: Path, text: str):
    file = tmp_path / "record.json"
    file.write_text(text)
    assert read_record(file) is None


def test_a_missing_record_is_none(tmp_path: Path):
    assert read_record(tmp_path / "record.json") is None
