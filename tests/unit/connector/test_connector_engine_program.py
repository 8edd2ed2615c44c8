"""The engine's program is found and asked at the connector's start; one that cannot be used is refused by name."""

from pathlib import Path

import pytest

from whatsam_connector.supervision.program import EngineProgramUnusable, engine_program
from whatsam_core.resources import Engine


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_neonize_needs_no_program() -> None:
    found = engine_program(Engine.NEONIZE, "/nowhere", "always")
    assert found.version.startswith("neonize-")
    assert found.command[1:] == ("-m", "whatsam_connector.engine")


def test_a_name_is_found_in_path_and_asked_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "whatsam-engine", '[ "$1" = --version ] && echo 1.2.3+35ae40906e74')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = engine_program(Engine.WHATSMEOW, "whatsam-engine", "os")
    assert found.version == "whatsmeow-1.2.3+35ae40906e74"
    assert found.command == (str(path), "--journal-sync", "os")
    assert engine_program(Engine.WHATSMEOW, str(path), "os") == found


def test_the_program_sees_none_of_the_connectors_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAM_KEYRING", "hush")
    path = program(tmp_path / "whatsam-engine", 'echo "1.0${WHATSAM_KEYRING:+-seen}"')
    assert engine_program(Engine.WHATSMEOW, str(path), "always").version == "whatsmeow-1.0"


@pytest.mark.parametrize(
    "script", ["exit 3", "kill -9 $$", "true", "echo two words", "echo 1.0; echo 2.0", "head -c 100000 /dev/zero"]
)
def test_what_is_no_engine_is_refused_by_the_settings_name(tmp_path: Path, script: str) -> None:
    path = program(tmp_path / "other", script)
    with pytest.raises(EngineProgramUnusable, match="WHATSAM_ENGINE_PROGRAM"):
        engine_program(Engine.WHATSMEOW, str(path), "always")


def test_what_is_not_there_or_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("1.0")
    broken = tmp_path / "broken"
    broken.write_text("no program of any kind\n")
    broken.chmod(0o755)
    for path in (tmp_path / "missing", tmp_path / "text", tmp_path, broken):
        with pytest.raises(EngineProgramUnusable, match="WHATSAM_ENGINE_PROGRAM"):
            engine_program(Engine.WHATSMEOW, str(path), "always")
