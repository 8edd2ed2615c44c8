"""What the keeper promises to the connector's core, on real files and a real object store."""

import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import connector_state_rig as rig
import pytest
from connector_state_weed import ACCESS, SECRET, Weed

from whatsam_connector.state import (
    DeviceGone,
    NoDevice,
    PrepareOutcome,
    RepairMode,
    StateKeeper,
)
from whatsam_connector.state.local_files import machine_boot
from whatsam_core.sessions_state import bases_of, session_prefix
from whatsam_core.storage.objects import ObjectStore

Keepers = Callable[[str], StateKeeper]


@pytest.fixture
async def keepers(tmp_path: Path, weed: Weed, store: ObjectStore) -> AsyncIterator[Keepers]:
    """Makes keepers by pod name: the same name has the same local files, like a container that restarts in place."""
    made: list[StateKeeper] = []

    def make(pod: str) -> StateKeeper:
        made.append(rig.keeper(rig.settings(tmp_path / pod, weed.url, ACCESS, SECRET), rig.Heard()))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


@pytest.fixture
def name() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


async def keys(store: ObjectStore, name: str) -> list[str]:
    return [item.key for item in await store.list(session_prefix("tests", "tests", name))]


async def test_a_paired_state_comes_back_on_another_pod_with_its_chains_moved_forward(
    keepers: Keepers, name: str
) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.outcome is PrepareOutcome.FRESH
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    stored = await first.flush(who.uid, 60)
    assert stored.seq >= 1
    rig.change(prepared.database)
    again = await first.flush(who.uid, 60)
    assert again.seq > stored.seq

    second = keepers("b")
    await second.start()
    moved = await second.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert moved.outcome is PrepareOutcome.RESTORED
    assert moved.jid == rig.JID
    assert moved.repair is not None
    assert moved.repair.mode is RepairMode.ADVANCE
    assert moved.database is not None
    assert rig.counter(moved.database) == 1
    assert rig.indexes(moved.database) == {f"{n}_1:0": 69 for n in range(3)}


async def test_a_clean_handover_needs_no_repair(keepers: Keepers, name: str) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    await first.flush(who.uid, 60)
    rig.change(prepared.database)
    handover = await first.release(who.uid, 60)
    assert handover.epoch == 1

    second = keepers("b")
    await second.start()
    moved = await second.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=handover)
    assert moved.outcome is PrepareOutcome.RESTORED
    assert moved.repair is None
    assert moved.database is not None
    assert set(rig.indexes(moved.database).values()) == {5}
    assert rig.counter(moved.database) == 1


async def test_release_without_a_change_makes_no_new_base(keepers: Keepers, name: str, store: ObjectStore) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    stored = await first.flush(who.uid, 60)
    handover = await first.release(who.uid, 60)
    assert (handover.seq, handover.sha256) == (stored.seq, stored.sha256)
    assert bases_of(await keys(store, name))[0].seq == stored.seq


async def test_a_session_that_never_paired_has_nothing_to_hand_over(keepers: Keepers, name: str) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database, jid=None)
    with pytest.raises(NoDevice):
        await first.flush(who.uid, 60)
    handover = await first.release(who.uid, 60)
    assert (handover.seq, handover.sha256) == (0, "")
    again = await first.prepare(who, epoch=2, boot="bootaaaaaa", jid=None, handover=handover)
    assert again.outcome is PrepareOutcome.FRESH


async def test_a_container_that_restarts_in_place_goes_on_with_its_own_file(keepers: Keepers, name: str) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    await first.flush(who.uid, 60)
    await first.stop()
    rig.change(prepared.database)

    second = keepers("a")
    await second.start()
    back = await second.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert (back.outcome, back.repair) == (PrepareOutcome.LOCAL, None)
    assert back.database is not None
    assert rig.counter(back.database) == 1
    replicated = second.replicated(who.uid)
    assert replicated is not None  # the epoch is claimed in the store before an engine can start
    stale = await keepers("c").prepare(who, epoch=1, boot="bootaaaaaa", jid=rig.JID, handover=None)
    assert (stale.outcome, stale.store_epoch) == (PrepareOutcome.EPOCH_BEHIND, 2)


async def test_after_a_power_cut_the_store_is_believed_and_not_the_file(keepers: Keepers, name: str) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    rig.change(prepared.database)
    await first.flush(who.uid, 60)
    await first.stop()
    # The machine comes back with a file that is whole, but not the newest.
    rig.execute(prepared.database, "UPDATE counters SET n = 0")
    meta = prepared.database.with_name("meta.json")
    meta.write_text(meta.read_text().replace(machine_boot(), "another-boot"))

    second = keepers("a")
    await second.start()
    back = await second.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert back.outcome is PrepareOutcome.RESTORED
    assert back.repair is not None
    assert back.database is not None
    assert rig.counter(back.database) == 1


async def test_an_emptied_store_is_missing_never_a_new_pairing(keepers: Keepers, name: str, store: ObjectStore) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    await first.flush(who.uid, 60)
    await first.stop()
    await store.delete_prefix(session_prefix("tests", "tests", name))
    lost = await keepers("b").prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=None)
    assert (lost.outcome, lost.database) == (PrepareOutcome.MISSING, None)


async def test_state_of_another_tenant_is_refused(keepers: Keepers, name: str) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    await first.flush(who.uid, 60)
    other = rig.identity(name, tenant="t-two")
    refused = await keepers("b").prepare(other, epoch=2, boot="bootbbbbbb", jid=None, handover=None)
    assert refused.outcome is PrepareOutcome.FOREIGN_TENANT


async def test_a_file_that_lost_its_device_never_replaces_the_stored_state(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    stored = await first.flush(who.uid, 60)
    rig.execute(prepared.database, "DELETE FROM whatsmeow_device")
    with pytest.raises(DeviceGone):
        await first.flush(who.uid, 60)
    trouble = first.trouble(who.uid, 0.0)
    assert trouble is not None
    assert trouble.device_gone
    handover = await first.release(who.uid, 60)
    assert handover.seq == stored.seq
    assert bases_of(await keys(store, name))[0].seq == stored.seq
    back = await first.prepare(who, epoch=2, boot="bootaaaaaa", jid=rig.JID, handover=handover)
    assert back.outcome is PrepareOutcome.RESTORED
    assert back.repair is not None
    assert back.jid == rig.JID


# --- a successor ------------------------------------------------------------------------------------------------------


async def test_a_successor_starts_from_what_was_handed_over_after_its_preparation(
    keepers: Keepers, name: str, store: ObjectStore
) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    await first.flush(who.uid, 60)
    second = keepers("b")
    await second.start()
    before = await keys(store, name)
    rehearsed = await second.rehearse(who, epoch=2, boot="bootbbbbbb", jid=rig.JID)
    assert rehearsed.ready
    assert await keys(store, name) == before, "a rehearsal claims nothing"

    rig.change(prepared.database)  # the holder works on
    handover = await first.release(who.uid, 60)
    moved = await second.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=handover)
    assert moved.outcome is PrepareOutcome.RESTORED
    assert moved.repair is None, "exactly what was handed over"
    assert moved.database is not None
    assert rig.counter(moved.database) == 1


async def test_what_a_rehearsal_has_read_is_not_read_again(keepers: Keepers, name: str, tmp_path: Path) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    await first.flush(who.uid, 60)
    second = keepers("b")
    await second.start()
    assert (await second.rehearse(who, epoch=2, boot="bootbbbbbb", jid=rig.JID)).ready
    shelf = tmp_path / "b" / "prepared" / who.uid
    kept = list(shelf.iterdir())
    assert len(kept) == 1
    handover = await first.release(who.uid, 60)
    kept[0].write_bytes(kept[0].read_bytes()[:-7])  # a torn copy is not taken for the store's word
    moved = await second.prepare(who, epoch=2, boot="bootbbbbbb", jid=rig.JID, handover=handover)
    assert (moved.outcome, moved.repair) == (PrepareOutcome.RESTORED, None)
    assert not shelf.exists()


async def test_a_holder_keeps_what_is_damaged_in_the_store(keepers: Keepers, name: str, store: ObjectStore) -> None:
    first, who = keepers("a"), rig.identity(name)
    await first.start()
    prepared = await first.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await first.track(who.uid)
    rig.create(prepared.database)
    await first.flush(who.uid, 60)
    rig.change(prepared.database)
    await first.flush(who.uid, 60)
    newest = bases_of(await keys(store, name))[0].key
    sealed = await store.get(newest)
    await store.put(newest, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    second = keepers("b")
    await second.start()
    rehearsed = await second.rehearse(who, epoch=2, boot="bootbbbbbb", jid=rig.JID)
    assert rehearsed.outcome is PrepareOutcome.DAMAGED
    assert not rehearsed.ready
