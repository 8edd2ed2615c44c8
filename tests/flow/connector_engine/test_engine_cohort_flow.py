"""Sessions that share a process: what happens to one is no affair of the others, and what happens to all heals."""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest
from connector_engine_crew import Seat, crew, holds, paired
from connector_engine_rig import LIMIT_SECONDS, Account, Rig, freeze, journal_entries, message_of, text
from engine_differences import ABORT, LEAVING_WHILE_DIALING

from whatsam_connector.journal import InboundMessage, Reader, Writer
from whatsam_connector.supervision import (
    Connected,
    ConnectFailure,
    EngineRefused,
    EngineUncertain,
    ExitReason,
    KeepAliveLost,
    LoggedOut,
    MoveReason,
    StreamReplaced,
)
from whatsam_connector.supervision.cohorts import CohortTimings
from whatsam_connector.supervision.leaks import UsageLimits

QUICK = CohortTimings(window=0.3, settled=0.0, paired_settled=0.0, rest=600.0)


async def hears(rig: Rig, contact: str, account: Account, words: str) -> None:
    """The account receives these words, in its own journal and as the newest."""
    before = Reader(account.journal)
    await rig.say(contact, account.number, words)
    found: list[str | None] = []

    async def until_heard() -> None:
        while words not in found:
            found.extend(message_of(entry).text for entry in await journal_entries(before, 1))

    await asyncio.wait_for(until_heard(), LIMIT_SECONDS)


async def alive(rig: Rig, seat: Seat, contact: str, words: str) -> None:
    """The session sends and receives."""
    await seat.engine.send(seat.uid, text(contact, words), 30)
    await hears(rig, contact, seat.account, f"{words} back")


async def test_sessions_that_start_together_share_a_process(rig: Rig, new_number: Callable[[], str]) -> None:
    accounts = await paired(rig, new_number, 2)
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        first, second = await team.start(*accounts)
        assert first.engine.pid == second.engine.pid
        assert team.pool.sizes() == [2]
        contact = rig.contact(new_number())
        await alive(rig, first, contact, "one")
        await alive(rig, second, contact, "two")


async def test_one_leaves_and_comes_back_elsewhere_while_its_old_process_lives(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    accounts = await paired(rig, new_number, 2)
    contact = rig.contact(new_number())
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        stays, moves = await team.start(*accounts)
        await alive(rig, moves, contact, "before")
        old = moves.engine
        await old.disconnect(moves.uid)
        assert (await old.stop(20)).reason is ExitReason.CLEAN
        with pytest.raises(EngineRefused):
            await old.send(moves.uid, text(contact, "too late"), 30)
        await rig.say(contact, moves.account.number, "while away")
        await team.seat(moves)
        await moves.event(Connected, nth=2)
        assert moves.engine.pid != stays.engine.pid
        assert not stays.engine.gone
        await alive(rig, moves, contact, "after")
        await alive(rig, stays, contact, "all the time")
    heard = [message_of(entry).text for entry in await journal_entries(Reader(moves.account.journal), 3)]
    assert heard == ["before back", "while away", "after back"]
    assert [message_of(entry).text for entry in await journal_entries(Reader(stays.account.journal), 1)] == [
        "all the time back"
    ]


@pytest.mark.parametrize("failure", [415, 503])
async def test_one_that_cannot_connect_leaves_the_others_alone(
    rig: Rig, new_number: Callable[[], str], failure: int
) -> None:
    """415: neonize's event loop ends and its Go client stays; 503 comes at every login."""
    accounts = await paired(rig, new_number, 3)
    contact = rig.contact(new_number())
    broken, *others = [Seat(account) for account in accounts]
    rig.simulator.set_faults(login_failure=failure, numbers=[broken.account.number])
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        await asyncio.gather(*(team.seat(seat) for seat in (broken, *others)))
        for seat in others:
            await seat.event(Connected)
            await alive(rig, seat, contact, f"hello {seat.account.number}")
        if failure == 415:
            await broken.event(ConnectFailure)
        broken.engine.kill()
        assert (await asyncio.wait_for(broken.engine.exited, LIMIT_SECONDS)).reason is ExitReason.CLEAN
        rig.simulator.clear_faults()
        await team.seat(broken)
        await broken.event(Connected)
        await alive(rig, broken, contact, "here again")
        assert broken.engine.pid != others[0].engine.pid
        assert team.counts.ended == []


async def test_one_whose_journal_another_process_holds_leaves_the_others_alone(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    accounts = await paired(rig, new_number, 2)
    contact = rig.contact(new_number())
    held, stays = [Seat(account) for account in accounts]
    holder = Writer(held.account.journal)
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        await asyncio.gather(team.seat(held), team.seat(stays))
        assert "JournalFailed" in (await held.event(ConnectFailure)).reason
        await stays.event(Connected)
        held.engine.kill()
        assert (await asyncio.wait_for(held.engine.exited, LIMIT_SECONDS)).reason is ExitReason.CLEAN
        holder.close()
        await team.seat(held)
        await held.event(Connected)
        await alive(rig, held, contact, "mine again")
        await alive(rig, stays, contact, "not concerned")
        assert team.counts.ended == []


async def test_logged_out_and_replaced_are_the_affair_of_one(rig: Rig, new_number: Callable[[], str]) -> None:
    accounts = await paired(rig, new_number, 3)
    contact = rig.contact(new_number())
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        gone, replaced, stays = await team.start(*accounts)
        await asyncio.to_thread(rig.simulator.unlink, gone.account.number)
        await gone.event(LoggedOut)
        await asyncio.to_thread(rig.simulator.replace, replaced.account.number)
        await replaced.event(StreamReplaced)
        for seat in (gone, replaced):
            seat.engine.kill()
            assert (await asyncio.wait_for(seat.engine.exited, LIMIT_SECONDS)).reason is ExitReason.CLEAN
        await alive(rig, stays, contact, "still here")
        assert team.counts.ended == []


async def test_a_panic_takes_all_and_they_come_back_together_in_the_spare(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    accounts = await paired(rig, new_number, 3)
    contact = rig.contact(new_number())
    async with crew(rig, cohort_size=8, spare_from=1) as team:
        seats = await team.start(*accounts)
        await holds(lambda: len(team.processes) == 2)
        _, spare = team.processes
        os.kill(seats[0].engine.pid, signal.SIGABRT)
        await asyncio.gather(*(team.back(seat) for seat in seats))
        assert {seat.ends[0].reason for seat in seats} == {ExitReason.PANIC}
        assert {seat.engine.pid for seat in seats} == {spare.pid}
        code = ABORT.of(rig.engine.kind)
        assert [(end.reason, end.code) for end in team.counts.ended] == [(ExitReason.PANIC, code)]
        for seat in seats:
            await alive(rig, seat, contact, f"back {seat.account.number}")


async def test_a_second_panic_halves_the_cohort(rig: Rig, new_number: Callable[[], str]) -> None:
    accounts = await paired(rig, new_number, 3)
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        seats = await team.start(*accounts)
        for nth in (2, 3):
            os.kill(seats[0].engine.pid, signal.SIGABRT)
            await asyncio.gather(*(team.back(seat, nth) for seat in seats))
        assert team.pool.sizes() == [1, 2]


async def test_a_hanging_process_is_killed_and_its_sessions_come_back(rig: Rig, new_number: Callable[[], str]) -> None:
    accounts = await paired(rig, new_number, 2)
    async with crew(rig, cohort_size=8, spare_from=None, ping_period=0.2, ping_timeout=5.0) as team:
        seats = await team.start(*accounts)
        freeze(seats[0].engine.pid)
        await asyncio.gather(*(team.back(seat) for seat in seats))
        assert {seat.ends[0].reason for seat in seats} == {ExitReason.HUNG}


async def test_a_deaf_session_says_so_and_leaves_its_neighbour_alone(rig: Rig, new_number: Callable[[], str]) -> None:
    """Its connection is a black hole: no end, no reset. Within 40 s the engine misses an answer, and the session can
    leave although it cannot say goodbye."""
    accounts = await paired(rig, new_number, 2)
    contact = rig.contact(new_number())
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        deaf, stays = await team.start(*accounts)
        assert await asyncio.to_thread(rig.simulator.swallow, deaf.account.number) == 1
        await rig.say(contact, deaf.account.number, "into the void")
        await deaf.event(KeepAliveLost)
        old = deaf.engine
        assert (await old.stop(4)).reason is ExitReason.CLEAN
        await team.seat(deaf)
        await deaf.event(Connected, nth=2)
        assert not stays.has(KeepAliveLost)
        await alive(rig, stays, contact, "all the time")
        await alive(rig, deaf, contact, "hears again")
        assert deaf.engine.pid != stays.engine.pid
        assert team.counts.ended == []
    heard = [message_of(entry).text for entry in await journal_entries(Reader(deaf.account.journal), 2)]
    assert heard == ["into the void", "hears again back"]


async def test_a_lost_session_stops_at_once_and_spares_its_neighbour(rig: Rig, new_number: Callable[[], str]) -> None:
    accounts = await paired(rig, new_number, 2)
    contact = rig.contact(new_number())
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        lost, stays = await team.start(*accounts)
        lost.engine.kill()
        assert (await asyncio.wait_for(lost.engine.exited, LIMIT_SECONDS)).reason is ExitReason.CLEAN
        await rig.say(contact, lost.account.number, "nobody is there")
        await alive(rig, stays, contact, "spared")
    assert not [entry for entry in Reader(lost.account.journal) if isinstance(entry.record, InboundMessage)]


async def test_a_session_that_does_not_leave_takes_its_process_down(rig: Rig, new_number: Callable[[], str]) -> None:
    accounts = await paired(rig, new_number, 2)
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        lost, innocent = await team.start(*accounts)
        freeze(lost.engine.pid)
        lost.engine.kill()
        assert (await asyncio.wait_for(lost.engine.exited, LIMIT_SECONDS)).reason is ExitReason.HUNG
        await team.back(innocent)


async def test_a_send_that_hangs_does_not_keep_its_session_from_leaving(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    accounts = await paired(rig, new_number, 2)
    contact = rig.contact(new_number())
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        sends, stays = await team.start(*accounts)
        rig.simulator.set_faults(ignore=["message"], numbers=[sends.account.number])
        sending = asyncio.create_task(sends.engine.send(sends.uid, text(contact, "hangs"), 60))
        await holds(lambda: bool(sends.engine.busy))
        await sends.engine.disconnect(sends.uid)
        with pytest.raises((EngineUncertain, EngineRefused)):
            await sending
        rig.simulator.clear_faults()
        await alive(rig, stays, contact, "not concerned")
        assert team.counts.ended == []


async def test_one_that_dials_into_silence_keeps_nobody_waiting_and_is_not_the_end_of_all(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    accounts = await paired(rig, new_number, 2)
    contact = rig.contact(new_number())
    dialing, quick = [Seat(account) for account in accounts]
    callers: list[asyncio.StreamWriter] = []
    called = asyncio.Event()

    def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)
        called.set()

    proxy = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        await asyncio.gather(team.seat(dialing, proxy=url), team.seat(quick))
        await asyncio.wait_for(called.wait(), LIMIT_SECONDS)
        await quick.event(Connected)
        await alive(rig, quick, contact, "not kept waiting")
        dialing.engine.kill()
        if not LEAVING_WHILE_DIALING.of(rig.engine.kind):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(dialing.engine.exited, 5)
            for writer in callers:
                writer.close()
        assert (await asyncio.wait_for(dialing.engine.exited, LIMIT_SECONDS)).reason is ExitReason.CLEAN
        await alive(rig, quick, contact, "still here")
        assert team.counts.ended == []
    for writer in callers:
        writer.close()
    proxy.close()


async def test_a_process_that_holds_too_much_is_replaced_in_a_planned_way(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    accounts = await paired(rig, new_number, 2)
    contact = rig.contact(new_number())
    tight = UsageLimits(descriptors=1, descriptors_per_session=1)
    async with crew(
        rig, cohort_size=8, spare_from=None, usage_period=0.2, usage_misses=2, limits=tight, timings=QUICK
    ) as team:
        seats = await team.start(*accounts)
        old = team.processes[0].pid  # a quick pool has replaced it before anybody looks at the seats
        for seat in seats:
            await seat.event(Connected, nth=2)
        # A new engine may say that it is connected before the pool has handed it over.
        await holds(lambda: old not in {seat.engine.pid for seat in seats})
        assert len({seat.engine.pid for seat in seats}) == 1
        assert team.counts.moved == [MoveReason.DESCRIPTORS]
        for seat in seats:
            await alive(rig, seat, contact, f"moved {seat.account.number}")


async def test_small_processes_become_one(rig: Rig, new_number: Callable[[], str]) -> None:
    accounts = await paired(rig, new_number, 2)
    contact = rig.contact(new_number())
    async with crew(rig, cohort_size=8, spare_from=None, merge_period=0.5, timings=QUICK) as team:
        seats = [*await team.start(accounts[0]), *await team.start(accounts[1])]
        await holds(lambda: team.pool.sizes() == [2])
        assert set(team.counts.moved) == {MoveReason.CONSOLIDATION}
        for seat in seats:
            await seat.event(Connected, nth=2)
            await alive(rig, seat, contact, f"merged {seat.account.number}")


async def test_processes_that_make_no_merge_are_dealt_into_as_few_as_they_need(
    rig: Rig, new_number: Callable[[], str]
) -> None:
    accounts = await paired(rig, new_number, 6)
    contact = rig.contact(new_number())
    async with crew(rig, cohort_size=3, spare_from=None, merge_period=0.5, timings=QUICK) as team:
        seats = [seat for first in (0, 2, 4) for seat in await team.start(*accounts[first : first + 2])]
        await holds(lambda: team.pool.sizes() == [3, 3])
        assert team.counts.moved == [MoveReason.CONSOLIDATION] * 3
        for seat in seats:
            await seat.event(Connected, nth=2)
            await alive(rig, seat, contact, f"dealt {seat.account.number}")


async def test_a_session_that_is_debugged_is_alone_and_its_stanzas_are_in_the_log(
    rig: Rig, new_number: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    accounts = await paired(rig, new_number, 2)
    plain, debugged = [Seat(account) for account in accounts]
    async with crew(rig, cohort_size=8, spare_from=None) as team:
        await asyncio.gather(team.seat(plain), team.seat(debugged, debug=True))
        await debugged.event(Connected)
        assert plain.engine.pid != debugged.engine.pid
        contact = rig.contact(new_number())
        await alive(rig, debugged, contact, "psst")
    lines = [line for line in capsys.readouterr().out.splitlines() if "engine output" in line]
    shown = [line for line in lines if debugged.uid in line]
    assert all("info" in line for line in shown)
    assert any("<message" in line for line in shown)
    for secret in ("psst", contact, debugged.account.number):
        assert not [line for line in shown if secret in line]
