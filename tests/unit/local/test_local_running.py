"""Records of processes never lead to a foreign process."""

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from whatsam_local.layout import Layout
from whatsam_local.running import ProcessRecord, launch_lock, read_record


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


def test_a_launch_waits_for_the_one_before_it_even_if_the_lock_is_removed_meanwhile(tmp_path: Path):
    layout = Layout(tmp_path, tmp_path)
    second_may_go, second_went = threading.Event(), threading.Event()

    def second() -> None:
        second_may_go.set()
        with launch_lock(layout):
            second_went.set()

    waiting = threading.Thread(target=second)
    with launch_lock(layout):
        waiting.start()
        assert second_may_go.wait(10)
        layout.launch_lock.unlink()  # as `down` does
        with launch_lock(layout):  # somebody who came after that
            pass
        assert layout.launch_lock.exists()
    assert second_went.wait(10)
    waiting.join(10)
