"""The wheel's build hook: when the engine in Go is in the wheel, and what is said when it is not."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from whatsam_local.programs import engine

ROOT = Path(__file__).resolve().parents[3]


class Refused(Exception):
    """In place of the end of the build."""


class App:
    def __init__(self) -> None:
        self.said: list[str] = []

    def display_info(self, text: str) -> None:
        self.said.append(text)

    display_warning = display_info

    def abort(self, text: str) -> None:
        raise Refused(text)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with a stand-in for hatchling, which is there only where wheels are built."""
    interface = SimpleNamespace(BuildHookInterface=object)
    for name in ("hatchling", "hatchling.builders", "hatchling.builders.hooks", "hatchling.builders.hooks.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "hatchling.builders.hooks.plugin.interface", interface)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `go` in PATH that writes what it is asked to build, and its file of notes."""
    notes = tmp_path / "notes"
    script = f"""#!/bin/sh
if [ "$1" = version ]; then echo "go version go1.26.8 linux/amd64"; exit; fi
echo "$PWD $*" >> {notes}
while [ "$1" != -o ]; do shift; done
echo program > "$2"
"""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").write_text(script)
    (tmp_path / "bin" / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return notes


def run(hook: ModuleType, version: str = "standard") -> tuple[Any, dict[str, Any]]:
    made = hook.EngineHook()
    made.app, made.root = App(), str(ROOT)
    data: dict[str, Any] = {"shared_scripts": {}}
    made.initialize(version, data)
    return made, data


def test_with_go_the_wheel_has_the_program_and_belongs_to_a_platform(
    hook: ModuleType, go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(hook.VARIABLE, raising=False)
    made, data = run(hook)
    ((built, name),) = data["shared_scripts"].items()
    assert name == "whatsam-engine"
    assert Path(built).read_text() == "program\n"
    assert data["pure_python"] is False
    assert data["tag"].startswith("py3-none-linux_")
    assert go.read_text().startswith(f"{ROOT / 'engine-go'} build ")
    made.finalize("standard", data, "")
    assert not Path(built).exists()


def test_the_flags_are_those_of_every_other_build(hook: ModuleType) -> None:
    program = engine(ROOT, simulator=False)
    assert program.flags == hook.FLAGS
    assert program.name == hook.PROGRAM
    assert program.package == f"./cmd/{hook.PROGRAM}"


def test_an_editable_install_builds_nothing(hook: ModuleType, go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hook.VARIABLE, "1")
    _, data = run(hook, "editable")
    assert data == {"shared_scripts": {}}
    assert not go.exists()


@pytest.mark.parametrize("wanted", ["0", ""])
def test_a_wheel_without_the_program_says_so(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: str
) -> None:
    monkeypatch.setenv(hook.VARIABLE, wanted)
    monkeypatch.setenv("PATH", str(tmp_path))
    made, data = run(hook)
    assert data == {"shared_scripts": {}}
    assert "the wheel has no whatsam-engine" in made.app.said[-1]


def test_a_wheel_that_must_have_it_is_not_built_without(
    hook: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(hook.VARIABLE, "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match=r"no Go 1\.26"):
        run(hook)


def test_a_build_that_fails_ends_the_build_of_the_wheel(
    hook: ModuleType, go: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(hook.VARIABLE, raising=False)
    program = tmp_path / "bin" / "go"
    program.write_text(program.read_text().replace("echo program", "exit 1; echo program"))
    with pytest.raises(subprocess.CalledProcessError):
        run(hook)


def test_another_value_is_refused(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hook.VARIABLE, "yes")
    with pytest.raises(Refused, match="WHATSAM_BUILD_ENGINE"):
        run(hook)
