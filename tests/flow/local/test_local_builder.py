"""Programs in Go are built once, by a Go that is new enough; tried with a Go that only pretends."""

import json
import os
import threading
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from whatsam_local import programs
from whatsam_local.builder import Builder, GoProgram, cache_directory
from whatsam_local.errors import BuildFailedError
from whatsam_local.layout import Layout
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
    folder = tmp_path / "sources"
    (folder / "inner" / "testdata").mkdir(parents=True)
    for name in ("go.mod", "go.sum", "main.go", "main_test.go", "inner/inner.go", "inner/testdata/case.go", "notes.md"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def program(sources: Path) -> GoProgram:
    return GoProgram(name="thing", described="the thing (once; 6-7 minutes)", sources=sources)


def reporter() -> Reporter:
    return Reporter(Console(file=StringIO()))


def test_it_is_built_once_and_found_after_that(fake_go: Path, program: GoProgram, tmp_path: Path):
    builder = Builder(program, tmp_path / "cache")
    binary = builder.ensure(reporter())
    assert binary.read_text() == "binary\n"
    assert builder.ensure(reporter()) == binary
    assert len(fake_go.read_text().splitlines()) == 1


@pytest.mark.parametrize("changed", ["main.go", "inner/inner.go", "go.mod", "go.sum", "new.go"])
def test_other_sources_are_another_binary(
    fake_go: Path, program: GoProgram, sources: Path, tmp_path: Path, changed: str
):
    first = Builder(program, tmp_path / "cache").ensure(reporter())
    (sources / changed).write_text("changed")
    assert Builder(program, tmp_path / "cache").ensure(reporter()) != first


@pytest.mark.parametrize("changed", ["main_test.go", "inner/testdata/case.go", "notes.md"])
def test_what_is_no_part_of_the_program_needs_no_other_binary(program: GoProgram, sources: Path, changed: str):
    first = Builder(program, sources.parent / "cache").binary
    (sources / changed).write_text("changed")
    assert Builder(program, sources.parent / "cache").binary == first


def test_a_renamed_file_is_another_binary(program: GoProgram, sources: Path):
    first = Builder(program, sources.parent / "cache").binary
    (sources / "main.go").rename(sources / "main_windows.go")
    assert Builder(program, sources.parent / "cache").binary != first


def test_added_files_are_compiled_in_and_written_nowhere(
    fake_go: Path, program: GoProgram, sources: Path, tmp_path: Path
):
    added = tmp_path / "elsewhere" / "trust.go"
    added.parent.mkdir()
    added.write_text("package main")
    variant = replace(program, package="./inner", added=(added,))
    builder = Builder(variant, tmp_path / "cache")
    assert builder.binary != Builder(replace(program, package="./inner"), tmp_path / "cache").binary
    binary = builder.ensure(reporter())
    overlay = next(word.removeprefix("-overlay=") for word in fake_go.read_text().split() if "-overlay=" in word)
    assert json.loads(Path(overlay).read_text()) == {"Replace": {str(sources / "inner" / "trust.go"): str(added)}}
    assert not (sources / "inner" / "trust.go").exists()
    added.write_text("package main // changed")
    assert Builder(variant, tmp_path / "cache").binary != binary


def test_replaced_files_are_compiled_in_the_place_of_the_programs_own(
    fake_go: Path, program: GoProgram, sources: Path, tmp_path: Path
):
    other = tmp_path / "elsewhere" / "faulty.go"
    other.parent.mkdir()
    other.write_text("package inner")
    variant = replace(program, replaced=(("inner/inner.go", other),))
    builder = Builder(variant, tmp_path / "cache")
    assert builder.binary != Builder(program, tmp_path / "cache").binary
    first = builder.ensure(reporter())
    overlay = next(word.removeprefix("-overlay=") for word in fake_go.read_text().split() if "-overlay=" in word)
    assert json.loads(Path(overlay).read_text()) == {"Replace": {str(sources / "inner" / "inner.go"): str(other)}}
    other.write_text("package inner // changed")
    assert builder.binary != first


def test_two_builds_at_once_are_one(fake_go: Path, program: GoProgram, tmp_path: Path):
    builder, found = Builder(program, tmp_path / "cache"), list[Path]()
    threads = [threading.Thread(target=lambda: found.append(builder.ensure(reporter()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 3
    assert len(fake_go.read_text().splitlines()) == 1


def test_a_failed_build_leaves_no_binary_and_says_why(
    fake_go: Path, program: GoProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    builder = Builder(program, tmp_path / "cache")
    monkeypatch.setenv("FAKE_GO_FAILS", "1")
    with pytest.raises(BuildFailedError, match="no space left"):
        builder.ensure(reporter())
    assert not builder.binary.exists()
    monkeypatch.delenv("FAKE_GO_FAILS")
    assert builder.ensure(reporter()).exists()


def test_old_builds_go_and_those_in_use_stay(fake_go: Path, program: GoProgram, sources: Path, tmp_path: Path):
    built: list[Path] = []
    for number in range(7):
        (sources / "main.go").write_text(f"version {number}")
        built.append(Builder(program, tmp_path / "cache").ensure(reporter()))
    assert all(binary.exists() for binary in built), "all of them are younger than the limit"
    for days, binary in zip((9, 8, 7, 0, 6, 5, 4), built, strict=True):
        os.utime(binary, (time.time() - days * 86400,) * 2)
    (sources / "main.go").write_text("the last version")
    last = Builder(program, tmp_path / "cache").ensure(reporter())
    assert [binary.exists() for binary in built] == [False, False, False, True, False, True, True]
    assert last.exists()


def test_progress_says_that_it_is_long(fake_go: Path, program: GoProgram, tmp_path: Path):
    said = StringIO()
    with Reporter(Console(file=said, width=200)) as telling:
        Builder(program, tmp_path / "cache").ensure(telling)
    assert "6-7 minutes" in said.getvalue()
    assert "1 of 2 packages" in said.getvalue()


def test_the_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory(None) == tmp_path / ".cache" / "whatsam"
    assert cache_directory(tmp_path / "x") == tmp_path / "x" / "whatsam"


def test_only_the_simulators_variant_holds_what_trusts_the_simulator():
    checkout = Layout.find().checkout
    assert programs.engine(checkout, simulator=False).added == ()
    variant, genuine = programs.engine(checkout, simulator=True), programs.engine(checkout, simulator=False)
    assert variant.name != genuine.name
    assert variant.replaced == genuine.replaced == (), "only tests of losses have another disk"
    assert variant.sources == genuine.sources
