"""neonize's defects, provoked: the session reports or heals, and its neighbours go on. The table is in docs/neonize.md.

What somebody else can cause runs with the other engine, too; there it must be harmless.

Tests named "neonize still …" hold a defect itself: when one fails, neonize has changed, and an answer may go.
"""

import asyncio
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from connector_engine_rig import LIMIT_SECONDS, Account, Rig, journal_entries, message_of, text
from engine_differences import UNKNOWN_CHAT_STATE, UNKNOWN_RECEIPT

from whatsam_connector.journal import CallStep, InboundCall, Reader
from whatsam_connector.supervision import (
    ChatState,
    ChatStateChanged,
    Connected,
    ConnectFailure,
    EngineRefused,
    ExitReason,
)
from whatsam_connector.supervision.greeting import engine_environment

NEW_CLIENT = """
    import pylibmagic
    from neonize.client import NewClient
    client = NewClient("file:" + sys.argv[1], uuid="u")
"""


def scratch(program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> int:
    """Exit code of a Python program of its own."""
    script = "import sys, os, threading, ctypes\n" + textwrap.dedent(NEW_CLIENT) + textwrap.dedent(program)
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=LIMIT_SECONDS, check=False).returncode


async def told(rig: Rig, account: Account, tag: str, attributes: dict[str, Any], children: Any = None) -> None:
    """The server sends a stanza of its own making to the session."""
    await asyncio.to_thread(rig.simulator.send_stanza, account.number, tag, attributes, children)


async def two_in_one_process(rig: Rig, new_number: Callable[[], str]) -> tuple[Any, Account, Account, str]:
    first, second, contact = rig.account(new_number()), rig.account(new_number()), rig.contact(new_number())
    for account in (first, second):
        await (await rig.pair(account)).process.stop(20)
    running = await rig.spawn(first.session(), second.session())
    for account in (first, second):
        await running.event(Connected, account.uid)
    return running, first, second, contact


# --- panics -----------------------------------------------------------------------------------------------------------


async def test_neonize_still_panics_when_a_client_is_called_that_it_does_not_run(tmp_path: Any) -> None:
    code = await asyncio.to_thread(scratch, "client.get_me()", str(tmp_path / "s.db"))
    assert code in (-signal.SIGABRT, 2)


async def test_no_command_reaches_a_client_before_it_runs(rig: Rig, new_number: Callable[[], str]) -> None:
    """A server that does not let the session in: neonize has not said who we are, and nothing is called."""
    account, contact = rig.account(new_number()), rig.contact(new_number())
    await (await rig.pair(account)).process.stop(20)
    rig.simulator.set_faults(silent_handshake=True)
    running = await rig.spawn(account.session())
    with pytest.raises(EngineRefused) as refused:
        await running.process.send(account.uid, text(contact, "x"), 2.0)
    assert refused.value.code in ("NotStarted", "NotConnected")
    for method in ("profile", "lid", "contacts"):
        with pytest.raises(EngineRefused):
            await running.process.call(account.uid, method, {"phone": contact}, 1.0)
    await running.process.ping(10)


# --- the event loop ---------------------------------------------------------------------------------------------------


async def test_a_receipt_of_an_unknown_kind_costs_no_message(rig: Rig, new_number: Callable[[], str]) -> None:
    """neonize's event loop ends, while its Go client would go on acknowledging messages that nobody gets."""
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    sent = await running.process.send(account.uid, text(contact, "first"), 30)
    attributes = {"from": {"jid": f"{contact}@s.whatsapp.net"}, "id": sent.wa_id, "type": "server-error", "t": "1"}
    await told(rig, account, "receipt", attributes)
    ends = UNKNOWN_RECEIPT.of(rig.engine.kind)
    if ends:
        assert "Receipt.Type" in (await running.event(ConnectFailure)).reason
        assert (await running.exit()).reason is ExitReason.CONNECT_FAILED
    for number in range(3):
        await rig.say(contact, account.number, f"after it {number}")
    if ends:
        await rig.resume(account)
    entries = await journal_entries(Reader(account.journal), 3)
    assert [message_of(entry).text for entry in entries] == [f"after it {number}" for number in range(3)]


async def test_an_unknown_chat_state_is_the_affair_of_one_session(rig: Rig, new_number: Callable[[], str]) -> None:
    running, first, second, contact = await two_in_one_process(rig, new_number)
    child = {"tag": "wondering", "attributes": {}, "children": []}
    await told(rig, first, "chatstate", {"from": {"jid": f"{contact}@s.whatsapp.net"}}, [child])
    if UNKNOWN_CHAT_STATE.of(rig.engine.kind):
        failure = await running.event(ConnectFailure, first.uid)
        assert "ChatPresence" in failure.reason
    else:
        assert (await running.event(ChatStateChanged, first.uid)).state is ChatState.PAUSED
    await running.process.send(second.uid, text(contact, "still here"), 30)
    await rig.say(contact, second.number, "and hearing")
    (entry,) = await journal_entries(Reader(second.journal), 1)
    assert message_of(entry).text == "and hearing"
    await running.process.disconnect(first.uid)
    await rig.say(contact, first.number, "for the next start")
    await rig.resume(first)
    (entry,) = await journal_entries(Reader(first.journal), 1)
    assert message_of(entry).text == "for the next start"
    await running.process.ping(10)


# --- sending ----------------------------------------------------------------------------------------------------------


async def test_a_send_that_reached_no_device_counts_as_good(rig: Rig, new_number: Callable[[], str]) -> None:
    """So `sent` means that WhatsApp's server took it, and only a receipt proves arrival."""
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    rig.simulator.set_faults(empty=["encrypt"], numbers=[account.number])
    await running.process.send(account.uid, text(contact, "to nobody"), 30)
    rig.simulator.clear_faults()
    await running.process.send(account.uid, text(contact, "to somebody"), 30)
    assert await rig.texts(contact, 1) == ["to somebody"]


async def test_no_message_is_marked_as_a_bots(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    await running.process.send(account.uid, text(contact, "from a person"), 30)
    stanzas = await asyncio.to_thread(rig.simulator.stanzas, 2000)
    sent = [each.text for each in stanzas if each.direction == "from" and each.who.startswith(account.number)]
    assert any(each.startswith("<message") for each in sent)
    assert not any("biz_bot" in each for each in sent)


def test_no_setting_can_bring_the_bots_mark_back() -> None:
    assert engine_environment({"NEONIZE_BOT_TAG": "on"})["NEONIZE_BOT_TAG"] == "off"


# --- names ------------------------------------------------------------------------------------------------------------


async def test_neonize_still_names_a_client_after_its_number_and_stops_its_successor(tmp_path: Any) -> None:
    program = """
        from neonize.utils import build_jid
        other = NewClient("file:" + sys.argv[1], jid=build_jid("49151"), uuid="mine")
        assert other.uuid == b"49151", other.uuid
        assert other._stop_finalizer.alive
        from whatsam_connector.engine.neonize_adapter.session import name_client
        name_client(other, "mine")
        assert (other.uuid, other.contact.uuid, other.chat_settings.uuid) == (b"mine",) * 3
        assert not other._stop_finalizer.alive
        os._exit(7)
    """
    assert await asyncio.to_thread(scratch, program, str(tmp_path / "s.db")) == 7


# --- faults of our own ------------------------------------------------------------------------------------------------


async def test_a_callback_that_raises_ends_the_process_instead_of_being_printed(tmp_path: Any) -> None:
    program = """
        from whatsam_connector.engine.ending import end_with_the_first_fault
        end_with_the_first_fault()
        def broken(number): raise KeyError("x")
        callback = ctypes.CFUNCTYPE(None, ctypes.c_int)(broken)
        callback(1)
        os._exit(0)
    """
    assert await asyncio.to_thread(scratch, program, str(tmp_path / "s.db")) == 74


# --- calls of people --------------------------------------------------------------------------------------------------


async def test_a_call_is_noted_and_can_be_rejected(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    reader, steps = Reader(account.journal), []
    call_id = await asyncio.to_thread(lambda: rig.simulator.call(contact, account.number, video=True))

    async def next_step() -> InboundCall:
        while not steps:
            steps.extend(entry.record for entry in reader if isinstance(entry.record, InboundCall))
            await asyncio.sleep(0.02)
        return steps.pop(0)

    offer = await asyncio.wait_for(next_step(), LIMIT_SECONDS)
    assert (offer.step, offer.call_id, offer.video, offer.group) == (CallStep.OFFERED, call_id, True, None)
    await running.process.call(account.uid, "reject_call", {"from": offer.caller, "call_id": offer.call_id})

    async def rejected() -> None:
        changes: list[str] = []
        while "reject" not in changes:
            changes = [str(event.change) for event in await asyncio.to_thread(rig.simulator.events, contact)]
            await asyncio.sleep(0.02)

    await asyncio.wait_for(rejected(), LIMIT_SECONDS)
    await asyncio.to_thread(rig.simulator.change_call, contact, account.number, call_id, "terminate", "timeout")
    end = await asyncio.wait_for(next_step(), LIMIT_SECONDS)
    assert (end.step, end.reason) == (CallStep.ENDED, "timeout")
