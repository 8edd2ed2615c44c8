"""The command `whatsam-simulator` against a running simulator, and its own life as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.process import SimulatorProcess

COMMAND = [sys.executable, "-m", "whatsam_simulator"]


def command(process: SimulatorProcess, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WHATSAM_SIMULATOR_URL": process.info.control_url}
    return subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, check=check)


def test_scan_say_inbox_and_journal(
    simulator_process: SimulatorProcess, new_client: Callable[[str], NeonizeClient], number: Callable[[], str]
) -> None:
    client, phone, contact = new_client("a").start(), number(), number()
    qr = client.wait("QR")["qr"]
    device = json.loads(command(simulator_process, "scan", "--phone", phone, "--qr", qr).stdout)["device"]
    client.wait("Connected")
    said = command(simulator_process, "say", "--from", contact, "--to", phone, "--text", "hello")
    client.wait("Message", text="hello", id=json.loads(said.stdout)["id"])
    client.send(contact, "answer")
    client.wait("Receipt")
    inbox = command(simulator_process, "inbox", "--phone", contact).stdout.splitlines()
    assert [json.loads(line)["text"] for line in inbox] == ["answer"]
    holders = command(simulator_process, "journal", "holders").stdout.splitlines()
    assert device in [json.loads(line)["device"] for line in holders]


def test_refusals_are_one_line_and_exit_code_1(simulator_process: SimulatorProcess) -> None:
    done = command(simulator_process, "inbox", "--phone", "4900000000", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "4900000000" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_it_says_where_it_listens_and_ends_on_sigterm(tmp_path: Path) -> None:
    words = [*COMMAND, "serve", "--state", str(tmp_path / "state")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert set(started) == {"controlUrl", "tlsPort", "proxyPort", "controlPort", "ca", "root"}
        assert httpx.get(f"{started['controlUrl']}/health", trust_env=False).json() == {"status": "ok"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert (tmp_path / "state" / "clean").exists()


def test_a_taken_port_is_said_and_exit_code_1(simulator: SimulatorClient, tmp_path: Path) -> None:
    port = simulator.info().control_port
    words = [*COMMAND, "serve", "--state", str(tmp_path / "state"), "--control-port", str(port)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "in use" in done.stderr
