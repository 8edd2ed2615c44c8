"""The engine in Go loses nothing that WhatsApp has an acknowledgement for: kills, power cuts, panics.

`python -m bench no-loss` does the same with many more messages.
"""

import asyncio
import random
from collections.abc import Callable

import pytest
from connector_engine_losses import NEVER, ids, until

from bench.engines import Account, Disk, Engines, copy_of_database, cut_power
from bench.losses import Chat, Losses, Plan
from whatsam_connector.engine.events import Connected, Disconnected
from whatsam_connector.journal import InboundAppState, InboundHistory, InboundPicture, Reader
from whatsam_simulator.journal.records import MessageStep

ALWAYS, SYSTEM = "always", "os"


@pytest.mark.parametrize("power", [False, True], ids=["kill", "power-cut"])
@pytest.mark.parametrize("group", [False, True], ids=["persons", "group"])
async def test_nothing_is_lost_while_messages_come(
    engines: Engines, program: list[str], new_account: Callable[[], Account], contact: str, *, group: bool, power: bool
) -> None:
    accounts = [new_account() for _ in range(3)]
    await engines.pair(accounts, program)
    chats = [Chat(contact, account.number, (account,)) for account in accounts]
    if group:
        made = engines.simulator.create_group(contact, [account.number for account in accounts])
        chats = [Chat(contact, f"{made.id}@g.us", tuple(accounts))]
    slow = Disk(write_milliseconds=3, sync_milliseconds=3)
    plan = Plan([*program, "--journal-sync", ALWAYS], 5, 60, slow, power, within=1.0)
    outcome = await Losses(engines, accounts, chats, seed=1).run(plan)
    assert outcome.sent == 5 * 60 * (3 if group else 1)
    assert (outcome.missing, outcome.undecryptable) == (0, 0), outcome
    # Keys that went back make some messages come from their sender and from the own phone: two events with one id at
    # WhatsApp, of which PostgreSQL takes one row.
    assert power or outcome.renamed == 0, outcome
    assert await asyncio.to_thread(engines.simulator.violations) == []


async def test_kills_lose_nothing_that_only_the_kernel_has(
    engines: Engines, program: list[str], new_account: Callable[[], Account], contact: str
) -> None:
    account = new_account()
    await engines.pair([account], program)
    plan = Plan(
        [*program, "--journal-sync", SYSTEM], 5, 60, Disk(write_milliseconds=3, sync_milliseconds=100), within=1
    )
    outcome = await Losses(engines, [account], [Chat(contact, account.number, (account,))], seed=2).run(plan)
    assert (outcome.missing, outcome.renamed) == (0, 0), outcome


@pytest.mark.parametrize(("policy", "lost"), [(ALWAYS, False), (SYSTEM, True)])
async def test_what_a_power_cut_costs_is_what_the_setting_says(
    engines: Engines, program: list[str], new_account: Callable[[], Account], contact: str, *, policy: str, lost: bool
) -> None:
    """The disk takes what is written and does not come to syncing it."""
    account, simulator = new_account(), engines.simulator
    await engines.pair([account], program)
    disk = Disk(sync_milliseconds=NEVER, slow_from=2)  # the first sync is the segment's header
    engine = await engines.connected([account], [*program, "--journal-sync", policy], disk)
    copy = await asyncio.to_thread(copy_of_database, account, 0)
    wa_id = await asyncio.to_thread(simulator.say, contact, account.number, "nobody has synced this")
    await until(lambda: ids(account) == [wa_id])

    def acknowledged() -> bool:
        return any(event.step is MessageStep.ACKNOWLEDGED for event in simulator.message_events(wa_id))

    if lost:
        await until(acknowledged)
    await engine.kill()
    assert acknowledged() is lost
    assert cut_power(account, copy, random.Random(0)) > 0  # noqa: S311 - no secret
    await engines.connected([account], program)
    last = await asyncio.to_thread(simulator.say, contact, account.number, "after it")
    await until(lambda: last in ids(account))
    assert ids(account) == ([last] if lost else [wa_id, last])


async def test_history_is_acknowledged_when_it_is_kept(
    engines: Engines, program: list[str], new_account: Callable[[], Account], contact: str
) -> None:
    """whatsmeow acknowledges what the own phone hands over before its handlers have it."""
    account, simulator = new_account(), engines.simulator
    await engines.pair([account], program)

    def histories() -> int:
        return sum(isinstance(entry.record, InboundHistory) for entry in Reader(account.journal))

    before = histories()
    disk = Disk(sync_milliseconds=NEVER, slow_from=2)
    engine = await engines.connected([account], program, disk)
    (wa_id,) = await asyncio.to_thread(simulator.send_history, account.number, contact, ["long ago"])
    await until(lambda: histories() > before)
    await engine.kill()
    assert not any(event.step is MessageStep.ACKNOWLEDGED for event in simulator.message_events(wa_id))
    cut_power(account, None, random.Random(0))  # noqa: S311 - no secret
    assert histories() == before
    await engines.connected([account], program)
    await until(lambda: histories() > before)


async def test_a_panic_in_a_handler_is_no_success_and_the_message_comes_again(
    engines: Engines, program: list[str], new_account: Callable[[], Account], contact: str
) -> None:
    account, simulator = new_account(), engines.simulator
    await engines.pair([account], program)
    engine = await engines.connected([account], program, Disk(panic_at_write=2))  # the first write is the header
    said = await asyncio.to_thread(simulator.say_all, [(contact, account.number, str(number)) for number in range(10)])
    await until(lambda: set(ids(account)) >= set(said))
    assert sorted(ids(account)) == sorted(said)
    assert len([event for event in engine.events if isinstance(event, Disconnected)]) == 1
    assert len([event for event in engine.events if isinstance(event, Connected)]) == 2
    assert not engine.process.exited.done()


async def test_what_was_done_on_the_phone_comes_again_when_it_was_not_kept(
    engines: Engines, program: list[str], new_account: Callable[[], Account], contact: str
) -> None:
    """whatsmeow notes that it has read a collection of settings before its handlers have heard of the changes."""
    account, simulator = new_account(), engines.simulator
    await engines.pair([account], program)

    def pins() -> list[str]:
        records = [entry.record for entry in Reader(account.journal)]
        return [one.event_id for one in records if isinstance(one, InboundAppState) and one.index[0] == "pin_v1"]

    engine = await engines.connected([account], program, Disk(sync_milliseconds=NEVER, slow_from=2))
    await asyncio.to_thread(lambda: simulator.change_chat(account.number, contact, pinned=True))
    await until(lambda: len(pins()) == 1)
    told = pins()
    await engine.kill()
    cut_power(account, None, random.Random(0))  # noqa: S311 - no secret
    assert pins() == []
    engine = await engines.connected([account], program)
    await until(lambda: pins() == told)


async def test_what_whatsmeow_acknowledges_whatever_a_handler_says_comes_again_too(
    engines: Engines, program: list[str], new_account: Callable[[], Account], contact: str
) -> None:
    account, simulator = new_account(), engines.simulator
    await engines.pair([account], program)
    group = await asyncio.to_thread(simulator.create_group, contact, [account.number])
    settled = await engines.connected([account], program)
    wa_id = await asyncio.to_thread(simulator.say, contact, f"{group.id}@g.us", "nothing of the group is left to come")
    await until(lambda: wa_id in ids(account))
    await settled.process.stop(30)
    engine = await engines.connected([account], program, Disk(panic_at_write=2))
    picture = b"\xff\xd8\xff\xe0jpeg"
    await asyncio.to_thread(lambda: simulator.change_group(group.id, contact, picture=picture))

    def pictures() -> int:
        return sum(isinstance(entry.record, InboundPicture) for entry in Reader(account.journal))

    await until(lambda: pictures() == 1)
    assert len([event for event in engine.events if isinstance(event, Connected)]) == 2, "the handler has panicked once"
