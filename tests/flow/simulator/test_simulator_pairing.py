"""Real neonize clients link to simulated phones, and stay linked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from simulator_conditions import eventually
from simulator_rig import NeonizeClient

from whatsam_simulator.client import ControlError, SimulatorClient
from whatsam_simulator.journal.records import EndReason, ViolationKind
from whatsam_simulator.process import SimulatorProcess

Paired = Callable[[str], tuple[NeonizeClient, str]]


def test_a_scanned_client_connects_and_gets_keys_and_history(paired: Paired, simulator: SimulatorClient) -> None:
    client, number = paired("a")
    client.wait("HistorySync", type=0)
    assert f"{number}:1" in simulator.info().online
    client.set_name("Gateway")  # needs the app-state key that the phone has sent


def test_a_pairing_code_links_a_client(
    new_client: Callable[[str], NeonizeClient], simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = new_client("a").start(), number()
    client.wait("QR")
    code = client.call("pair-code", number=phone)
    device = simulator.enter_pairing_code(phone, code)
    client.wait("Connected")
    assert device.device in simulator.info().online


def test_a_wrong_pairing_code_is_refused(
    new_client: Callable[[str], NeonizeClient], simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    client, phone = new_client("a").start(), number()
    client.wait("QR")
    client.call("pair-code", number=phone)
    with pytest.raises(ControlError, match="409"):
        simulator.enter_pairing_code(phone, "AAAA-AAAA")
    assert simulator.contact(phone).companions == []


def test_a_client_refuses_a_wrong_hmac(
    new_client: Callable[[str], NeonizeClient], simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    simulator.set_faults(wrong_pairing_hmac=True)
    client, phone = new_client("a").start(), number()
    simulator.scan(phone, client.wait("QR")["qr"])
    eventually(lambda: any('type="error"' in s.text and s.direction == "from" for s in simulator.stanzas(20)))
    assert simulator.contact(phone).companions == []


def test_a_used_or_foreign_qr_code_is_not_found(simulator: SimulatorClient, number: Callable[[], str]) -> None:
    key = "A" * 43 + "="
    with pytest.raises(ControlError, match="404"):
        simulator.scan(number(), f"2@gone,{key},{key},{key}")


def test_a_killed_client_comes_back_without_a_scan(paired: Paired, simulator: SimulatorClient) -> None:
    client, number = paired("a")
    client.kill()
    eventually(lambda: f"{number}:1" not in simulator.info().online)
    client.start().wait("Connected")
    first, *others = simulator.holders(f"{number}:1")
    assert first.end is EndReason.CLOSED
    assert len(others) == 1
    assert first.until_monotonic is not None
    assert first.until_monotonic <= others[0].since_monotonic
    assert [v for v in simulator.violations() if v.device == f"{number}:1"] == []


def test_a_second_login_replaces_the_first_and_is_in_the_journal(
    paired: Paired, new_client: Callable[[str], NeonizeClient], simulator: SimulatorClient
) -> None:
    client, number = paired("a")
    twin = new_client("twin")
    twin.store.write_bytes(client.store.read_bytes())
    twin.start().wait("Connected")
    client.wait("StreamReplaced")
    older, newer = simulator.holders(f"{number}:1")
    assert older.end is EndReason.REPLACED
    assert newer.until is None
    violation = next(v for v in simulator.violations() if v.device == f"{number}:1")
    assert violation.kind is ViolationKind.TWO_HOLDERS
    assert violation.connections == [older.connection, newer.connection]


def test_an_unlinked_client_is_logged_out(paired: Paired, simulator: SimulatorClient) -> None:
    client, number = paired("a")
    assert simulator.unlink(number) == [f"{number}:1"]
    client.wait("LoggedOut")
    assert simulator.holders(f"{number}:1")[0].end is EndReason.UNLINKED


def test_logout_removes_the_device(paired: Paired, simulator: SimulatorClient) -> None:
    client, number = paired("a")
    client.call("logout")
    eventually(lambda: simulator.contact(number).companions == [])
    assert simulator.holders(f"{number}:1")[0].end is EndReason.LOGGED_OUT


def test_clients_stay_paired_while_the_simulator_is_restarted(
    new_client: Callable[..., NeonizeClient], number: Callable[[], str], tmp_path: Path
) -> None:
    phone, contact = number(), number()
    with SimulatorProcess(tmp_path / "state") as first:
        client = new_client("a", first).start()
        first.client.scan(phone, client.wait("QR")["qr"])
        client.wait("Connected")
        first.client.contact(contact)
        first.client.say(contact, phone, "before")
        client.wait("Message", text="before")
        client.kill()
        first.client.say(contact, phone, "waits in the queue")
        ports = first.ports
    with SimulatorProcess(tmp_path / "state", ports=ports) as second:
        client.start().wait("Connected")
        client.wait("Message", text="waits in the queue")
        client.send(contact, "after")
        eventually(lambda: second.client.texts(contact) == ["after"])
        second.client.say(contact, phone, "later")
        client.wait("Message", text="later")
        assert second.client.violations() == []


def test_a_crash_of_the_simulator_uses_no_counter_twice(
    new_client: Callable[..., NeonizeClient], number: Callable[[], str], tmp_path: Path
) -> None:
    phone, contact = number(), number()
    first = SimulatorProcess(tmp_path / "state")
    client = new_client("a", first).start()
    first.client.scan(phone, client.wait("QR")["qr"])
    client.wait("Connected")
    first.client.contact(contact)
    first.client.say(contact, phone, "before")
    client.wait("Message", text="before")
    client.send(contact, "answer")
    accounts = tmp_path / "state" / "accounts"
    stored, other = accounts / f"{phone}.json", accounts / f"{contact}.json"
    # The device with its prekeys is on disk, and so is the contact.
    eventually(lambda: other.exists() and len(stored.read_text()) > 50_000, seconds=20)
    first.kill()
    with SimulatorProcess(tmp_path / "state", ports=first.ports) as second:
        client.wait("Connected")
        second.client.say(contact, phone, "new session")
        client.wait("Message", text="new session")
        client.send(contact, "again")
        eventually(lambda: "again" in second.client.texts(contact))
        assert second.client.counters(reused=True) == []
