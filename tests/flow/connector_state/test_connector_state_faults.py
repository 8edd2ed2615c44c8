"""What the state survives: torn moments, a dead store, a dead shipper, two boots, damage, rotation of keys."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import connector_state_rig as rig
import pytest
from connector_state_weed import ACCESS, SECRET, Weed

from whatsam_connector.shipper.retention import KEEP_OWN, PROVEN_AFTER
from whatsam_connector.shipper.session import DELETE_TOGETHER
from whatsam_connector.state import FlushTimeout, KeyRing, PrepareOutcome, RepairMode, StateKeeper
from whatsam_connector.state.bases import read
from whatsam_connector.state.data_keys import find
from whatsam_connector.state.prepare import SUPPORTED_SCHEMA
from whatsam_core.sessions_state import BaseRef, bases_of, key_object, session_prefix
from whatsam_core.storage.objects import ObjectMissing, ObjectStore

pytestmark = pytest.mark.timeout(300)

Keepers = Callable[..., StateKeeper]


@pytest.fixture
def heard() -> rig.Heard:
    return rig.Heard()


@pytest.fixture
async def keepers(tmp_path: Path, weed: Weed, store: ObjectStore, heard: rig.Heard) -> AsyncIterator[Keepers]:
    made: list[StateKeeper] = []

    def make(pod: str, **more: object) -> StateKeeper:
        made.append(rig.keeper(rig.settings(tmp_path / pod, weed.url, ACCESS, SECRET, **more), heard))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


@pytest.fixture
def name() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


async def paired(keeper: StateKeeper, name: str, *, epoch: int = 1, boot: str = "bootaaaaaa", filler: int = 20) -> Path:
    """A session that is paired, tracked and stored."""
    who = rig.identity(name)
    await keeper.start()
    prepared = await keeper.prepare(who, epoch=epoch, boot=boot, jid=None, handover=None)
    assert prepared.outcome is PrepareOutcome.FRESH, prepared
    assert prepared.database is not None
    await keeper.track(who.uid)
    rig.create(prepared.database, filler=filler)
    await keeper.flush(who.uid, 60)
    return prepared.database


def prefix(name: str) -> str:
    return session_prefix("tests", "tests", name)


async def stored(store: ObjectStore, name: str) -> list[BaseRef]:
    return bases_of(item.key for item in await store.list(prefix(name)))


async def counter_in(store: ObjectStore, name: str, ref: BaseRef) -> int:
    """The engine's counter in a base; both ends of the transaction must agree."""
    key = await find(store, rig.RING, prefix(name))
    assert key is not None
    image = read(ref.key, await store.get(ref.key), key.value, SUPPORTED_SCHEMA).image
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(image)
        (first,), (last,) = database.execute("SELECT n FROM counters ORDER BY name").fetchall()
    assert first == last, "the base was taken in the middle of a transaction"
    return int(first)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_no_base_is_torn_while_another_process_writes_all_the_time(
    keepers: Keepers, name: str, store: ObjectStore, heard: rig.Heard, mode: str
) -> None:
    keeper = keepers("a")
    database = await paired(keeper, name, filler=60)
    writer = rig.Writer(database, mode=mode)
    counters: dict[int, int] = {}
    try:
        while len(counters) < 12:
            newest = (await stored(store, name))[0]
            if newest.seq not in counters:
                counters[newest.seq] = await counter_in(store, name, newest)
            assert writer.process.poll() is None, "the writer was locked out"
    finally:
        writer.kill()
    in_order = [counters[seq] for seq in sorted(counters)]
    assert in_order == sorted(in_order)
    assert len(set(in_order)) == len(in_order)
    covered = [how_far.covered for _, how_far in heard.replicated]
    assert covered == sorted(covered)


async def test_a_writer_killed_in_the_middle_of_a_transaction_hands_over_the_last_whole_one(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name, filler=60)
    # The cache is tiny, so the open transaction has written into the file: only its journal tells what was before.
    holder = await asyncio.create_subprocess_exec(
        "python3",
        "-c",
        "import sqlite3, sys\n"
        "d = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "d.execute('PRAGMA cache_size=2')\n"
        "d.execute('PRAGMA cache_spill=2')\n"
        "d.execute('BEGIN IMMEDIATE')\n"
        "d.execute('UPDATE counters SET n=99')\n"
        "d.execute('UPDATE filler SET data=zeroblob(3000)')\n"
        "print('half', flush=True)\n"
        "sys.stdin.read()\n",
        str(database),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"half\n"
    assert os.path.lexists(f"{database}-journal")  # noqa: ASYNC240  a test may look at a file
    holder.kill()
    await holder.wait()
    handover = await keeper.release(who.uid, 60)
    newest = (await stored(store, name))[0]
    assert newest.seq == handover.seq
    assert await counter_in(store, name, newest) == 0
    moved = await keepers("b").prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=handover)
    assert (moved.outcome, moved.repair) == (PrepareOutcome.RESTORED, None)


async def test_what_only_the_log_of_a_killed_engine_holds_is_handed_over(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name)
    writer = rig.Writer(database, mode="WAL")
    assert writer.process.stdout is not None
    for _ in range(20):
        last = int(await asyncio.to_thread(writer.process.stdout.readline))
    writer.kill()
    assert os.path.lexists(f"{database}-wal")  # noqa: ASYNC240  a test may look at a file
    handover = await keeper.release(who.uid, 60)
    newest = (await stored(store, name))[0]
    assert newest.seq == handover.seq
    assert await counter_in(store, name, newest) >= last
    moved = await keepers("b").prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=handover)
    assert (moved.outcome, moved.repair) == (PrepareOutcome.RESTORED, None)
    assert moved.database is not None
    assert rig.counter(moved.database) >= last


async def test_the_newest_state_is_stored_when_the_store_is_back(
    keepers: Keepers, name: str, store: ObjectStore, weed: Weed, heard: rig.Heard
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name)
    before = keeper.replicated(who.uid)
    assert before is not None
    await asyncio.to_thread(weed.kill)
    for _ in range(5):
        rig.change(database)
    with pytest.raises(FlushTimeout, match="not stored within"):
        await keeper.flush(who.uid, 2)
    trouble = keeper.trouble(who.uid, before.covered + 1000)
    assert trouble is not None
    assert trouble.lag > 0
    refused = await keepers("b").prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert (refused.outcome, refused.database) == (PrepareOutcome.UNREACHABLE, None)
    await asyncio.to_thread(weed.start)
    after = await keeper.flush(who.uid, 60)
    assert after.seq > before.seq
    newest = (await stored(store, name))[0]
    assert newest.seq == after.seq
    assert await counter_in(store, name, newest) == 5
    await rig.eventually(lambda: keeper.trouble(who.uid, 0.0) is None, "the trouble is over")
    assert heard.trouble[-1] == (who.uid, None)


async def test_a_killed_shipper_is_replaced_and_no_flush_is_lost(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name)
    seen: set[int] = set()
    for round_ in range(1, 6):
        pid = keeper.shipper_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        rig.change(database)
        flush = asyncio.create_task(keeper.flush(who.uid, 100))
        await asyncio.sleep(0)  # the request is on its way to a shipper that will never read it
        os.kill(pid, signal.SIGKILL)
        replicated = await flush
        assert replicated.seq not in seen
        seen.add(replicated.seq)
        newest = (await stored(store, name))[0]
        assert await counter_in(store, name, newest) == round_
    assert keeper.shipper_restarts == 5


async def test_a_shipper_killed_at_any_moment_never_uses_a_number_twice(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name, filler=60)
    writer = rig.Writer(database, count=150)
    contents: dict[str, bytes] = {}
    kills = 0
    try:
        while writer.process.poll() is None:
            for ref in await stored(store, name):
                try:
                    sealed = await store.get(ref.key)
                except ObjectMissing:
                    continue  # cleaned up in between
                assert contents.setdefault(ref.key, sealed) == sealed, "a base was replaced"
            pid = keeper.shipper_pid
            if pid is not None and kills < 8:
                with contextlib.suppress(ProcessLookupError):  # ended since, and its successor is not there yet
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
    finally:
        writer.kill()
    final = await keeper.flush(who.uid, 100)
    newest = (await stored(store, name))[0]
    assert newest.seq == final.seq
    assert await counter_in(store, name, newest) == rig.counter(database)


async def test_two_boots_that_write_at_once_do_not_meet(keepers: Keepers, name: str, store: ObjectStore) -> None:
    old, who = keepers("a"), rig.identity(name)
    stale_file = await paired(old, name)
    new = keepers("b")
    await new.start()
    moved = await new.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert moved.database is not None
    await new.track(who.uid)
    for _ in range(4):
        rig.change(stale_file)
        rig.change(moved.database)
        await asyncio.gather(old.flush(who.uid, 60), new.flush(who.uid, 20))
    rig.change(stale_file)
    await old.flush(who.uid, 60)  # the replaced boot writes last
    newest = (await stored(store, name))[0]
    assert (newest.epoch, newest.boot) == (2, "bootbbbbbb")
    assert await counter_in(store, name, newest) == 4
    back = await keepers("c").prepare(who, epoch=3, boot="bootcccccc", jid=rig.JID, handover=None)
    assert back.database is not None
    assert rig.counter(back.database) == 4
    assert set(rig.indexes(back.database).values()) == {5 + 64 + 64}


async def test_a_pod_that_comes_back_after_another_ran_does_not_use_its_old_file(keepers: Keepers, name: str) -> None:
    first, who = keepers("a"), rig.identity(name)
    await paired(first, name)
    await first.stop()
    other = keepers("b")
    moved = await other.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert moved.outcome is PrepareOutcome.RESTORED  # its engine never ran, nothing else was stored
    back = await keepers("a").prepare(who, epoch=3, boot="bootcccccc", jid=rig.JID, handover=None)
    assert back.outcome is PrepareOutcome.RESTORED
    assert back.database is not None
    assert set(rig.indexes(back.database).values()) == {5 + 64 + 64}


async def test_a_damaged_newest_base_gives_way_to_the_one_before_and_is_kept(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name)
    rig.change(database)
    handover = await keeper.release(who.uid, 60)
    newest, before = (await stored(store, name))[:2]
    sealed = bytearray(await store.get(newest.key))
    sealed[-1] ^= 1
    await store.put(newest.key, bytes(sealed))
    moved = await keepers("b").prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=handover)
    assert moved.outcome is PrepareOutcome.RESTORED, moved
    assert moved.repair is not None
    assert moved.repair.mode is RepairMode.ADVANCE
    assert moved.repair.steps == 64 * (newest.seq - before.seq + 1)
    assert moved.fell_back
    assert newest.key in moved.message
    # No clean-up takes it away, however much is stored after it.
    successor = keepers("c")
    await successor.start()
    for epoch in (3, 4):
        again = await successor.prepare(who, epoch=epoch, boot=f"boot{epoch}", jid=rig.JID, handover=None)
        assert again.database is not None
        assert not again.fell_back
        await successor.track(who.uid)
        for _ in range(PROVEN_AFTER + 1):
            rig.change(again.database)
            await successor.flush(who.uid, 60)
        await successor.release(who.uid, 60)
    left = await stored(store, name)
    assert {ref.epoch for ref in left} == {newest.epoch, 3, 4}
    assert await store.get(newest.key) == bytes(sealed)


async def test_when_everything_is_damaged_nothing_is_deleted_and_nobody_pairs(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    await paired(keeper, name)
    await keeper.release(who.uid, 60)
    for ref in await stored(store, name):
        await store.put(ref.key, b"rubbish")
    before = await store.list(prefix(name))
    lost = await keepers("b").prepare(who, epoch=2, boot="bootbbbbbb", jid=None, handover=None)
    assert (lost.outcome, lost.database) == (PrepareOutcome.DAMAGED, None)
    assert "not a base" in lost.message or "cut off" in lost.message
    assert [item.key for item in await store.list(prefix(name))] == [item.key for item in before]


async def test_a_lost_data_key_is_damage_and_no_new_key_is_made_over_it(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    await paired(keeper, name)
    await keeper.release(who.uid, 60)
    await store.delete(key_object(prefix(name)))
    lost = await keepers("b").prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert lost.outcome is PrepareOutcome.DAMAGED
    assert "data key is gone" in lost.message
    assert key_object(prefix(name)) not in [item.key for item in await store.list(prefix(name))]


async def test_a_rotated_key_ring_wraps_the_data_key_anew(keepers: Keepers, name: str, store: ObjectStore) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    await paired(keeper, name)
    handover = await keeper.release(who.uid, 60)
    both = KeyRing("k2", {**rig.RING.keys, "k2": b"2" * 32})
    moved = await keepers("b", key_ring=both).prepare(who, epoch=2, boot="b2", jid=rig.JID, handover=handover)
    assert moved.outcome is PrepareOutcome.RESTORED
    only_new = KeyRing("k2", {"k2": b"2" * 32})
    moved = await keepers("c", key_ring=only_new).prepare(who, epoch=3, boot="b3", jid=rig.JID, handover=None)
    assert moved.outcome is PrepareOutcome.RESTORED
    without = await keepers("d").prepare(who, epoch=4, boot="b4", jid=rig.JID, handover=None)
    assert without.outcome is PrepareOutcome.KEY_MISSING
    assert "WHATSAM_KEYRING" in without.message


async def test_the_state_of_a_newer_engine_is_left_alone(keepers: Keepers, name: str) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name)
    rig.execute(
        database, "UPDATE whatsmeow_version SET version=?, compat=?", SUPPORTED_SCHEMA + 3, SUPPORTED_SCHEMA + 1
    )
    await keeper.release(who.uid, 60)
    refused = await keepers("b").prepare(who, epoch=2, boot="b2", jid=rig.JID, handover=None)
    assert (refused.outcome, refused.database) == (PrepareOutcome.NEWER_ENGINE, None)


async def test_a_new_pairing_keeps_the_old_devices_state_for_a_week(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    await paired(keeper, name)
    old = (await stored(store, name))[0]
    await keeper.release(who.uid, 60)
    fresh = await keeper.prepare(who, epoch=2, boot="bootaaaaaa", jid=None, handover=None, fresh=True)
    assert fresh.outcome is PrepareOutcome.FRESH
    assert fresh.database is not None
    await keeper.track(who.uid)
    rig.create(fresh.database, jid="491511234567:8@s.whatsapp.net")
    for _ in range(12):
        rig.change(fresh.database)
        await keeper.flush(who.uid, 60)
    for epoch in (3, 4):
        handover = await keeper.release(who.uid, 60)
        again = await keeper.prepare(who, epoch=epoch, boot="bootaaaaaa", jid=None, handover=handover)
        assert again.jid == "491511234567:8@s.whatsapp.net"
        assert again.database is not None
        await keeper.track(who.uid)
        for _ in range(10):
            rig.change(again.database)
            await keeper.flush(who.uid, 60)
    left = await stored(store, name)
    assert old in left
    assert 2 not in {ref.epoch for ref in left}  # proven superseded; the held one of epoch 1 stays


async def test_old_bases_of_an_epoch_are_cleaned_up(keepers: Keepers, name: str, store: ObjectStore) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name)
    for _ in range(2 * DELETE_TOGETHER):
        rig.change(database)
        await keeper.flush(who.uid, 60)
    await keeper.stop()
    # Those of one call may wait for it, and the last clean-up may have been cut off.
    assert len(await stored(store, name)) <= KEEP_OWN + DELETE_TOGETHER


async def test_a_missing_data_key_is_put_back_by_the_holder(keepers: Keepers, name: str, store: ObjectStore) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    await keeper.start()
    prepared = await keeper.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await store.delete(key_object(prefix(name)))
    await keeper.track(who.uid)
    rig.create(prepared.database)
    await keeper.flush(who.uid, 60)
    moved = await keepers("b").prepare(who, epoch=2, boot="b2", jid=rig.JID, handover=None)
    assert moved.outcome is PrepareOutcome.RESTORED


async def test_another_holders_data_key_wins_and_everything_is_sealed_anew(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    await keeper.start()
    prepared = await keeper.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await store.delete(key_object(prefix(name)))
    other = await keepers("b").prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert other.outcome is PrepareOutcome.FRESH  # made a data key of its own
    await keeper.track(who.uid)
    rig.create(prepared.database)
    await keeper.flush(who.uid, 60)
    moved = await keepers("c").prepare(who, epoch=2, boot="b2", jid=rig.JID, handover=None)
    assert moved.outcome is PrepareOutcome.RESTORED


async def test_a_damaged_local_file_is_replaced_by_the_stored_state(keepers: Keepers, name: str) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name)
    await keeper.stop()
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 3)
    back = await keepers("a").prepare(who, epoch=2, boot="b2", jid=rig.JID, handover=None)
    assert back.outcome is PrepareOutcome.RESTORED
    assert back.repair is not None


async def test_forget_leaves_nothing_in_the_pod_and_everything_in_the_store(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    database = await paired(keeper, name)
    await keeper.forget(who.uid)
    assert not database.parent.exists()
    assert keeper.replicated(who.uid) is None
    again = await keeper.prepare(who, epoch=2, boot="bootaaaaaa", jid=rig.JID, handover=None)
    assert again.outcome is PrepareOutcome.RESTORED


async def test_the_same_claim_again_after_the_file_was_lost_is_repaired_again(keepers: Keepers, name: str) -> None:
    keeper, who = keepers("a"), rig.identity(name)
    await paired(keeper, name)
    for expected in (5 + 64, 5 + 128):
        await keeper.forget(who.uid)
        again = await keeper.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
        assert again.outcome is PrepareOutcome.RESTORED
        assert again.database is not None
        assert set(rig.indexes(again.database).values()) == {expected}
    local = await keeper.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert (local.outcome, local.repair) == (PrepareOutcome.LOCAL, None)
    settings = replace(rig.settings(Path("/nowhere"), "http://127.0.0.1:1", ACCESS, SECRET), s3_region="x")
    assert "tests-secret" not in repr(settings)
