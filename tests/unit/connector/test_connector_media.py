"""Files of received messages: opened while they stream, believed when they are proven, not given up early."""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whatsam_connector.content.reading_parts import MediaSource
from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.messages.media.downloader import Downloader
from whatsam_connector.messages.media.errors import FetchFailed
from whatsam_connector.messages.media.outcomes import Again, Outcome, Settled, judge
from whatsam_connector.messages.media.sealed import Damaged, Opener, TooLarge
from whatsam_connector.messages.media.work import Fetched, MediaItem, Route
from whatsam_core.media import media_key
from whatsam_core.storage.objects import ObjectInfo, ObjectStoreUnreachable
from whatsam_simulator.crypto.media import SealedMedia, seal

MOST = 10_000
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def opener(sealed: SealedMedia, kind: str = "image", most: int = MOST, **changes: bytes) -> Opener:
    announced = {"sha256": sealed.plain_sha256, "enc_sha256": sealed.sealed_sha256, **changes}
    return Opener(kind, sealed.key, most_bytes=most, **announced)


def opened(found: Opener, data: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(found.feed(data[a:b]) for a, b in pairwise(places)) + found.finish()


@settings(deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=6))
@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
def test_whatever_the_pieces_the_file_comes_out(kind: str, plain: bytes, cuts: list[int]) -> None:
    sealed = seal(kind, plain)
    found = opener(sealed, kind)
    assert opened(found, sealed.sealed, cuts) == plain
    assert (found.size, found.sha256) == (len(plain), hashlib.sha256(plain).hexdigest())


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=100), st.integers(0, 10**6), st.integers(1, 255))
def test_one_wrong_bit_is_seen(plain: bytes, place: int, change: int) -> None:
    sealed = seal("image", plain)
    data = bytearray(sealed.sealed)
    data[place % len(data)] ^= change
    with pytest.raises(Damaged):
        opened(opener(sealed, sha256=b"", enc_sha256=b""), bytes(data), [])


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 25, 26, 41])
def test_a_file_that_ends_early_is_damaged(length: int) -> None:
    sealed = seal("image", bytes(100))
    with pytest.raises(Damaged):
        opened(opener(sealed), sealed.sealed[:length], [])


def test_another_kinds_key_or_hash_does_not_open_it() -> None:
    sealed = seal("image", b"plain")
    with pytest.raises(Damaged):
        opened(opener(sealed, "video"), sealed.sealed, [])
    with pytest.raises(Damaged, match="file's hash"):
        opened(opener(sealed, sha256=bytes(32), enc_sha256=b""), sealed.sealed, [])
    with pytest.raises(Damaged, match="encrypted"):
        opened(opener(sealed, enc_sha256=bytes(32)), sealed.sealed, [])


def test_a_file_that_is_larger_than_it_said_is_cut_off_while_it_comes() -> None:
    sealed = seal("image", bytes(5000))
    found = opener(sealed, most=1000)
    with pytest.raises(TooLarge):
        opened(found, sealed.sealed[:4000], list(range(0, 4000, 100)))
    assert found.size <= 1000 + 100


def test_attempts_grow_apart_and_end() -> None:
    waits: list[float] = []
    attempts = 0
    while isinstance(verdict := judge(Outcome.UNREACHABLE, attempts, chance=0.5), Again):
        assert verdict.counted
        waits.append(verdict.seconds)
        attempts += 1
    assert verdict == Settled("failed", Outcome.UNREACHABLE.value)
    assert waits == sorted(waits)
    assert waits[0] == 5.0
    assert waits[-1] == 3600.0
    assert sum(waits) > 6 * 3600


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.STORED, "stored"),
        (Outcome.GONE, "expired"),
        (Outcome.TOO_LARGE, "skipped"),
        (Outcome.IMPOSSIBLE, "failed"),
    ],
)
def test_some_outcomes_are_final_at_once(outcome: Outcome, state: str) -> None:
    verdict = judge(outcome, 0, chance=0.5)
    assert isinstance(verdict, Settled)
    assert verdict.state == state


def test_an_object_store_that_is_away_costs_no_attempt() -> None:
    verdict = judge(Outcome.STORE_AWAY, 100, chance=0.5)
    assert isinstance(verdict, Again)
    assert not verdict.counted


def item(session: str = "n/s1", content: bytes = b"plain") -> MediaItem:
    source = MediaSource("image", "/v/1", bytes(32), b"", b"", len(content), "image/png", None)
    return MediaItem(uuid4(), NOW, session, "t-1", source, 0)


@dataclass
class World:
    """The work list, WhatsApp's host and the object store."""

    pending: list[MediaItem] = field(default_factory=list[MediaItem])
    settled: dict[UUID, tuple[str, str | None]] = field(default_factory=dict[UUID, tuple[str, str | None]])
    put_back: list[Again] = field(default_factory=list[Again])
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    modified: datetime = NOW
    puts: int = 0
    failure: FetchFailed | None = None
    store_away: bool = False
    database_away: bool = False
    under_way: list[str] = field(default_factory=list[str])
    most_at_once: dict[str, int] = field(default_factory=dict[str, int])
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    paths: list[Path] = field(default_factory=list[Path])

    async def claim(self, sessions: Mapping[str, int], boot: str, seconds: float) -> list[MediaItem]:
        if self.database_away:
            raise DatabaseUnavailable("away")
        found: list[MediaItem] = []
        for session, most in sessions.items():
            found += [one for one in self.pending if one.session == session][:most]
        self.pending = [one for one in self.pending if one not in found]
        return found

    async def settle(self, item: MediaItem, settled: Settled, fetched: Fetched | None, key: str | None) -> None:
        if self.database_away:
            self.changed.set()
            raise DatabaseUnavailable("away")
        self.settled[item.message_id] = (settled.state, key)
        self.changed.set()

    async def again(self, item: MediaItem, again: Again) -> None:
        self.put_back.append(again)
        if not again.error:
            self.pending.append(item)
        self.changed.set()

    async def release(self, boot: str) -> None:
        self.pending.append(item("released"))

    async def fetch(self, source: MediaSource, path: Path, route: Route) -> Fetched:
        task = asyncio.current_task()
        assert task is not None
        self.under_way.append(task.get_name())
        self.changed.set()
        self.most_at_once["all"] = max(self.most_at_once.get("all", 0), len(self.under_way))
        self.paths.append(path)
        await self.gate.wait()
        self.under_way.remove(task.get_name())
        await asyncio.to_thread(path.write_bytes, b"plain")
        if self.failure is not None:
            raise self.failure
        return Fetched(hashlib.sha256(b"plain").hexdigest(), 5)

    async def close(self) -> None:
        """Nothing is open."""

    async def stat(self, key: str) -> ObjectInfo | None:
        return ObjectInfo(key, 5, self.modified) if key in self.objects else None

    async def put_file(self, key: str, path: Path, *, content_type: str, encrypt: bool) -> None:
        if self.store_away:
            raise ObjectStoreUnreachable("away")
        self.puts += 1
        self.objects[key] = await asyncio.to_thread(path.read_bytes)

    async def until_settled(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.settled) + len([one for one in self.put_back if one.error]) < count:
                self.changed.clear()
                await self.changed.wait()

    async def until_under_way(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.under_way) < count:
                self.changed.clear()
                await self.changed.wait()


def downloader(world: World, folder: Path, *sessions: str, at_once: int = 4) -> Downloader:
    routes = {session: Route(None, 1000) for session in sessions or ("n/s1",)}
    return Downloader(
        world, world, world, folder / "downloads",
        boot="b", installation_id="whatsam", now=lambda: NOW, routes=lambda: routes, at_once=at_once,
        chance=lambda: 0.5,
    )  # fmt: skip


async def work(world: World, folder: Path, count: int, *sessions: str, at_once: int = 4) -> None:
    task = asyncio.create_task(downloader(world, folder, *sessions, at_once=at_once).run())
    try:
        await world.until_settled(count)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_file_lies_under_its_content_before_its_row_says_so(tmp_path: Path) -> None:
    world = World([item()])
    world.gate.set()
    await work(world, tmp_path, 1)
    key = media_key("whatsam", "t-1", hashlib.sha256(b"plain").hexdigest())
    assert world.objects == {key: b"plain"}
    assert list(world.settled.values()) == [("stored", key)]
    assert list((tmp_path / "downloads").iterdir()) == []


async def test_the_same_file_is_put_once_and_again_when_it_is_old(tmp_path: Path) -> None:
    world = World([item(), item()])
    world.gate.set()
    await work(world, tmp_path, 2, at_once=1)
    assert world.puts == 1
    world.pending, world.modified = [item()], NOW - timedelta(hours=13)
    await work(world, tmp_path, 3)
    assert world.puts == 2


@pytest.mark.parametrize(
    ("outcome", "state"), [(Outcome.GONE, "expired"), (Outcome.TOO_LARGE, "skipped"), (Outcome.IMPOSSIBLE, "failed")]
)
async def test_what_cannot_be_had_is_said(outcome: Outcome, state: str, tmp_path: Path) -> None:
    world = World([item()], failure=FetchFailed(outcome))
    world.gate.set()
    await work(world, tmp_path, 1)
    assert list(world.settled.values()) == [(state, None)]
    assert not world.objects


async def test_a_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    world = World([item()], store_away=True)
    world.gate.set()
    await work(world, tmp_path, 1)
    assert not world.settled
    assert [one.counted for one in world.put_back] == [False]


async def test_one_session_does_not_take_every_place(tmp_path: Path) -> None:
    world = World([*(item("n/greedy") for _ in range(10)), item("n/modest")])
    task = asyncio.create_task(downloader(world, tmp_path, "n/greedy", "n/modest", at_once=3).run())
    await world.until_under_way(3)
    modest = [one for one in world.pending if one.session == "n/modest"]
    assert not modest
    world.gate.set()
    await world.until_settled(11)
    task.cancel()
    await asyncio.wait([task])
    assert world.most_at_once["all"] == 3


async def test_what_is_left_of_a_dead_process_is_swept_and_what_is_in_hand_let_go(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "left").write_bytes(os.urandom(10))
    world = World([item()])
    task = asyncio.create_task(downloader(world, tmp_path).run())
    await world.until_under_way(1)
    assert not (tmp_path / "downloads" / "left").exists()
    task.cancel()
    await asyncio.wait([task])
    assert [one.session for one in world.pending] == ["released"]
    assert not any(path.exists() for path in world.paths)


async def test_a_database_that_is_away_ends_nothing(tmp_path: Path) -> None:
    world = World([item()])
    task = asyncio.create_task(downloader(world, tmp_path).run())
    await world.until_under_way(1)
    async with asyncio.timeout(10):
        world.database_away = True
        world.gate.set()
        world.changed.clear()
        await world.changed.wait()
        assert not task.done()
        world.database_away = False
        world.pending = [item()]
        await world.until_settled(1)
    task.cancel()
    await asyncio.wait([task])
    assert [state for state, _key in world.settled.values()] == ["stored"]
