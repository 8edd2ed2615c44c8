"""The engine in Go on disks that are full or broken: it acknowledges nothing more, says so, and goes on when it can.

A journal that nobody works off: `test_engine_journal_flow.py`.
"""

import asyncio
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from connector_engine_losses import ids, until

from bench.engines import Account, Disk, Engines, cut_power
from whatsam_connector.engine.events import ConnectFailure, JournalFull
from whatsam_connector.journal import Limits
from whatsam_connector.supervision import ExitReason

SMALL_DISK = 16 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A genuine file system with little room."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this container may not mount file systems")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


async def say(engines: Engines, sender: str, account: Account, count: int, size: int = 200) -> list[str]:
    texts = [(sender, account.number, f"{number}".ljust(size)) for number in range(count)]
    return await asyncio.to_thread(engines.simulator.say_all, texts)


def fill(folder: Path) -> Path:
    """Takes what room is left on a disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


@pytest.mark.parametrize(
    "disk",
    [Disk(room=6000), Disk(fail_syncs=5, failed_syncs=1)],
    ids=["no-space", "a-sync-that-fails-once"],
)
async def test_a_disk_that_refuses_ends_the_engine_and_nothing_is_lost(
    engines: Engines, program: list[str], contact: str, new_account: Callable[..., Account], tmp_path: Path, disk: Disk
) -> None:
    """Two sessions: a disk that refuses one of them refuses all."""
    accounts = [new_account() for _ in range(2)]
    await engines.pair(accounts, program)
    engine = await engines.connected(accounts, program, disk)
    said = [await say(engines, contact, account, 20) for account in accounts]
    ended = await engine.exited()
    assert (ended.reason, ended.code) == (ExitReason.JOURNAL_FAILED, 75)
    for account in accounts:
        cut_power(account, None, random.Random(0))  # noqa: S311 - no secret
    assert any(len(ids(account)) < 20 for account in accounts)
    await engines.connected(accounts, program)
    for account, wanted in zip(accounts, said, strict=True):
        await until(lambda one=account, all_of=wanted: set(ids(one)) >= set(all_of))


async def test_a_disk_that_is_nearly_full_is_told_before_it_is_full(
    engines: Engines, program: list[str], contact: str, new_account: Callable[..., Account], tmp_path: Path
) -> None:
    account = new_account()
    await engines.pair([account], program)
    account.limits = Limits(least_free_bytes=20_000)
    engine = await engines.connected([account], program, Disk(room=30_000))
    said = await say(engines, contact, account, 100)
    await engine.said(JournalFull, [account])
    assert [event.reason for event in engine.events if isinstance(event, JournalFull)] == ["the disk is nearly full"]
    assert (await engine.process.stop(30)).reason is ExitReason.CLEAN
    kept = ids(account)
    assert kept == said[: len(kept)]
    assert 0 < len(kept) < len(said)
    await engines.connected([account], program)
    await until(lambda: ids(account) == said)


async def test_a_genuine_full_disk(
    engines: Engines,
    program: list[str],
    contact: str,
    new_account: Callable[..., Account],
    tmp_path: Path,
    small_disk: Path,
) -> None:
    """The journal alone is on the small disk."""
    account = new_account()
    account.journal.symlink_to(small_disk, target_is_directory=True)
    await engines.pair([account], program)
    engine = await engines.connected([account], program)
    first = await say(engines, contact, account, 10)
    await until(lambda: set(ids(account)) >= set(first))
    filler = fill(small_disk)
    said = await say(engines, contact, account, 100)
    assert (await engine.exited()).reason is ExitReason.JOURNAL_FAILED
    again = await engines.start([account], program)
    assert (await again.exited()).reason is ExitReason.JOURNAL_FAILED, "there is still no room"
    filler.unlink()
    await engines.connected([account], program)
    await until(lambda: set(ids(account)) >= set(said))


async def test_a_session_whose_own_file_has_no_room(
    engines: Engines,
    program: list[str],
    contact: str,
    new_account: Callable[..., Account],
    tmp_path: Path,
    small_disk: Path,
) -> None:
    """A message whose keys cannot be written is not asked for again: it stays at WhatsApp."""
    account = new_account(small_disk)
    journal = tmp_path / "journal"
    journal.mkdir()
    account.journal.symlink_to(journal, target_is_directory=True)
    await engines.pair([account], program)
    engine = await engines.connected([account], program)
    first = await say(engines, contact, account, 1)
    await until(lambda: set(ids(account)) >= set(first))
    filler = fill(small_disk)
    said = await say(engines, contact, account, 60)
    ended = await engine.exited()
    assert ended.reason is ExitReason.CONNECT_FAILED
    assert "the session's file" in next(e.reason for e in engine.events if isinstance(e, ConnectFailure))
    filler.unlink()
    await engines.connected([account], program)
    await until(lambda: set(ids(account)) >= set(said))
    assert account.unreadable() == []
    assert len(ids(account)) == len({message.event_id for message in account.messages()})


async def test_one_session_without_room_leaves_its_neighbour_alone(
    engines: Engines,
    program: list[str],
    contact: str,
    new_account: Callable[..., Account],
    tmp_path: Path,
    small_disk: Path,
) -> None:
    poor, rich = new_account(small_disk), new_account()
    journal = tmp_path / "journal"
    journal.mkdir()
    poor.journal.symlink_to(journal, target_is_directory=True)
    await engines.pair([poor, rich], program)
    engine = await engines.connected([poor, rich], program)
    filler = fill(small_disk)
    said = await say(engines, contact, poor, 60)
    await engine.said(ConnectFailure, [poor])
    others = await say(engines, contact, rich, 10)
    await until(lambda: set(ids(rich)) >= set(others))
    await engine.process.disconnect(poor.uid)
    filler.unlink()
    await engines.connected([replace(poor)], program)
    await until(lambda: set(ids(poor)) >= set(said))
    assert poor.unreadable() == []
