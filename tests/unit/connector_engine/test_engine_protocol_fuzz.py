"""Whatever one side of the engine's socket says, the other neither breaks nor touches a session that is not meant."""

import asyncio
import contextlib
import socket
import threading
import time
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whatsam_connector.engine import host as host_module
from whatsam_connector.engine import protocol
from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.engine.host import Host, Session, Tools
from whatsam_connector.engine.link import Link
from whatsam_connector.engine.methods import METHODS
from whatsam_connector.engine.protocol import (
    PROTOCOL_VERSION,
    Answer,
    Arm,
    Call,
    Cancel,
    Capabilities,
    Done,
    EventFrame,
    ExitCode,
    Hello,
    Logout,
    Ping,
    Refused,
    Result,
    Send,
    SessionStart,
    Start,
    ToEngine,
    ToParent,
    Uncertain,
)
from whatsam_connector.engine.wire import LENGTH, WireError, encode, frame
from whatsam_connector.fence import KernelTimer
from whatsam_connector.supervision import EngineError, EngineProcess, EngineSession, OutgoingMessage
from whatsam_connector.supervision.child import Child
from whatsam_connector.supervision.connection import EngineConnection

LIMIT_SECONDS = 20
INSTANT = datetime(2026, 1, 2, tzinfo=UTC)
MINE, OTHERS = "mine", "somebody else's"

words = st.sampled_from([MINE, OTHERS, "", "3EB0", "\x00", "\ud83d", "x" * 300])
numbers = st.integers(-1, 6) | st.sampled_from([2**31, 2**63, -(2**63)])
st.register_type_strategy(datetime, st.just(INSTANT))
st.register_type_strategy(str, words)
st.register_type_strategy(int, numbers)

from_engines = st.one_of([st.from_type(cast("type[ToParent]", kind)) for kind in typing.get_args(ToParent)])
garbage = st.one_of(
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda body: LENGTH.pack(len(body)) + body),
    st.sampled_from([b"\x00\x00\x00\x02{}", b"\xff\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n", frame(Ping(1))]),
)


# --- what an engine says ----------------------------------------------------------------------------------------------


class FakeChild:
    """A process that dies when it is killed."""

    def __init__(self) -> None:
        self.pid = 1
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.output = self
        self.detail = ""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def kill(self) -> None:
        if not self.ended.done():
            self.ended.set_result(-9)
            self.closed.set_result(None)


async def _speak(said: list[ToParent | bytes]) -> tuple[list[EngineEvent], list[str], bool]:
    """Let an engine say these things; what was heard, how the requests came out, and whether it was killed."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    child, heard = FakeChild(), list[EngineEvent]()
    hello = Hello(PROTOCOL_VERSION, "x", "1", 1, Capabilities(False, False, False), 1e12)
    process = EngineProcess(cast("Child", child), EngineConnection(reader, writer), hello)
    process.begin([EngineSession(MINE, Path("/d"), Path("/j"), None, None)], heard.append)
    requests = [
        process.send(MINE, OutgoingMessage("row", "49151", b"\x0a\x01x"), 0.05),
        process.call(MINE, "groups", {}, 0.05),
        process.call(MINE, "block", {"jid": "x"}, 0.05),
        process.ping(0.05),
        process.logout(MINE, 0.05),
    ]
    asked = [asyncio.create_task(cast("Any", request)) for request in requests]
    await asyncio.sleep(0)
    for message in said:
        theirs.sendall(message if isinstance(message, bytes) else frame(message))
    theirs.shutdown(socket.SHUT_WR)
    outcomes: list[str] = []
    for task in asked:
        try:
            await asyncio.wait_for(task, LIMIT_SECONDS)
            outcomes.append("done")
        except EngineError as error:
            outcomes.append(type(error).__name__)
    killed = child.ended.done()
    process.kill()
    await asyncio.wait_for(process.exited, LIMIT_SECONDS)
    theirs.close()
    writer.close()
    return heard, outcomes, killed


@given(st.lists(st.one_of(from_engines, garbage), max_size=8))
@settings(max_examples=40, deadline=None)
def test_nothing_that_an_engine_says_breaks_its_supervisor(said: list[ToParent | bytes]) -> None:
    heard, outcomes, _ = asyncio.run(_speak(said))
    assert {event.uid for event in heard} <= {MINE}
    assert len(outcomes) == 5  # each request has come to an end, in one of the errors that callers know


def test_an_event_of_another_session_is_the_end_of_the_engine() -> None:
    from whatsam_connector.engine.events import StreamReplaced

    heard, _, killed = asyncio.run(_speak([EventFrame(StreamReplaced(OTHERS)), EventFrame(StreamReplaced(MINE))]))
    assert killed
    assert OTHERS not in {event.uid for event in heard}


def test_an_answer_of_the_wrong_kind_is_no_success() -> None:
    wrong: list[ToParent | bytes] = [Done(1), Done(2), Result(3, "no json"), Result(4, "1"), Done(5)]
    _, outcomes, killed = asyncio.run(_speak(wrong))
    assert outcomes[:3] == ["EngineUncertain", "EngineUncertain", "EngineUncertain"]
    assert not killed


def test_a_message_that_is_too_large_is_refused_and_leaves_nothing_behind() -> None:
    async def too_large() -> str:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        child = FakeChild()
        hello = Hello(PROTOCOL_VERSION, "x", "1", 1, Capabilities(False, False, False), 1e12)
        process = EngineProcess(cast("Child", child), EngineConnection(reader, writer), hello)
        try:
            await process.send(MINE, OutgoingMessage("row", "49151", bytes(33 * 1024 * 1024)), 1)
        except EngineError as error:
            return str(getattr(error, "code", ""))
        finally:
            process.kill()
            await process.exited
            theirs.close()
            writer.close()
        return "sent"

    assert asyncio.run(too_large()) in {"TooLarge", "InvalidMessage"}


# --- what a supervisor says -------------------------------------------------------------------------------------------


class FakeLink:
    """The engine's end of the socket, without the socket."""

    def __init__(self, messages: list[ToEngine]) -> None:
        self._messages = messages
        self.said: list[ToParent] = []
        self._more = threading.Condition()

    def send(self, message: ToParent) -> None:
        with self._more:
            self.said.append(message)
            self._more.notify_all()

    def messages(self) -> Iterator[ToEngine]:
        yield from self._messages

    def answers(self, requests: set[int]) -> set[int]:
        """Wait until all of these requests are answered; the ids that were."""

        def answered() -> set[int]:
            return {said.id for said in self.said if isinstance(said, Answer)}

        with self._more:
            self._more.wait_for(lambda: requests <= answered(), LIMIT_SECONDS)
            return answered()


class FakeSession:
    """Remembers what it was asked for."""

    def __init__(self, uid: str) -> None:
        self.uid = uid
        self.asked: list[ToEngine] = []

    def send(self, request: Send) -> Answer:
        self.asked.append(request)
        return Uncertain(request.id, "who knows")

    def call(self, request: Call) -> Answer:
        self.asked.append(request)
        return Result(request.id, "null")

    def logout(self, request: Logout) -> Answer:
        self.asked.append(request)
        return Refused(request.id, "NotConnected", "")

    def disconnect(self) -> None:
        pass


class FakeEngine:
    name = "fake"
    capabilities = Capabilities(False, False, False)

    def __init__(self) -> None:
        self.sessions: dict[str, FakeSession] = {}

    def version(self) -> str:
        return "1"

    def load(self) -> None:
        pass

    def start(self, sessions: tuple[SessionStart, ...], tools: Tools) -> dict[str, Session]:
        del tools
        self.sessions = {session.uid: FakeSession(session.uid) for session in sessions}
        return {**self.sessions}


class FakeTimer:
    def arm(self, deadline: float) -> None:
        pass


class Ended(Exception):
    """The process would have ended."""


requests = st.one_of(
    st.builds(Ping, numbers),
    st.builds(Arm, numbers, st.floats(allow_nan=False)),
    st.builds(Send, numbers, words, words, st.binary(max_size=5), st.none() | words),
    st.builds(Call, numbers, words, st.sampled_from([*METHODS, "", "levitate"]), words),
    st.builds(Logout, numbers, words),
    st.builds(Cancel, numbers),
)


@given(said=st.lists(requests, max_size=12), second_start=st.booleans())
@settings(max_examples=60, deadline=None)
def test_nothing_that_a_supervisor_says_reaches_a_wrong_session(
    said: list[ToEngine], second_start: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("host")
    uids = ("one", MINE)
    start = Start(tuple(SessionStart(uid, "/d", str(folder / uid), None, None, None, None, False) for uid in uids))
    ends: list[ExitCode] = []

    def end(code: ExitCode, reason: str = "") -> None:
        del reason
        ends.append(code)
        raise Ended

    link, engine = FakeLink([start, *said, *([start] if second_start else [])]), FakeEngine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_module, "end", end)
        serving = Host(cast("Link", link), cast("KernelTimer", FakeTimer()), 1e12, engine)
        try:
            serving.serve()
        except Ended:
            assert second_start
        expected = {message.id for message in said if not isinstance(message, Cancel)}  # type: ignore[union-attr]
        assert link.answers(expected) >= expected
    assert ends in ([], [ExitCode.PROTOCOL_ERROR])
    deadline = time.monotonic() + LIMIT_SECONDS
    while not engine.sessions and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    for uid, session in engine.sessions.items():
        assert {cast("Any", request).uid for request in session.asked} <= {uid}


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_make_the_childs_reader_raise(data: bytes) -> None:
    """Everything is either a message or the end of the process with PROTOCOL_ERROR or PARENT_GONE."""
    for body in (data, encode(Ping(1))[: len(data)] + data, encode(Send(1, "u", "x", data, None))):
        with contextlib.suppress(WireError):
            protocol.for_engine.decode(body)
