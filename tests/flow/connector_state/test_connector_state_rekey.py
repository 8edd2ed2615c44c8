"""`whatsam-connector rekey`: every data key ends up under the current key of the ring, whatever happens meanwhile."""

import asyncio
import base64
import json
import os
import pty
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import connector_state_rig as rig
import pytest
from connector_state_weed import ACCESS, SECRET, Weed

from whatsam_connector.state import KeyRing, PrepareOutcome, StateKeeper
from whatsam_connector.state.data_keys import create, find
from whatsam_connector.state.rekeying import Tally, Wrapping, rekey
from whatsam_core.sessions_state import WrappedKey, key_object, session_prefix
from whatsam_core.storage.objects import ObjectStore, ObjectStoreUnreachable

pytestmark = pytest.mark.timeout(300)

BOTH = KeyRing("k2", {**rig.RING.keys, "k2": b"2" * 32})
NEW = KeyRing("k2", {"k2": b"2" * 32})

Keepers = Callable[..., StateKeeper]


@pytest.fixture
def installation() -> str:
    return f"i-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def heard() -> rig.Heard:
    return rig.Heard()


@pytest.fixture
async def keepers(
    tmp_path: Path, weed: Weed, store: ObjectStore, heard: rig.Heard, installation: str
) -> AsyncIterator[Keepers]:
    made: list[StateKeeper] = []

    def make(pod: str, ring: KeyRing) -> StateKeeper:
        settings = rig.settings(tmp_path / pod, weed.url, ACCESS, SECRET, key_ring=ring, installation_id=installation)
        made.append(rig.keeper(settings, heard))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def some_keys(store: ObjectStore, installation: str, count: int) -> dict[str, bytes]:
    """Data keys of that many sessions, wrapped by the old key."""
    made: dict[str, bytes] = {}
    for number in range(count):
        prefix = session_prefix(installation, "tests", f"s-{number}")
        key = await create(store, rig.RING, prefix, "t-one", rig.NOW)
        await store.put(f"{prefix}e0000000001-boot/base-0000000001", b"a state")
        made[prefix] = key.value
    return made


async def ids(store: ObjectStore, made: dict[str, bytes]) -> set[str]:
    """Ring keys in use; every data key is still the one that was made."""
    found: set[str] = set()
    for prefix, value in made.items():
        key = await find(store, BOTH, prefix)
        assert key is not None
        assert key.value == value
        found.add(key.record.key_id)
    return found


async def run(store: ObjectStore, ring: KeyRing, installation: str, *, write: bool = True) -> Tally:
    return await rekey(store, ring, installation, write=write, progress=lambda _done, _total: None, first_wait=0.01)


def environment(weed: Weed, installation: str, ring: KeyRing) -> dict[str, str]:
    keys = {name: base64.b64encode(key).decode() for name, key in ring.keys.items()}
    return {
        "PATH": os.environ["PATH"],
        "TERM": "xterm",
        "WHATSAM_S3_URL": weed.url,
        "WHATSAM_S3_ACCESS_KEY": ACCESS,
        "WHATSAM_S3_SECRET_KEY": SECRET,
        "WHATSAM_S3_BUCKET": "whatsam-state",
        "WHATSAM_INSTALLATION_ID": installation,
        "WHATSAM_KEYRING": json.dumps({"current": ring.current, "keys": keys}),
    }


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).parent / "whatsam-connector"), "rekey", *arguments]


async def test_a_session_that_runs_does_not_notice_and_needs_the_old_key_no_more(
    keepers: Keepers, store: ObjectStore, installation: str, heard: rig.Heard
) -> None:
    keeper, who = keepers("a", rig.RING), rig.identity("s-runs")
    await keeper.start()
    prepared = await keeper.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await keeper.track(who.uid)
    rig.create(prepared.database)
    before = await keeper.flush(who.uid, 60)
    tally = await run(store, BOTH, installation)
    assert dict(tally.by_wrapping) == {Wrapping.REWRAPPED: 1}
    assert tally.dispensable(BOTH) == ["k1"]
    rig.change(prepared.database)
    assert (await keeper.flush(who.uid, 60)).seq == before.seq + 1
    # A shipper that begins anew compares its key with the store's.
    pid = keeper.shipper_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    rig.change(prepared.database)
    assert (await keeper.flush(who.uid, 100)).seq == before.seq + 2
    assert heard.trouble == []
    handover = await keeper.release(who.uid, 60)
    moved = await keepers("b", NEW).prepare(who, epoch=2, boot="b2", jid=rig.JID, handover=handover)
    assert (moved.outcome, moved.repair) == (PrepareOutcome.RESTORED, None)


async def test_a_ring_that_lacks_a_needed_key_refuses_by_its_name_and_loses_nothing(
    keepers: Keepers, store: ObjectStore, installation: str
) -> None:
    keeper, who = keepers("a", rig.RING), rig.identity("s-lacks")
    await keeper.start()
    prepared = await keeper.prepare(who, epoch=1, boot="bootaaaaaa", jid=None, handover=None)
    assert prepared.database is not None
    await keeper.track(who.uid)
    rig.create(prepared.database)
    await keeper.flush(who.uid, 60)
    handover = await keeper.release(who.uid, 60)
    before = [(item.key, await store.get(item.key)) for item in await store.list(f"{installation}/")]
    lacking = keepers("b", NEW)
    refused = await lacking.prepare(who, epoch=2, boot="b2", jid=rig.JID, handover=handover)
    assert (refused.outcome, refused.database) == (PrepareOutcome.KEY_MISSING, None)
    assert "'k1'" in refused.message
    rehearsed = await lacking.rehearse(who, epoch=2, boot="b2", jid=rig.JID)
    assert (rehearsed.outcome, rehearsed.ready) == (PrepareOutcome.KEY_MISSING, False)
    tally = await run(store, NEW, installation)
    assert dict(tally.by_wrapping) == {Wrapping.LACKS_KEY: 1}
    assert [(item.key, await store.get(item.key)) for item in await store.list(f"{installation}/")] == before
    back = await keepers("c", BOTH).prepare(who, epoch=2, boot="b2", jid=rig.JID, handover=handover)
    assert (back.outcome, back.repair) == (PrepareOutcome.RESTORED, None)


async def test_two_at_once_and_one_that_is_killed_anywhere_end_at_the_same_place(
    store: ObjectStore, installation: str, weed: Weed
) -> None:
    made = await some_keys(store, installation, 40)
    killed = 0
    while await ids(store, made) != {"k2"}:
        process = await asyncio.create_subprocess_exec(
            *command(), env=environment(weed, installation, BOTH), stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        if killed < 2:
            await process.stderr.readline()  # its first line of progress: it is at work
            process.kill()
            killed += 1
            await process.wait()
        else:
            beside = await run(store, BOTH, installation)
            assert beside.problems == []
            await process.communicate()
            assert process.returncode == 0
    assert (await run(store, BOTH, installation)).by_wrapping == {Wrapping.CURRENT: 40}


async def test_what_does_not_open_is_told_and_left_alone(store: ObjectStore, installation: str, weed: Weed) -> None:
    made = await some_keys(store, installation, 4)
    cut, foreign, newer, fine = made
    await store.put(key_object(cut), b'{"keyId": "k1", "wrap')
    await store.put(key_object(foreign), await store.get(key_object(fine)))
    await store.put(key_object(newer), b'{"version": 2, "whatever": []}')
    before = {prefix: await store.get(key_object(prefix)) for prefix in made}
    process = await asyncio.create_subprocess_exec(
        *command(), env=environment(weed, installation, BOTH), stdout=asyncio.subprocess.PIPE
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 1
    assert "wrapped anew with k2: 1" in said
    assert "tests/s-0: does not open: the record of the data key is not readable" in said
    assert "tests/s-1: does not open: the data key does not open with ring key 'k1'" in said
    assert "tests/s-2: stored by a newer Whatsam: the record of the data key is written in form 2" in said
    assert "not needed here any more" not in said  # nobody knows what the others need
    after = {prefix: await store.get(key_object(prefix)) for prefix in made}
    assert {prefix for prefix in made if after[prefix] != before[prefix]} == {fine}


async def test_a_store_that_does_not_answer_is_asked_again(store: ObjectStore, installation: str) -> None:
    made = await some_keys(store, installation, 3)
    real, failures = store.put, iter([True, False, True, False])

    async def put(key: str, data: bytes, **more: float) -> None:
        arrives = next(failures, None)
        if arrives is not False:
            await real(key, data, **more)
        if arrives is not None:
            raise ObjectStoreUnreachable("no answer in time")

    store.put = put  # type: ignore[method-assign]
    tally = await run(store, BOTH, installation)
    assert tally.problems == []
    assert await ids(store, made) == {"k2"}


async def test_a_state_that_is_destroyed_meanwhile_stays_destroyed(store: ObjectStore, installation: str) -> None:
    made = await some_keys(store, installation, 1)
    (prefix,) = made
    real = store.get

    async def get(key: str, **more: float) -> bytes:
        found = await real(key, **more)
        store.get = real  # type: ignore[method-assign]
        await store.delete_prefix(prefix)  # the operator destroys the state between our read and our write
        return found

    store.get = get  # type: ignore[method-assign]
    tally = await run(store, BOTH, installation)
    assert dict(tally.by_wrapping) == {Wrapping.GONE: 1}
    assert await store.list(prefix) == []


async def test_a_look_changes_nothing_and_names_the_keys_in_use(
    store: ObjectStore, installation: str, weed: Weed
) -> None:
    made = await some_keys(store, installation, 3)
    first = next(iter(made))
    record = WrappedKey.read(await store.get(key_object(first)))
    await run(store, BOTH, f"{installation}x")  # another installation's
    process = await asyncio.create_subprocess_exec(
        *command("--check"),
        env=environment(weed, installation, BOTH),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, progress = await process.communicate()
    assert process.returncode == 1
    assert said.decode().splitlines() == ["data keys wrapped by k1 (in the ring): 3"]
    assert "looking: 3 of 3 sessions" in progress.decode()
    assert WrappedKey.read(await store.get(key_object(first))) == record


async def test_on_a_terminal_there_is_a_bar(store: ObjectStore, installation: str, weed: Weed) -> None:
    await some_keys(store, installation, 3)

    def on_a_terminal() -> tuple[int, str]:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            command(), env=environment(weed, installation, BOTH), stdout=theirs, stderr=theirs, stdin=theirs
        )
        os.close(theirs)
        said = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            said += more
        os.close(ours)
        return process.wait(), said.decode()

    code, said = await asyncio.to_thread(on_a_terminal)
    assert code == 0
    assert "3/3" in said
    assert "━" in said
    assert "data keys wrapped by k2 (current): 3" in said
    assert "not needed here any more: k1" in said


async def test_wrong_settings_are_refused_by_name(weed: Weed, installation: str) -> None:
    wrong = {**environment(weed, installation, BOTH), "WHATSAM_KEYRING": "{}"}
    process = await asyncio.create_subprocess_exec(*command(), env=wrong, stderr=asyncio.subprocess.PIPE)
    said = (await process.communicate())[1].decode()
    assert process.returncode == 2
    assert "WHATSAM_KEYRING" in said
