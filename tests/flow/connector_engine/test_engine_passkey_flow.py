"""An account that asks for a passkey is linked with it, or it is said why not."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from connector_engine_rig import LIMIT_SECONDS, Rig, Running
from engine_differences import PASSKEY

from bench.engines import Account
from whatsam_connector.supervision import (
    Connected,
    EngineRefused,
    EngineUncertain,
    ExitReason,
    Paired,
    PairingCodeShown,
    PairingEnd,
    PairingEnded,
    PairingRequest,
    PasskeyConfirmationShown,
    PasskeyRequested,
    QrShown,
)
from whatsam_simulator.authenticator import SoftwareAuthenticator
from whatsam_simulator.control.models import PasskeyView

LIMIT = LIMIT_SECONDS
whatsmeow_only = pytest.mark.only_engine("whatsmeow", reason="neonize cannot answer")


async def scanned(rig: Rig, account: Account, authenticator: SoftwareAuthenticator, **more: Any) -> Running:
    """A session whose QR code was scanned by a phone with a passkey."""
    await asyncio.to_thread(rig.simulator.demand_passkey, account.number, authenticator, **more)
    running = await rig.spawn(account.session(PairingRequest("QR")))
    shown = await running.event(QrShown)
    await asyncio.to_thread(rig.simulator.scan, account.number, shown.code)
    return running


async def answer(running: Running, account: Account, authenticator: SoftwareAuthenticator) -> None:
    """What a browser would do with the request."""
    asked = await running.event(PasskeyRequested)
    response = authenticator.answer(json.loads(asked.request))
    await running.process.call(account.uid, "answer_passkey", {"response": response}, LIMIT)


async def seen(rig: Rig, account: Account) -> PasskeyView:
    return await asyncio.to_thread(rig.simulator.passkey, account.number)


async def test_an_account_with_a_passkey(rig: Rig, new_number: Callable[[], str]) -> None:
    """With the proof that its code was scanned a moment ago, nobody has to compare anything."""
    account, authenticator = rig.account(new_number()), SoftwareAuthenticator()
    running = await scanned(rig, account, authenticator)
    if not PASSKEY.of(rig.engine.kind):
        assert (await running.event(PairingEnded)).reason is PairingEnd.PASSKEY
        assert (await running.exit()).reason is ExitReason.PAIRING_FAILED
        assert rig.simulator.contact(account.number).companions == []
        return
    asked = await running.event(PasskeyRequested)
    options = json.loads(asked.request)
    assert options["rpId"] == "whatsapp.com"
    assert options["userVerification"] == "required"
    assert asked.expires_at > datetime.now(UTC)
    await answer(running, account, authenticator)
    assert (await running.event(PasskeyConfirmationShown)).code is None
    account.jid = (await running.event(Paired)).jid
    await running.event(Connected)
    view = await seen(rig, account)
    assert (view.handoff_proven, view.answered, view.confirmed) == (True, 1, True)
    await running.process.stop(20)
    assert (await (await rig.resume(account)).event(Connected)).jid == account.jid


@whatsmeow_only
async def test_a_code_to_compare(rig: Rig, new_number: Callable[[], str]) -> None:
    """The proof is spent with the first answer: after a second one both sides show the same code."""
    account, authenticator = rig.account(new_number()), SoftwareAuthenticator()
    running = await scanned(rig, account, authenticator, continues_with=2)
    await answer(running, account, authenticator)
    with pytest.raises(EngineRefused) as early:
        await running.process.call(account.uid, "confirm_passkey", {}, LIMIT)
    assert early.value.code == "Conflict"
    await answer(running, account, authenticator)
    shown = await running.event(PasskeyConfirmationShown)
    view = await seen(rig, account)
    assert shown.code == view.code
    assert not view.handoff_proven
    assert not view.confirmed
    await running.process.call(account.uid, "confirm_passkey", {}, LIMIT)
    await running.event(Connected)


@whatsmeow_only
async def test_a_typed_code_and_options_that_have_to_be_asked_for(rig: Rig, new_number: Callable[[], str]) -> None:
    account, authenticator = rig.account(new_number()), SoftwareAuthenticator()
    await asyncio.to_thread(rig.simulator.demand_passkey, account.number, authenticator, options_on_request=True)
    running = await rig.spawn(account.session(PairingRequest("Code", account.number)))
    shown = await running.event(PairingCodeShown)
    await asyncio.to_thread(rig.simulator.enter_pairing_code, account.number, shown.code)
    await answer(running, account, authenticator)
    await running.event(Connected)


@whatsmeow_only
async def test_a_wrong_answer_is_refused_and_may_be_mended(rig: Rig, new_number: Callable[[], str]) -> None:
    account, authenticator = rig.account(new_number()), SoftwareAuthenticator()
    stranger, elsewhere = SoftwareAuthenticator(), SoftwareAuthenticator(origin="https://example.org")
    running = await scanned(rig, account, authenticator)
    for wrong in (stranger, elsewhere):
        with pytest.raises(EngineRefused) as refused:
            await answer(running, account, wrong)
        assert refused.value.code == "Rejected"
    for garbage in ({}, {"response": {"rawId": "!"}}, {"response": {"rawId": ""}}):
        with pytest.raises(EngineRefused) as refused:
            await running.process.call(account.uid, "answer_passkey", garbage, LIMIT)
        assert refused.value.code == "Invalid"
    await answer(running, account, authenticator)
    await running.event(Connected)
    assert (await seen(rig, account)).refused == 2
    with pytest.raises(EngineRefused) as late:
        await answer(running, account, authenticator)
    assert late.value.code == "Conflict"


@whatsmeow_only
async def test_a_passkey_that_does_not_come(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await scanned(rig, account, SoftwareAuthenticator(), timeout_seconds=1)
    assert (await running.event(PairingEnded)).reason is PairingEnd.TIMEOUT
    assert (await running.exit()).reason is ExitReason.PAIRING_TIMEOUT


@whatsmeow_only
async def test_a_phone_that_breaks_off(rig: Rig, new_number: Callable[[], str]) -> None:
    account, authenticator = rig.account(new_number()), SoftwareAuthenticator()
    running = await scanned(rig, account, authenticator, phone="garbled")
    with contextlib.suppress(EngineUncertain):  # the end may come before the call's own answer
        await answer(running, account, authenticator)
    assert (await running.event(PairingEnded)).reason is PairingEnd.ERROR
    assert (await running.exit()).reason is ExitReason.PAIRING_FAILED


@whatsmeow_only
async def test_a_kill_in_the_middle_begins_anew(rig: Rig, new_number: Callable[[], str]) -> None:
    """Nothing of a pairing outlives its process; the next one shows a code again."""
    account, authenticator = rig.account(new_number()), SoftwareAuthenticator()
    running = await scanned(rig, account, authenticator, phone="silent")
    await answer(running, account, authenticator)
    running.process.kill()
    await running.exit()
    again = await scanned(rig, account, authenticator)
    await answer(again, account, authenticator)
    await again.event(Connected)
