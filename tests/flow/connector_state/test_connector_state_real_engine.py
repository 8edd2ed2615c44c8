"""State of real neonize clients: what the shipper stored and the repair changed works against contacts that refuse
used counters, and the format is the one the repair knows."""

import asyncio
import os
import signal
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import connector_state_rig as rig
import pytest
from connector_state_neonize import Neonize
from connector_state_weed import ACCESS, SECRET, Weed

from whatsam_connector.state import PrepareOutcome, RepairMode, StateKeeper
from whatsam_connector.state.prepare import SUPPORTED_SCHEMA
from whatsam_connector.state.repair import json_record, session_record
from whatsam_connector.state.repair.chains import stepped
from whatsam_connector.state.snapshot import contents_of_file
from whatsam_core.storage.objects import ObjectStore
from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.process import SimulatorProcess

pytestmark = pytest.mark.timeout(180)

Start = Callable[[Path], Neonize]


@pytest.fixture
def start(simulator_process: SimulatorProcess, tmp_path: Path) -> Iterator[Start]:
    made: list[Neonize] = []

    def run(database: Path) -> Neonize:
        made.append(Neonize(database, simulator_process.environment(), tmp_path / "neonize.log"))
        return made[-1]

    yield run
    for one in made:
        one.kill()


@pytest.fixture
async def keepers(tmp_path: Path, weed: Weed, store: ObjectStore) -> AsyncIterator[Callable[[str], StateKeeper]]:
    made: list[StateKeeper] = []

    def make(pod: str) -> StateKeeper:
        made.append(rig.keeper(rig.settings(tmp_path / pod, weed.url, ACCESS, SECRET), rig.Heard()))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def sending_chains(path: Path) -> dict[str, tuple[str, bytes, int]]:
    """Ratchet key, chain key and counter by contact's device."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT their_id, session FROM whatsmeow_sessions").fetchall()
    chains: dict[str, tuple[str, bytes, int]] = {}
    for their, raw in rows:
        assert json_record.dump(json_record.parse(raw)) == raw
        position = session_record.position(raw)
        if position is not None:
            state = json_record.child(json_record.parse(raw), "SessionState")
            chain = json_record.child(json_record.child(state, "SenderChain"), "ChainKey")
            chains[their] = (position.ratchet, json_record.octets(chain, "Key"), position.index)
    return chains


async def test_a_worker_lost_with_unreplicated_sends_costs_no_counter_and_no_message(
    keepers: Callable[[str], StateKeeper], start: Start, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    first, who = keepers("a"), rig.identity(f"s-{uuid.uuid4().hex[:8]}")
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    client, phone, contact = start(prepared.database), number(), number()
    code = (await client.wait("QR"))["code"]
    await asyncio.to_thread(simulator.scan, phone, code)
    await client.wait("Connected")
    await first.flush(who.uid, 20)
    await asyncio.to_thread(simulator.contact, contact)
    group = await client.create_group(contact)
    for text in ("one", "two"):
        await client.send(contact, text)
    await client.send(group, "in the group", "g.us")
    await first.flush(who.uid, 20)

    shipper = first.shipper_pid
    assert shipper is not None
    os.kill(shipper, signal.SIGSTOP)  # nothing of what follows reaches the store
    try:
        for n in range(10):
            await client.send(contact, f"lost {n}")
            await client.send(group, f"lost in the group {n}", "g.us")
        client.kill()
    finally:
        os.kill(shipper, signal.SIGKILL)
    await first.stop()

    second = keepers("b")
    await second.start()
    moved = await second.prepare(who, epoch=2, boot="bootbbbbbb", jid=None, handover=None)
    assert moved.outcome is PrepareOutcome.RESTORED
    assert moved.repair is not None
    assert (moved.repair.mode, moved.repair.unreadable) == (RepairMode.ADVANCE, 0)
    assert moved.repair.sender_keys_deleted == 1
    assert moved.database is not None
    assert moved.jid is not None
    assert moved.jid.startswith(phone)
    await second.track(who.uid)
    device = moved.jid.partition("@")[0]
    before = simulator.counters(sender=device)
    assert before != []
    again = start(moved.database)
    await again.wait("Connected")
    for n in range(5):
        await again.send(contact, f"after {n}")
        await again.send(group, f"after in the group {n}", "g.us")
    wanted = {
        f"{when}{where} {n}"
        for where in ("", " in the group")
        for when, count in (("lost", 10), ("after", 5))
        for n in range(count)
    }
    await rig.eventually(lambda: wanted <= set(simulator.texts(contact)), "all messages at the contact")
    await asyncio.to_thread(simulator.say, contact, phone, "an answer")
    await again.wait("Message", text="an answer")
    assert [event for event in again.seen if event["event"] == "Undecryptable"] == []
    # One process of whatsmeow may use a counter twice by itself (its retry and peer messages take no lock), so the law
    # is about the restore: nothing that was used before it is used after it.
    used = {(use.receiver, use.chain, use.counter) for use in before}
    later = simulator.counters(sender=device)[len(before) :]
    assert [use for use in later if use.receiver.startswith(contact)] != []
    assert [use for use in later if (use.receiver, use.chain, use.counter) in used] == []
    texts = [text for text in simulator.texts(contact) if text in wanted]
    assert len(texts) == len(set(texts))


async def test_the_formats_are_those_that_the_repair_knows(
    keepers: Callable[[str], StateKeeper], start: Start, simulator: SimulatorClient, number: Callable[[], str]
) -> None:
    one, who = keepers("a"), rig.identity(f"s-{uuid.uuid4().hex[:8]}")
    await one.start()
    prepared = await one.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    client, phone, contact = start(prepared.database), number(), number()
    code = (await client.wait("QR"))["code"]
    await asyncio.to_thread(simulator.scan, phone, code)
    await client.wait("Connected")
    await asyncio.to_thread(simulator.contact, contact)
    await client.send(contact, "first")
    before = sending_chains(prepared.database)
    for n in range(3):
        await client.send(contact, f"next {n}")
    after = sending_chains(prepared.database)
    moved = [their for their in before if before[their][2] != after[their][2]]
    assert moved
    for their in moved:
        ratchet, key, index = before[their]
        steps = after[their][2] - index
        assert after[their] == (ratchet, stepped(key, steps), index + steps)
    client.kill()
    what = contents_of_file(prepared.database)
    assert what.schema_version == SUPPORTED_SCHEMA
    assert what.jid is not None
    assert what.jid.startswith(phone)
