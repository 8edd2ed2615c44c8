"""A program with a wrong setting does not start: one line names the variable and not its value, exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("program", "variable", "value"),
    [
        ("whatsam-operator", "WHATSAM_LEADER_DEADLINE", "hunter2"),
        ("whatsam-operator", "WHATSAM_S3_URL", "ftp://hunter2"),
        ("whatsam-connector", "WHATSAM_DATABASE_URL", "mysql://me:hunter2@db/x"),
        ("whatsam-connector", "WHATSAM_COHORT_SIZE", "65"),
        ("whatsam-connector", "WHATSAM_ENGINE_ENV", "{hunter2"),
        ("whatsam-api", "WHATSAM_JWT_SECRET", "hunter2"),
        ("whatsam-api", "WHATSAM_TRACES_URL", "hunter2:4318"),
    ],
)
def test_a_wrong_setting_stops_the_start(program: str, variable: str, value: str) -> None:
    done = subprocess.run(
        [BIN / program], env={variable: value}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("cannot start: ")
    assert f"{variable}: " in done.stderr
    assert "Field required" not in done.stderr.partition(f"{variable}: ")[2].partition(";")[0]
    assert "hunter2" not in done.stdout + done.stderr


RIGHT = {
    "WHATSAM_NAMESPACE": "n",
    "WHATSAM_POOL": "p",
    "WHATSAM_POOL_UID": "u",
    "WHATSAM_POD_NAME": "n",
    "WHATSAM_POD_UID": "u",
    "WHATSAM_POD_IP": "127.0.0.1",
    "WHATSAM_DATABASE_URL": "postgresql://localhost/x",
    "WHATSAM_KEYRING": "{}",
    "WHATSAM_S3_URL": "http://localhost:1",
    "WHATSAM_S3_ACCESS_KEY": "a",
    "WHATSAM_S3_SECRET_KEY": "s",
}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        # Each clock is right by itself.
        ({"WHATSAM_SOFT_FENCE": "14", "WHATSAM_HARD_FENCE": "12"}, "fence"),
        ({"WHATSAM_ENGINE": "whatsmeow", "WHATSAM_ENGINE_PROGRAM": "/nowhere/engine"}, "WHATSAM_ENGINE_PROGRAM"),
        ({"WHATSAM_ENGINE": "whatsmeow", "WHATSAM_ENGINE_PROGRAM": "/bin/false"}, "WHATSAM_ENGINE_PROGRAM"),
    ],
)
def test_what_is_wrong_only_together_or_on_this_machine_is_refused(wrong: dict[str, str], named: str) -> None:
    done = subprocess.run(
        [BIN / "whatsam-connector"], env=RIGHT | wrong, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("cannot start: ")
    assert named.lower() in done.stderr.lower()
