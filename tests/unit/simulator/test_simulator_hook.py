"""The hook for engines: costs nothing without its variable, chains, and acts right after the import of neonize."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from whatsam_simulator import hook_environment
from whatsam_simulator.environment import address_of, hook_directory

READ_KEY = """
import sys
assert 'neonize' not in sys.modules and 'ctypes' not in sys.modules
import neonize
import ctypes, sitecustomize
path, base = sitecustomize._loaded_library()
image = open(path, 'rb').read()
address = base + sitecustomize._virtual_address(image, image.index(sitecustomize.PINNED_ROOT))
print(ctypes.string_at(address, 32).hex())
"""


def python(code: str, *paths: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": ":".join(map(str, paths)), **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def test_the_root_key_is_replaced_after_the_import() -> None:
    root = "ab" * 32
    done = python(READ_KEY, hook_directory(), WHATSAM_SIMULATOR_ROOT=root)
    assert done.stdout.split()[-1] == root, done.stderr


def test_without_the_variable_nothing_happens() -> None:
    done = python("import sys; print(len(sys.meta_path))", hook_directory())
    assert done.stdout == python("import sys; print(len(sys.meta_path))").stdout
    assert done.stderr == ""


def test_a_bad_key_stops_the_import_and_names_the_variable() -> None:
    done = python("import neonize", hook_directory(), WHATSAM_SIMULATOR_ROOT="12ab")
    assert done.returncode != 0
    assert "WHATSAM_SIMULATOR_ROOT must be 64 hex digits" in done.stderr


def test_looking_for_neonize_does_not_use_the_hook_up() -> None:
    look = "import importlib.util; assert importlib.util.find_spec('neonize')\n"
    root = "cd" * 32
    done = python(look + READ_KEY, hook_directory(), WHATSAM_SIMULATOR_ROOT=root)
    assert done.stdout.split()[-1] == root, done.stderr


@pytest.mark.parametrize("root", ["", "ab" * 32])
def test_another_sitecustomize_still_runs(tmp_path: Path, root: str) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other one')")
    done = python("print('main')", hook_directory(), tmp_path, WHATSAM_SIMULATOR_ROOT=root)
    assert done.stdout.split("\n")[:2] == ["the other one", "main"]


def test_the_environment_is_complete_before_the_simulator_has_started(tmp_path: Path) -> None:
    first = hook_environment(tmp_path / "state", "http://10.0.0.1:9181", python_path="/elsewhere")
    assert first == hook_environment(address_of(tmp_path / "state", "http://10.0.0.1:9181"), python_path="/elsewhere")
    assert first["HTTPS_PROXY"] == "http://10.0.0.1:9181"
    assert Path(first["SSL_CERT_FILE"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert first["PYTHONPATH"] == f"{hook_directory()}:/elsewhere"
