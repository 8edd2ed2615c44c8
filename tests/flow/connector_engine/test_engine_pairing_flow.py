"""A session gets its device once, and nobody scans a second time."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from connector_engine_rig import Rig, text

from whatsam_connector.supervision import (
    Connected,
    ConnectFailure,
    EngineStartFailed,
    ExitReason,
    KeysUploaded,
    Paired,
    PairingCodeShown,
    PairingEnd,
    PairingEnded,
    PairingRequest,
    QrShown,
)


async def test_by_qr_code(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.pair(account)
    paired, shown = await running.event(Paired), await running.event(QrShown)
    assert paired.phone_number == account.number
    assert paired.jid.startswith(f"{account.number}:")
    assert paired.lid.endswith("@lid")
    assert shown.expires_at > datetime.now(UTC)
    kinds = [type(event) for event in running.events]
    assert kinds.index(Paired) + 1 == kinds.index(Connected)
    await running.event(KeysUploaded)


async def test_by_typed_code(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.spawn(account.session(PairingRequest("Code", f"+{account.number}")))
    shown = await running.event(PairingCodeShown)
    assert len(shown.code) == 9
    await asyncio.to_thread(rig.simulator.enter_pairing_code, account.number, shown.code)
    assert (await running.event(Paired)).phone_number == account.number
    assert not running.has(QrShown)


async def test_a_restart_with_the_jid_needs_no_scan(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    first = await rig.pair(account)
    assert (await first.process.stop(20)).reason is ExitReason.CLEAN
    second = await rig.resume(account)
    assert (await second.event(Connected)).jid == account.jid
    assert not second.has(QrShown)
    assert not second.has(Paired)


async def test_a_device_that_nobody_was_told_of_is_told_at_the_next_start(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    """The pairing process died between the scan and its report: the file has a device, the status has no JID."""
    account = rig.account(new_number())
    first = await rig.pair(account)
    first.process.kill()
    await first.exit()
    told, account.jid = account.jid, None
    second = await rig.spawn(account.session(PairingRequest("QR")))
    assert (await second.event(Paired)).jid == told
    await second.event(Connected)
    assert not second.has(QrShown)


async def test_codes_that_run_out_end_the_process(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.spawn(account.session(PairingRequest("QR")))
    await running.event(QrShown)
    await asyncio.to_thread(rig.simulator.cut_pairing)
    assert (await running.event(PairingEnded)).reason is PairingEnd.TIMEOUT
    assert (await running.exit()).reason is ExitReason.PAIRING_TIMEOUT
    following = await rig.pair(account)
    assert following.has(Connected)


async def test_a_phone_whose_answer_does_not_fit_ends_the_process(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    rig.simulator.set_faults(wrong_pairing_hmac=True, numbers=[account.number])
    running = await rig.spawn(account.session(PairingRequest("QR")))
    shown = await running.event(QrShown)
    await asyncio.to_thread(rig.simulator.scan, account.number, shown.code)
    assert (await running.event(PairingEnded)).reason is PairingEnd.ERROR
    assert (await running.exit()).reason is ExitReason.PAIRING_FAILED
    assert not running.has(Paired)


async def test_a_number_that_cannot_be_paired_ends_the_process(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.spawn(account.session(PairingRequest("Code", "0")))
    assert (await running.event(PairingEnded)).reason is PairingEnd.ERROR
    assert (await running.exit()).reason is ExitReason.PAIRING_FAILED


async def test_nobody_is_asked_for_a_scan_that_was_not_wanted(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.spawn(account.session())
    await running.event(ConnectFailure)
    assert (await running.exit()).reason is ExitReason.CONNECT_FAILED
    assert not running.has(QrShown)


async def test_a_stop_while_pairing_ends_at_once(rig: Rig, new_number: Callable[[], str]) -> None:
    """neonize's own stop hangs for ever there."""
    running = await rig.spawn(rig.account(new_number()).session(PairingRequest("QR")))
    await running.event(QrShown)
    assert (await running.process.stop(20)).reason is ExitReason.CLEAN


async def test_a_jid_whose_device_is_not_in_the_file_starts_nothing(rig: Rig, new_number: Callable[[], str]) -> None:
    """neonize would panic."""
    account = rig.account(new_number())
    paired = await rig.pair(account)
    await paired.process.stop(20)
    right, account.jid = account.jid, "4930123:9@s.whatsapp.net"
    with pytest.raises(EngineStartFailed) as failed:
        await rig.spawn(account.session())
    assert failed.value.reason == "DeviceMissing"
    account.jid = right
    account.database.rename(account.folder / "elsewhere.db")
    with pytest.raises(EngineStartFailed) as failed:
        await rig.spawn(account.session())
    assert failed.value.reason == "DeviceMissing"
    (account.folder / "session.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(EngineStartFailed) as failed:
        await rig.spawn(account.session())
    assert failed.value.reason == "DatabaseUnreadable"


async def test_a_session_from_a_copied_file_goes_on(rig: Rig, new_number: Callable[[], str]) -> None:
    """What a connector does on another node: the file is all a session needs."""
    account, contact = rig.account(new_number()), rig.contact(new_number())
    first = await rig.pair(account)
    await first.process.send(account.uid, text(contact, "one"), 30)
    await first.process.stop(20)
    copied = rig.account(new_number())
    copied.jid = account.jid
    copied.database.write_bytes(account.database.read_bytes())
    second = await rig.resume(copied)
    await second.process.send(copied.uid, text(contact, "two"), 30)
    assert await rig.texts(contact, 2) == ["one", "two"]
