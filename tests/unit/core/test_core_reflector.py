"""The reflector against a source that fails in every way an API server can."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from whatsam_core.storage.cluster_errors import ClusterError, Expired, Forbidden, Unreachable
from whatsam_core.storage.reflector import (
    Changed,
    Disconnected,
    ListResult,
    ReflectEvent,
    Reflector,
    ReflectTimings,
    Removed,
    Snapshot,
)

QUICK = ReflectTimings(first_delay=0.0, longest_delay=0.0, hasty_end=0.0)


def thing(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": thing(name, version)}


def gone() -> dict[str, Any]:
    return {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}


class Script:
    """A source that plays prepared answers and records what it was asked."""

    def __init__(self, lists: list[ListResult | ClusterError], watches: list[list[Any] | ClusterError]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[str] = []
        self.open = 0
        self.read_limits: list[float] = []
        self.reading = asyncio.Event()

    async def list(self, timeout: float) -> ListResult:
        self.asked.append("list")
        answer = self.lists.pop(0) if self.lists else await asyncio.Event().wait()
        if isinstance(answer, ClusterError):
            raise answer
        assert isinstance(answer, ListResult)
        return answer

    @asynccontextmanager
    async def watch(
        self, resource_version: str, *, seconds: float, head_timeout: float
    ) -> AsyncGenerator["ScriptedStream"]:
        self.asked.append(f"watch {resource_version}")
        answer = self.watches.pop(0) if self.watches else ["hang"]
        if isinstance(answer, ClusterError):
            raise answer
        self.open += 1
        try:
            yield ScriptedStream(answer, self.read_limits, self.reading)
        finally:
            self.open -= 1


class ScriptedStream:
    def __init__(self, script: list[Any], limits: list[float], reading: asyncio.Event) -> None:
        self.script = script
        self.limits = limits
        self.reading = reading

    async def next(self, timeout: float) -> dict[str, Any] | None:
        self.limits.append(timeout)
        self.reading.set()
        if not self.script:
            return None
        step = self.script.pop(0)
        if step == "hang":
            await asyncio.Event().wait()
        if isinstance(step, ClusterError):
            raise step
        return step


async def collect(source: Script, count: int, timings: ReflectTimings = QUICK) -> list[ReflectEvent]:
    events: list[ReflectEvent] = []
    async with asyncio.timeout(5), aclosing(Reflector(source, timings).events()) as stream:
        async for item in stream:
            events.append(item)
            if len(events) == count:
                break
    return events


async def test_lists_then_tells_each_change() -> None:
    source = Script(
        [ListResult([thing("a", 1)], "5")],
        [[event("ADDED", "b", 6), event("MODIFIED", "b", 7), event("DELETED", "b", 8), "hang"]],
    )
    events = await collect(source, 4)
    assert events == [
        Snapshot([thing("a", 1)]),
        Changed(thing("b", 6)),
        Changed(thing("b", 7)),
        Removed(thing("b", 8)),
    ]
    assert source.asked == ["list", "watch 5"]


async def test_a_watch_that_ends_in_peace_is_resumed_from_the_last_bookmark_without_a_list() -> None:
    source = Script(
        [ListResult([], "5")],
        [[event("ADDED", "a", 6), event("BOOKMARK", "", 40)], [event("ADDED", "b", 41), "hang"]],
    )
    events = await collect(source, 3)
    assert [type(item) for item in events] == [Snapshot, Changed, Changed]
    assert source.asked == ["list", "watch 5", "watch 40"]


@pytest.mark.parametrize("refusal", [[gone()], Expired("gone", status=410)], ids=["event", "status"])
async def test_an_expired_position_lists_again_and_is_no_outage(refusal: Any) -> None:
    source = Script([ListResult([], "5"), ListResult([thing("a", 90)], "99")], [refusal, ["hang"]])
    assert await collect(source, 2) == [Snapshot([]), Snapshot([thing("a", 90)])]
    assert source.asked[:3] == ["list", "watch 5", "list"]


async def test_a_broken_connection_is_resumed_once_in_silence() -> None:
    source = Script(
        [ListResult([], "5")],
        [[event("ADDED", "a", 6), Unreachable("reset")], [event("ADDED", "b", 7), "hang"]],
    )
    assert [type(item) for item in await collect(source, 3)] == [Snapshot, Changed, Changed]
    assert source.asked == ["list", "watch 5", "watch 6"]


async def test_an_outage_is_told_once_and_ends_with_a_snapshot() -> None:
    down = Unreachable("refused")
    source = Script(
        [ListResult([], "5"), down, down, down, ListResult([thing("a", 8)], "9")],
        [[down], down, ["hang"]],
    )
    events = await collect(source, 3)
    assert events == [Snapshot([]), Disconnected(down), Snapshot([thing("a", 8)])]
    assert source.asked[:7] == ["list", "watch 5", "watch 5", "list", "list", "list", "list"]


async def test_every_outage_is_told() -> None:
    down = Unreachable("refused")
    source = Script([down, ListResult([], "1"), ListResult([], "2")], [down, down, ["hang"]])
    assert [type(item) for item in await collect(source, 4)] == [Disconnected, Snapshot, Disconnected, Snapshot]


async def test_a_missing_right_is_told_and_tried_again() -> None:
    refused = Forbidden("may not list", status=403)
    source = Script([refused, refused, ListResult([], "1")], [["hang"]])
    assert await collect(source, 2) == [Disconnected(refused), Snapshot([])]


async def test_an_error_event_other_than_expired_does_not_trust_the_position() -> None:
    error = {"type": "ERROR", "object": {"code": 500, "message": "storage is initializing"}}
    source = Script([ListResult([], "5"), ListResult([], "7")], [[error], ["hang"]])
    events = await collect(source, 3)
    assert [type(item) for item in events] == [Snapshot, Disconnected, Snapshot]
    assert source.asked[:3] == ["list", "watch 5", "list"]


async def test_a_watch_that_ends_at_once_again_and_again_counts_as_an_outage() -> None:
    source = Script([ListResult([], "5"), ListResult([], "6")], [[], [], ["hang"]])
    events = await collect(source, 3, ReflectTimings(first_delay=0.0, longest_delay=0.0, hasty_end=60.0))
    assert [type(item) for item in events] == [Snapshot, Disconnected, Snapshot]


async def test_leaving_closes_the_watch() -> None:
    source = Script([ListResult([], "5")], [[event("ADDED", "a", 6), "hang"]])
    await collect(source, 2)
    assert source.open == 0


async def test_cancelling_closes_the_watch() -> None:
    source = Script([ListResult([], "5")], [["hang"]])
    task = asyncio.create_task(collect(source, 9))
    await source.reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.open == 0


async def test_a_read_is_bounded_by_the_end_of_the_watch_and_never_below_the_grace() -> None:
    now = [0.0]
    source = Script([ListResult([], "5")], [[event("ADDED", "a", 6), event("ADDED", "b", 7), "hang"]])
    timings = ReflectTimings(watch_seconds=20.0, grace_seconds=5.0)
    reflector = Reflector(source, timings, clock=lambda: now[0], chance=lambda: 1.0)
    async with aclosing(reflector.events()) as stream:
        await anext(stream)
        await anext(stream)
        now[0] = 300.0  # a consumer that thought for five minutes
        await anext(stream)
    assert source.read_limits == [25.0, 5.0]


async def test_waits_grow_to_the_longest_and_honour_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("whatsam_core.storage.reflector.asyncio.sleep", note)
    down: list[ListResult | ClusterError] = [Unreachable("down") for _ in range(5)]
    busy = Unreachable("too many requests", status=429, retry_after=9.0)
    source = Script([*down, busy, ListResult([], "1")], [["hang"]])
    reflector = Reflector(source, ReflectTimings(first_delay=1.0, longest_delay=4.0), chance=lambda: 1.0)
    async with aclosing(reflector.events()) as stream:
        assert isinstance(await anext(stream), Disconnected)
        assert isinstance(await anext(stream), Snapshot)
    assert waits == [1.0, 2.0, 4.0, 4.0, 4.0, 9.0]
