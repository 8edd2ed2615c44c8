"""What is lost of thousands of messages while the engine is killed, and while the machine loses power, again and again.

The engine in Go, its handlers slowed (10 ms for each write, 5 ms for each sync), once with one session and once with
fifty in one process, messages of persons and of groups. A kill is SIGKILL at a random moment while messages come. A
power cut is a kill after which the journals are cut back to what was synced (or to any byte between that and what was
written), and each session's SQLite file to a copy that was made at a random moment before: what `synchronous=NORMAL`
may lead back to. neonize is killed the same way, with fewer messages and nothing slowed.

`lost` is what the simulator was told to send and no journal has after the last restart. `again` are records too many by
event id, which the inbox drops; `doubled` those that it would not drop. No cluster takes part.
"""

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from bench.engines import Account, Disk, Engines, running_engines
from bench.harness import Figure, figure
from bench.losses import Chat, Losses, Outcome, Plan
from whatsam_connector.supervision.process import NEONIZE
from whatsam_local.programs import engine_with_faulty_files
from whatsam_simulator.environment import hook_environment
from whatsam_simulator.process import SimulatorProcess

SESSIONS = 50
CONTACTS = 5
KILLS = 20
SLOW = Disk(write_milliseconds=5, sync_milliseconds=5)
LEAST_MESSAGES = 10_000
"""Goal for the messages that are sent around kills of the engine in Go."""

NEONIZE_KILLS = 10


@dataclass(frozen=True)
class _Case:
    """Who gets messages, and how many are sent for each kill."""

    name: str
    sessions: int
    group: bool
    messages: int
    within: float


_CASES = (
    _Case("persons_1", 1, group=False, messages=100, within=1.5),
    _Case("groups_1", 1, group=True, messages=100, within=1.5),
    _Case("persons_50", SESSIONS, group=False, messages=250, within=4.0),
    _Case("groups_50", SESSIONS, group=True, messages=10, within=4.0),
)
_ALONE = _CASES[:2]


def measure() -> list[Figure]:
    """All cases, one after the other, on one simulator."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # hundreds of ends
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="whatsam-bench-") as place:
        folder = Path(place)
        simulator = await asyncio.to_thread(SimulatorProcess, folder / "simulator")
        try:
            async with running_engines(simulator.client, hook_environment(simulator.info), folder / "run") as engines:
                return [*await _neonize(engines, folder / "neonize"), *await _go(engines, folder / "whatsmeow")]
        finally:
            await asyncio.to_thread(simulator.stop)


async def _go(engines: Engines, folder: Path) -> list[Figure]:
    program = str(await asyncio.to_thread(engine_with_faulty_files))
    always, system = (program, "--journal-sync", "always"), (program, "--journal-sync", "os")
    accounts = _accounts(folder, SESSIONS, 491_590_000_000)
    await engines.pair(accounts, always)
    figures: list[Figure] = []
    kills = [await _run(engines, accounts, case, Plan(always, KILLS, case.messages, SLOW)) for case in _CASES]
    figures += [
        figure("whatsmeow_messages", "count", [sum(one.sent for one in kills)], goal=LEAST_MESSAGES, digits=0),
        *_figures("whatsmeow", _CASES, kills, goal=0),
    ]
    relaxed = [await _run(engines, accounts, case, Plan(system, KILLS, case.messages, SLOW)) for case in _ALONE]
    figures += _figures("whatsmeow_os", _ALONE, relaxed, goal=0)
    cuts = [
        await _run(engines, accounts, case, Plan(always, KILLS, case.messages // 2, SLOW, power=True))
        for case in _CASES
    ]
    figures += [
        figure("whatsmeow_power_messages", "count", [sum(one.sent for one in cuts)], digits=0),
        figure("whatsmeow_power_bytes_dropped", "bytes", [one.bytes_gone for one in cuts], digits=0),
        *_figures("whatsmeow_power", _CASES, cuts, goal=0),
    ]
    costs = [
        await _run(engines, accounts, case, Plan(system, KILLS, case.messages // 2, SLOW, power=True))
        for case in _ALONE
    ]
    figures += [
        figure("whatsmeow_os_power_messages", "count", [sum(one.sent for one in costs)], digits=0),
        *_figures("whatsmeow_os_power", _ALONE, costs, goal=None),
    ]
    return figures


async def _neonize(engines: Engines, folder: Path) -> list[Figure]:
    accounts = _accounts(folder, 1, 491_591_000_000)
    await engines.pair(accounts, NEONIZE)
    outcomes = [await _run(engines, accounts, case, Plan(NEONIZE, NEONIZE_KILLS, case.messages)) for case in _ALONE]
    messages = figure("neonize_messages", "count", [sum(one.sent for one in outcomes)], digits=0)
    return [messages, *_figures("neonize", _ALONE, outcomes, goal=None)]


async def _run(engines: Engines, accounts: Sequence[Account], case: _Case, plan: Plan) -> Outcome:
    accounts = accounts[: case.sessions]
    contacts = [f"{int(accounts[0].number) + 500 + number}" for number in range(CONTACTS)]
    for contact in contacts:
        await asyncio.to_thread(engines.simulator.contact, contact)
    if case.group:
        numbers = [account.number for account in accounts]
        groups = [await asyncio.to_thread(engines.simulator.create_group, contact, numbers) for contact in contacts]
        chats = [
            Chat(contact, f"{group.id}@g.us", tuple(accounts)) for contact, group in zip(contacts, groups, strict=True)
        ]
    else:
        chats = [Chat(contact, account.number, (account,)) for contact in contacts for account in accounts]
    timed = Plan(plan.program, plan.kills, plan.messages, plan.disk, plan.power, case.within)
    outcome = await Losses(engines, accounts, chats, seed=plan.kills).run(timed)
    print(f"  {case.name}{' power' if plan.power else ''}: {outcome}", flush=True)  # it takes minutes
    return outcome


def _figures(name: str, cases: Sequence[_Case], outcomes: Sequence[Outcome], goal: float | None) -> list[Figure]:
    lost = [
        figure(f"{name}_lost_{case.name}", "count", [outcome.missing], goal=goal, digits=0)
        for case, outcome in zip(cases, outcomes, strict=True)
    ]
    return [
        figure(f"{name}_kills_each", "count", [outcome.kills for outcome in outcomes], digits=0),
        *lost,
        figure(f"{name}_again", "count", [sum(outcome.twice for outcome in outcomes)], digits=0),
        figure(f"{name}_doubled", "count", [sum(outcome.renamed for outcome in outcomes)], goal=0, digits=0),
    ]


def _accounts(folder: Path, count: int, first: int) -> list[Account]:
    made: list[Account] = []
    for number in range(first, first + count):
        place = folder / str(number)
        place.mkdir(parents=True)
        made.append(Account(str(number), place))
    return made
