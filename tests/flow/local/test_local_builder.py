"""The control plane is built once, by a Go that is new enough; tried with a Go that only pretends."""

import os
import threading
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from whatsam_local.builder import Builder, cache_directory
from whatsam_local.errors import BuildFailedError
from whatsam_local.progress import Reporter

GO = """#!/bin/sh
case "$1" in
version) echo "go version go1.26.8 linux/amd64";;
list) echo "go: downloading example.invalid/one v1" >&2; echo one; echo two;;
build)
    echo "$@" >> "$FAKE_GO_LOG"
    [ -z "$FAKE_GO_FAILS" ] || { echo "no space left" >&2; exit 1; }
    while [ "$1" != -o ]; do shift; done
    echo one; echo binary > "$2";;
esac
"""


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `go` in PATH that writes down what it builds; the file it writes to."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "go").write_text(GO)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_GO_LOG", str(tmp_path / "built"))
    monkeypatch.delenv("FAKE_GO_FAILS", raising=False)
    return tmp_path / "built"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "controlplane"
    folder.mkdir()
    for name in ("go.mod", "go.sum", "main.go"):
        (folder / name).write_text(name)
    return folder


def reporter() -> Reporter:
    return Reporter(Console(file=StringIO()))


def test_it_is_built_once_and_found_after_that(fake_go: Path, sources: Path, tmp_path: Path):
    builder = Builder(sources, tmp_path / "cache")
    binary = builder.ensure(reporter())
    assert binary.read_text() == "binary\n"
    assert builder.ensure(reporter()) == binary
    assert len(fake_go.read_text().splitlines()) == 1


def test_other_sources_are_another_binary(fake_go: Path, sources: Path, tmp_path: Path):
    first = Builder(sources, tmp_path / "cache").ensure(reporter())
    (sources / "main.go").write_text("changed")
    assert Builder(sources, tmp_path / "cache").ensure(reporter()) != first


def test_two_builds_at_once_are_one(fake_go: Path, sources: Path, tmp_path: Path):
    builder, found = Builder(sources, tmp_path / "cache"), list[Path]()
    threads = [threading.Thread(target=lambda: found.append(builder.ensure(reporter()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 3
    assert len(fake_go.read_text().splitlines()) == 1


def test_a_failed_build_leaves_no_binary_and_says_why(
    fake_go: Path, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    builder = Builder(sources, tmp_path / "cache")
    monkeypatch.setenv("FAKE_GO_FAILS", "1")
    with pytest.raises(BuildFailedError, match="no space left"):
        builder.ensure(reporter())
    assert not builder.binary.exists()
    monkeypatch.delenv("FAKE_GO_FAILS")
    assert builder.ensure(reporter()).exists()


def test_progress_says_that_it_is_long(fake_go: Path, sources: Path, tmp_path: Path):
    said = StringIO()
    with Reporter(Console(file=said, width=200)) as telling:
        Builder(sources, tmp_path / "cache").ensure(telling)
    assert "6-7 minutes" in said.getvalue()
    assert "1 of 2 packages" in said.getvalue()


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory(None) == tmp_path / ".cache" / "whatsam"
    assert cache_directory(tmp_path / "x") == tmp_path / "x" / "whatsam"
