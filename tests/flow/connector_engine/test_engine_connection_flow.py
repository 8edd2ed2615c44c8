"""What the server does to a connection reaches the supervisor as what it is."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from connector_engine_rig import Rig, journal_entries, message_of, text
from engine_differences import UNKNOWN_LOGIN_FAILURE

from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.journal import Reader
from whatsam_connector.supervision import (
    ClientOutdated,
    Connected,
    ConnectFailure,
    Disconnected,
    EngineRefused,
    ExitReason,
    LoggedOut,
    OfflineDrained,
    PairingRequest,
    QrShown,
    StreamReplaced,
    TemporaryBan,
)


async def test_a_cut_connection_comes_back_by_itself(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    await asyncio.to_thread(rig.simulator.cut, account.number)
    assert (await running.event(Disconnected)).reason == "ConnectionLost"
    await running.event(Connected, nth=2)
    await running.event(OfflineDrained, nth=2)
    await running.process.send(account.uid, text(contact, "back"), 30)
    assert await rig.texts(contact, 1) == ["back"]


@pytest.mark.parametrize(("code", "reason"), [(503, "ConnectionLost"), (500, "StreamError:500")])
async def test_stream_errors(rig: Rig, new_number: Callable[[], str], code: int, reason: str) -> None:
    account = rig.account(new_number())
    running = await rig.pair(account)
    await asyncio.to_thread(rig.simulator.stream_error, account.number, code)
    assert (await running.event(Disconnected)).reason == reason
    await running.event(Connected, nth=2)


async def test_a_replaced_connection_stays_away_and_keeps_its_device(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.pair(account)
    await asyncio.to_thread(rig.simulator.stream_error, account.number, None, "replaced")
    await running.event(StreamReplaced)
    with pytest.raises(EngineRefused) as refused:
        await running.process.send(account.uid, text("4917199999999", "x"), 30)
    assert refused.value.code == "NotConnected"
    assert (await running.process.stop(20)).reason is ExitReason.CLEAN
    await rig.resume(account)


async def test_a_removed_device_is_logged_out(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.pair(account)
    await asyncio.to_thread(rig.simulator.unlink, account.number)
    event = await running.event(LoggedOut)
    assert not event.on_connect
    assert (await running.process.stop(20)).reason is ExitReason.CLEAN


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(401, LoggedOut), (403, LoggedOut), (402, TemporaryBan), (405, ClientOutdated), (409, ConnectFailure)],
)
async def test_login_failures(
    rig: Rig, new_number: Callable[[], str], failure: int, expected: type[EngineEvent]
) -> None:
    account = rig.account(new_number())
    first = await rig.pair(account)
    await first.process.stop(20)
    rig.simulator.set_faults(login_failure=failure, numbers=[account.number])
    running = await rig.spawn(account.session())
    event = await running.event(expected)
    if isinstance(event, LoggedOut):
        assert event.on_connect
    if isinstance(event, TemporaryBan):
        assert event.expires > datetime.now(UTC)
    assert not running.has(Connected)
    assert (await running.process.stop(20)).reason is ExitReason.CLEAN


@pytest.mark.parametrize("failure", [415, 418])
async def test_a_login_failure_of_an_unknown_kind(rig: Rig, new_number: Callable[[], str], failure: int) -> None:
    """neonize's event loop ends then, but its Go client would go on acknowledging messages."""
    account = rig.account(new_number())
    first = await rig.pair(account)
    await first.process.stop(20)
    rig.simulator.set_faults(login_failure=failure, numbers=[account.number])
    running = await rig.spawn(account.session())
    await running.event(ConnectFailure)
    if UNKNOWN_LOGIN_FAILURE.of(rig.engine.kind):
        assert (await running.exit()).reason is ExitReason.CONNECT_FAILED
        return
    await running.process.ping(30)
    assert (await running.process.stop(20)).reason is ExitReason.CLEAN
    assert not running.has(Connected)


async def test_a_server_that_refuses_ends_the_process(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    first = await rig.pair(account)
    await first.process.stop(20)
    rig.simulator.set_faults(websocket_status=503)
    running = await rig.spawn(account.session())
    await running.event(ConnectFailure)
    assert (await running.exit()).reason is ExitReason.CONNECT_FAILED
    rig.simulator.clear_faults()
    await rig.resume(account)


async def test_a_stop_while_reconnecting_is_clean(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.pair(account)
    rig.simulator.set_faults(refuse_connections=True)
    await asyncio.to_thread(rig.simulator.cut, account.number)
    await running.event(Disconnected)
    assert (await running.process.stop(20)).reason is ExitReason.CLEAN


async def test_a_stop_while_the_server_says_nothing_is_clean(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    first = await rig.pair(account)
    await first.process.stop(20)
    rig.simulator.set_faults(silent_handshake=True)
    running = await rig.spawn(account.session())
    await running.process.arm(running.process.deadline + 1)
    assert (await running.process.stop(20)).reason is ExitReason.CLEAN
    assert not running.has(Connected)


async def test_keys_and_messages_are_for_this_user_only(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    await rig.pair(account)
    modes = [path.stat().st_mode & 0o077 for path in (account.database, account.journal, rig.run_dir)]
    assert modes == [0, 0, 0]


async def test_logout_unlinks_the_device(rig: Rig, new_number: Callable[[], str]) -> None:
    account = rig.account(new_number())
    running = await rig.pair(account)
    rig.simulator.set_faults(error=["md"], numbers=[account.number])
    with pytest.raises(EngineRefused) as refused:
        await running.process.logout(account.uid, 30)
    assert refused.value.code == "LogoutRefused"
    rig.simulator.clear_faults()
    await running.process.logout(account.uid, 30)
    assert (await running.process.stop(20)).reason is ExitReason.CLEAN
    account.jid = None
    fresh = await rig.spawn(account.session(PairingRequest("QR")))
    await fresh.event(QrShown)


async def test_a_session_that_leaves_ends_its_process(rig: Rig, new_number: Callable[[], str]) -> None:
    account, contact = rig.account(new_number()), rig.contact(new_number())
    running = await rig.pair(account)
    await rig.say(contact, account.number, "before the end")
    await journal_entries(Reader(account.journal), 1)
    await running.process.disconnect(account.uid)
    assert (await running.exit()).reason is ExitReason.CLEAN
    await rig.resume(account)


async def test_several_sessions_share_a_process(rig: Rig, new_number: Callable[[], str]) -> None:
    accounts = [rig.account(new_number()) for _ in range(3)]
    for account in accounts:
        paired = await rig.pair(account)
        await paired.process.stop(20)
    running = await rig.spawn(*[account.session() for account in accounts])
    for account in accounts:
        await running.event(Connected, account.uid)
    contact = rig.contact(new_number())
    for account in accounts:
        await running.process.send(account.uid, text(contact, f"from {account.number}"), 30)
        await rig.say(contact, account.number, f"to {account.number}")
    assert sorted(await rig.texts(contact, 3)) == sorted(f"from {account.number}" for account in accounts)
    for account in accounts:
        (entry,) = await journal_entries(Reader(account.journal), 1)
        assert message_of(entry).text == f"to {account.number}"

    first, *others = accounts
    await running.process.disconnect(first.uid)
    with pytest.raises(EngineRefused):
        await running.process.send(first.uid, text(contact, "x"), 30)
    for account in others:
        await running.process.send(account.uid, text(contact, "still here"), 30)
        await running.process.disconnect(account.uid)
    assert (await running.exit()).reason is ExitReason.CLEAN
