"""Forwarded look-ups and changes: whom they reach, what bounds them, and what callers are told."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from connector_rig import UID, Rig, connector
from connector_virtual import VirtualClock, run, until

from whatsam_connector.http.calls import Calls
from whatsam_connector.http.engine_calls import IN_ALL, PER_SESSION, CallEnd, Declined, EngineCalls, Value
from whatsam_connector.http.holding import Address, Refusal
from whatsam_connector.supervision import EngineRefused, EngineUncertain, EngineUnresponsive

HERE = Address(UID, 1, "boot1")
PERSON = "491511000002@s.whatsapp.net"


def engine_calls(rig: Rig, folder: Path) -> EngineCalls:
    forwarded = Calls(
        boot="boot1",
        find=rig.worker.runner,
        may_work=lambda: rig.tenure.holds(VirtualClock().boottime()),
        rows=rig.rows,
        waiters=rig.waiters,
        monotonic=VirtualClock().monotonic,
    )
    return EngineCalls(forwarded.holder_of, folder)


def test_a_call_reaches_the_engine_of_its_session(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            calls = engine_calls(rig, tmp_path / "pictures")
            assert await calls.call(HERE, "group", {"jid": "1@g.us"}, 5) == Value({"answer": 1})
            assert engine.asked == [(UID, "group", {"jid": "1@g.us"})]
            for method in ("upload", "exec", "", "__class__"):
                assert await calls.call(HERE, method, {}, 5) is CallEnd.UNKNOWN_METHOD
            assert len(engine.asked) == 1

    run(story())


def test_a_call_for_somebody_else_reaches_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            calls = engine_calls(rig, tmp_path)
            for address, refusal in (
                (Address(UID, 2, "boot1"), Refusal.STALE_EPOCH),
                (Address(UID, 1, "boot0"), Refusal.NOT_HOLDER),
                (Address("uid-s9", 1, "boot1"), Refusal.NOT_HOLDER),
            ):
                assert await calls.call(address, "groups", {}, 5) is refusal
            rig.leases.away = True
            await until(lambda: rig.tenure.fenced)
            assert await calls.call(HERE, "groups", {}, 5) is Refusal.FENCED
            assert engine.asked == []

    run(story())


def test_a_session_that_is_not_connected_is_asked_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.show_code()
            assert await engine_calls(rig, tmp_path).call(HERE, "groups", {}, 5) is CallEnd.NOT_CONNECTED

    run(story())


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (EngineRefused("NotFound", "gone"), Declined("NotFound", "gone")),
        (EngineRefused("NotConnected", ""), CallEnd.NOT_CONNECTED),
        (EngineRefused("EngineGone", ""), CallEnd.NOT_CONNECTED),
        (EngineRefused("NotStarted", ""), CallEnd.BUSY),
        (EngineUncertain("?"), CallEnd.UNCERTAIN),
        (EngineUnresponsive("?"), CallEnd.TIMED_OUT),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "half"), Declined("Invalid", "the arguments cannot be passed on")),
    ],
)
def test_how_calls_end(tmp_path: Path, error: Exception, end: object) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.outcome = [error]
            assert await engine_calls(rig, tmp_path).call(HERE, "group", {}, 5) == end

    run(story())


def test_no_caller_names_a_file_and_pictures_are_files_only_while_they_are_needed(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            folder = tmp_path / "pictures"
            folder.mkdir()
            (folder / "picture-of-a-killed-boot").write_bytes(b"JPEG")
            calls = engine_calls(rig, folder)
            seen: list[bytes | None] = []
            ask = engine.call

            async def look(uid: str, method: str, arguments: dict[str, Any], timeout: float) -> Any:
                path = arguments["path"]
                seen.append(None if path is None else Path(path).read_bytes())  # noqa: ASYNC240 - a few bytes
                assert "picture" not in arguments
                return await ask(uid, method, arguments, timeout)

            engine.call = look
            for picture in (base64.b64encode(b"JPEG").decode(), None):
                answer = await calls.call(HERE, "set_group_picture", {"jid": "1@g.us", "picture": picture}, 5)
                assert isinstance(answer, Value)
            engine.outcome = [EngineUncertain("?")]
            assert await calls.call(HERE, "set_profile_picture", {"picture": "aaaa"}, 5) is CallEnd.UNCERTAIN
            assert seen[:2] == [b"JPEG", None]
            assert list(folder.iterdir()) == []
            engine.call = ask
            before = len(engine.asked)
            for method, arguments in (
                ("set_group_picture", {"path": "/etc/passwd"}),
                ("group", {"path": "/etc/passwd"}),
                ("set_group_picture", {"picture": "not base64!"}),
                ("set_group_picture", {"picture": 17}),
            ):
                refused = await calls.call(HERE, method, arguments, 5)
                assert isinstance(refused, Declined), method
                assert refused.code == "Invalid"
            assert len(engine.asked) == before

    run(story())


def test_few_calls_wait_at_a_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.pause = 60
            calls = engine_calls(rig, tmp_path)
            waiting = [asyncio.create_task(calls.call(HERE, "groups", {}, 100)) for _ in range(PER_SESSION)]
            await until(lambda: len(engine.asked) == PER_SESSION)
            assert await calls.call(HERE, "groups", {}, 100) is CallEnd.BUSY
            waiting[0].cancel()
            await asyncio.wait({waiting[0]})
            engine.pause = 0.01
            assert isinstance(await calls.call(HERE, "groups", {}, 100), Value)
            assert PER_SESSION < IN_ALL

    run(story())


def test_a_timer_for_a_person_uses_send_credit_and_one_for_a_group_does_not(tmp_path: Path) -> None:
    """Every message to a person moves a chain: those that the store may lack are bounded, whoever sends them."""

    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            calls = engine_calls(rig, tmp_path)

            async def timer(chat: str) -> object:
                return await calls.call(HERE, "set_disappearing", {"chat": chat, "seconds": 0}, 5)

            ends = [await timer(PERSON) for _ in range(40)]
            done = sum(isinstance(end, Value) for end in ends)
            assert (done, ends[done:]) == (32, [CallEnd.BUSY] * 8)
            assert isinstance(await timer("1@g.us"), Value)
            rig.state.store(UID)
            assert isinstance(await timer(PERSON), Value)
            assert len(engine.asked) == 34

    run(story())


def test_a_question_for_older_history_uses_send_credit(tmp_path: Path) -> None:
    """It is a message to the own phone, and moves the chain to it."""

    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            calls = engine_calls(rig, tmp_path)

            async def older() -> object:
                return await calls.call(HERE, "request_history", {"chat": PERSON, "count": 50}, 5)

            ends = [await older() for _ in range(33)]
            assert [isinstance(end, Value) for end in ends] == [True] * 32 + [False]
            assert ends[-1] is CallEnd.BUSY
            assert len(engine.asked) == 32
            rig.state.store(UID)
            assert isinstance(await older(), Value)

    run(story())
