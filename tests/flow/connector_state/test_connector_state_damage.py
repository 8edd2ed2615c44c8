"""What each damage to the object store comes to: an older state, repaired, or a stop with a reason. Never a pairing.

The table is the one of docs/auth-state.md. Every case damages the state that a session left in order, starts it on
another pod, and looks that nothing of what was there was deleted or replaced.
"""

import base64
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import connector_state_rig as rig
import pytest
from connector_state_weed import ACCESS, SECRET, Weed

from whatsam_connector.state import KeyRing, PrepareOutcome, RepairMode, StateKeeper
from whatsam_connector.state.data_keys import create
from whatsam_core.sessions_state import bases_of, key_object, session_prefix
from whatsam_core.storage.objects import ObjectStore

pytestmark = pytest.mark.timeout(300)

Keepers = Callable[..., StateKeeper]


@dataclass
class Scene:
    """A session with states of two epochs in the store, the newest of them a base, and nobody who runs it."""

    store: ObjectStore
    name: str

    @property
    def prefix(self) -> str:
        return session_prefix("tests", "tests", self.name)

    async def newest(self) -> str:
        return bases_of([item.key for item in await self.store.list(self.prefix)])[0].key

    async def change(self, key: str, how: Callable[[bytes], bytes]) -> None:
        await self.store.put(key, how(await self.store.get(key)))


def flipped(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes([raw[middle] ^ 0x10]) + raw[middle + 1 :]


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) * 2 // 3]


async def newest_missing(scene: Scene) -> None:
    await scene.store.delete(await scene.newest())


async def newest_flipped(scene: Scene) -> None:
    await scene.change(await scene.newest(), flipped)


async def newest_cut(scene: Scene) -> None:
    await scene.change(await scene.newest(), cut)


async def newest_empty(scene: Scene) -> None:
    await scene.change(await scene.newest(), lambda _: b"")


async def newest_of_another_session(scene: Scene) -> None:
    """As long and as well formed as ours, sealed for another place."""
    await scene.change(await scene.newest(), lambda raw: raw.replace(b"tests/s-", b"tests/x-"))


async def newest_of_a_newer_connector(scene: Scene) -> None:
    await scene.change(await scene.newest(), lambda raw: raw[:8] + b"\x07" + raw[9:-16] + b"?" * 16)


async def an_old_epoch_late(scene: Scene) -> None:
    """A writer that was replaced long ago ends its PUT now."""
    listed = bases_of([item.key for item in await scene.store.list(scene.prefix)])
    oldest = listed[-1]
    late = oldest.key.replace(f"base-{oldest.seq:010d}", f"base-{oldest.seq + 50:010d}")
    await scene.store.put(late, await scene.store.get(oldest.key))


async def all_bases_cut(scene: Scene) -> None:
    for ref in bases_of([item.key for item in await scene.store.list(scene.prefix)]):
        await scene.change(ref.key, cut)


async def key_missing(scene: Scene) -> None:
    await scene.store.delete(key_object(scene.prefix))


async def key_flipped(scene: Scene) -> None:
    def flip(raw: bytes) -> bytes:
        record = json.loads(raw)
        record["wrapped"] = base64.b64encode(flipped(base64.b64decode(record["wrapped"]))).decode()
        return json.dumps(record).encode()

    await scene.change(key_object(scene.prefix), flip)


async def key_cut(scene: Scene) -> None:
    await scene.change(key_object(scene.prefix), cut)


async def key_of_another_session(scene: Scene) -> None:
    other = session_prefix("tests", "tests", f"{scene.name}-other")
    await create(scene.store, rig.RING, other, "t-one", rig.NOW)
    await scene.store.put(key_object(scene.prefix), await scene.store.get(key_object(other)))


async def key_of_another_tenant(scene: Scene) -> None:
    await scene.change(key_object(scene.prefix), lambda raw: raw.replace(b'"t-one"', b'"t-two"'))


async def key_wrapped_by_a_key_we_lack(scene: Scene) -> None:
    await scene.store.delete(key_object(scene.prefix))
    await create(scene.store, KeyRing("theirs", {"theirs": b"9" * 32}), scene.prefix, "t-one", rig.NOW)


async def emptied(scene: Scene) -> None:
    await scene.store.delete_prefix("tests/")


Damage = Callable[[Scene], Awaitable[None]]
RESTORED, DAMAGED = PrepareOutcome.RESTORED, PrepareOutcome.DAMAGED

CASES: list[tuple[Damage, PrepareOutcome, RepairMode | None, str]] = [
    # damage, outcome, how an older or uncertain state was repaired, what people are told
    (newest_missing, RESTORED, RepairMode.DROP_SESSIONS, "newer state is lost"),
    (newest_flipped, RESTORED, RepairMode.DROP_SESSIONS, "newer state is lost"),
    (newest_cut, RESTORED, RepairMode.DROP_SESSIONS, "newer state is lost"),
    (newest_empty, RESTORED, RepairMode.DROP_SESSIONS, "newer state is lost"),
    (newest_of_another_session, RESTORED, RepairMode.DROP_SESSIONS, "newer state is lost"),
    (newest_of_a_newer_connector, PrepareOutcome.NEWER_ENGINE, None, "newer connector"),
    (an_old_epoch_late, RESTORED, None, "exactly what the last holder handed over"),
    (all_bases_cut, DAMAGED, None, "can be read"),
    (key_missing, DAMAGED, None, "data key is gone"),
    (key_flipped, DAMAGED, None, "does not open with ring key 'k1'"),
    (key_cut, DAMAGED, None, "not readable"),
    (key_of_another_session, DAMAGED, None, "does not open with ring key 'k1'"),
    (key_of_another_tenant, DAMAGED, None, "does not open with ring key 'k1'"),
    (key_wrapped_by_a_key_we_lack, PrepareOutcome.KEY_MISSING, None, "'theirs'"),
    (emptied, PrepareOutcome.MISSING, None, "neither in the store nor in this pod"),
]


@pytest.fixture
async def keepers(tmp_path: Path, weed: Weed, store: ObjectStore) -> AsyncIterator[Keepers]:
    made: list[StateKeeper] = []

    def make(pod: str) -> StateKeeper:
        made.append(rig.keeper(rig.settings(tmp_path / pod, weed.url, ACCESS, SECRET), rig.Heard()))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


@pytest.mark.parametrize(
    ("damage", "outcome", "mode", "told"), CASES, ids=[getattr(case[0], "__name__", "?") for case in CASES]
)
async def test_damage(
    keepers: Keepers, store: ObjectStore, damage: Damage, outcome: PrepareOutcome, mode: RepairMode | None, told: str
) -> None:
    scene = Scene(store, f"s-{uuid.uuid4().hex[:8]}")
    who, holder = rig.identity(scene.name), keepers("holder")
    await holder.start()
    fresh = await holder.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert fresh.database is not None
    await holder.track(who.uid)
    rig.create(fresh.database)
    await holder.flush(who.uid, 60)
    handover = await holder.release(who.uid, 60)
    again = await holder.prepare(who, epoch=2, boot="bootaaaaaa", jid=rig.JID, handover=handover)
    assert again.database is not None
    handover = await holder.release(who.uid, 60)
    await damage(scene)
    before = {item.key: await store.get(item.key) for item in await store.list("tests/")}

    prepared = await keepers("next").prepare(who, epoch=3, boot="bootbbbbbb", jid=rig.JID, handover=handover)

    assert prepared.outcome is outcome, prepared
    assert told in prepared.message
    assert (prepared.database is not None) is (outcome is RESTORED)
    assert prepared.fell_back is (mode is RepairMode.DROP_SESSIONS)
    if outcome is RESTORED:
        assert prepared.jid == rig.JID
        assert prepared.repair is None if mode is None else prepared.repair is not None
        assert prepared.repair is None or prepared.repair.mode is mode
    after = {item.key: await store.get(item.key) for item in await store.list("tests/")}
    assert {key: after.get(key) for key in before} == before
    if outcome is not RESTORED:
        assert after == before
