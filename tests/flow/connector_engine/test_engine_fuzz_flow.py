"""Whatever comes over the socket: an engine ends only as it should, answers each request, touches no other session."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from connector_engine_bare import Bare, talking
from connector_engine_rig import Rig, journal_entries, message_of
from connector_engines import Engine, Kind
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whatsam_connector.content.building import plain_text
from whatsam_connector.engine.events import Connected, JournalAdvanced, KeysUploaded, OfflineDrained
from whatsam_connector.engine.methods import METHODS
from whatsam_connector.engine.protocol import (
    Answer,
    Arm,
    Call,
    Cancel,
    Disconnect,
    ExitCode,
    Logout,
    Ping,
    Refused,
    Send,
    Sent,
    SessionStart,
    Start,
    Stop,
    ToEngine,
    for_engine,
)
from whatsam_connector.engine.wire import LENGTH, WireError, frame, frame_length, to_json
from whatsam_connector.fence import boottime
from whatsam_connector.journal import Reader
from whatsam_connector.journal.room import Limits

WORDS = [
    "",
    "u",
    "3EB0",
    "\x00",
    "\ud83d",
    "ä👋",
    "x" * 5000,
    "../..",
    "49171@s.whatsapp.net",
    "1@lid",
    "@",
    "1203630@g.us",
]
NUMBERS = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 0.5, -0.0, 1e300, 10**400]

values = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.sampled_from(WORDS) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["is", "id", "uid", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def _process_codes(examples: dict[Kind, int], engine: Engine) -> Any:
    """Settings of a test for which every example costs a process (or its time)."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(max_examples=examples[engine.kind], deadline=None, database=None, suppress_health_check=checks)


# --- what is garbage --------------------------------------------------------------------------------------------------

VALID: list[ToEngine] = [
    Ping(1),
    Arm(2, 1e12),
    Send(3, "u", "49171@s.whatsapp.net", b"\x0a\x01x", None),
    Send(4, "u", "49171@s.whatsapp.net", b"", "3EB0"),
    Call(5, "u", "groups", "{}"),
    Cancel(5),
    Disconnect(6, "u"),
    Logout(7, "u"),
]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A frame's body: a message that the supervisor may send, with something wrong in it, mostly."""
    fields: dict[str, Any] = to_json(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from([*fields, "more"]))
        if draw(st.booleans()):
            fields[name] = draw(values)
        else:
            fields.pop(name, None)
    text = json.dumps(fields, ensure_ascii=draw(st.booleans()))
    body = text.encode("utf-8", "surrogatepass")
    kind = draw(st.sampled_from(["whole", "whole", "cut", "more", "bytes"]))
    if kind == "cut":
        return body[: draw(st.integers(0, len(body)))]
    if kind == "more":
        return body + draw(st.sampled_from([b" ", b"\n", b"\x00", b"{}", b"]", b"\xff"]))
    if kind == "bytes":
        return draw(st.binary(max_size=40))
    return body


streams = st.lists(
    st.one_of(
        bodies().map(lambda body: LENGTH.pack(len(body)) + body),
        bodies().map(lambda body: LENGTH.pack(len(body) + 1) + body),
        st.binary(max_size=12),
        st.sampled_from([b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x00\x00\x00\x01{", b"\x02\x00\x00\x01{}"]),
        st.just(frame(Ping(1))),
    ),
    min_size=1,
    max_size=4,
).map(b"".join)


REFUSED_DEADLINE = {-signal.SIGKILL, ExitCode.FENCE_NOT_ARMED, ExitCode.ENGINE_FAILED}
"""The deadline was in the past, or no timer takes it."""


def wanted(stream: bytes) -> set[int]:
    """The exit codes with which an engine may answer these bytes and the end of the socket behind them."""
    allowed: set[int] = set()
    place = 0
    while len(stream) - place >= LENGTH.size:
        try:
            length = frame_length(stream[place : place + LENGTH.size])
            if len(stream) - place - LENGTH.size < length:
                break
            message = for_engine.decode(stream[place + LENGTH.size : place + LENGTH.size + length])
        except WireError:
            return allowed | {ExitCode.PROTOCOL_ERROR}
        place += LENGTH.size + length
        if isinstance(message, Arm):
            allowed |= REFUSED_DEADLINE
        if isinstance(message, Stop):
            allowed.add(ExitCode.CLEAN)
    return allowed | {ExitCode.PARENT_GONE}


def test_both_sides_mean_the_same_by_garbage(engine: Engine, tmp_path: Path) -> None:
    """An engine ends with PROTOCOL_ERROR where our own decoder finds garbage, and with PARENT_GONE elsewhere."""

    @_process_codes({Kind.NEONIZE: 8, Kind.WHATSMEOW: 120}, engine)
    @given(streams)
    def check(stream: bytes) -> None:
        bare = Bare(engine, tmp_path, deadline=boottime() + 600, parent=os.getpid())
        with bare.hello() as connection:
            try:
                connection.sendall(stream)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has ended over the first of it
            assert bare.code() in wanted(stream)

    check()


@pytest.mark.parametrize("deadline", [0.0, -1.0, -1e300, 5e-324, 1e18, 1e300])
def test_no_deadline_leaves_an_engine_without_fence(engine: Engine, tmp_path: Path, deadline: float) -> None:
    """It is armed as it was told, or the process is gone."""
    bare = Bare(engine, tmp_path, deadline=boottime() + 600, parent=os.getpid())
    with bare.hello() as connection:
        connection.sendall(frame(Arm(1, deadline)))
        connection.shutdown(socket.SHUT_WR)
        assert bare.code() in {*REFUSED_DEADLINE, ExitCode.PARENT_GONE}


def test_a_second_start_is_garbage(engine: Engine, tmp_path: Path, rig_environment: dict[str, str]) -> None:
    bare = Bare(engine, tmp_path, deadline=boottime() + 600, parent=os.getpid(), environment=rig_environment)
    start = Start((_start("u", tmp_path / "s.db", tmp_path / "journal", None),))
    with bare.hello() as connection:
        connection.sendall(frame(start) * 2)
        assert bare.code() == ExitCode.PROTOCOL_ERROR


def _start(uid: str, database: Path, journal: Path, jid: str | None) -> SessionStart:
    limits = Limits()
    method = "QR" if jid is None else None
    return SessionStart(
        uid, str(database), str(journal), jid, method, None, None, False, limits.most_bytes, limits.least_free_bytes
    )


# --- what is well-formed and wild -------------------------------------------------------------------------------------

NAMES = [
    *("about", "action", "announce", "archived", "available", "before", "call_id", "chat", "chats", "count"),
    *("description", "from", "from_me", "jid", "jids", "keep", "kind", "lid", "link", "locked", "message_id"),
    *("message_ids", "muted", "name", "participants", "path", "phone", "phones", "pinned", "played", "preview"),
    *("reset", "seconds", "sender", "state", "subject", "timestamp", "unread", "until", "value"),
]
WILD_NUMBERS = [0, -1, 2**31, 2**63, 2**64, -(2**70), 10**30, 0.5, 1e308]
LONG = ["x" * 200_000, ["49171@s.whatsapp.net"] * 3000, [[]] * 1000, {"a": [{}] * 1000}]

wild = st.recursive(
    st.none() | st.booleans() | st.sampled_from(WILD_NUMBERS) | st.sampled_from(WORDS) | st.sampled_from(LONG),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=5,
)
arguments = st.one_of(
    st.dictionaries(st.sampled_from(NAMES), wild, max_size=6).map(json.dumps),
    st.sampled_from(
        ["", "[]", "null", "{", "{}", "[" * 3000, '{"a":' * 1500 + "1" + "}" * 1500, "\x00", "\ud83d", "1e999", "NaN"]
    ),
)
ELSE = ["another", "", "\x00", "one "]


@st.composite
def requests(draw: st.DrawFn) -> Callable[[int], ToEngine]:
    """A request that lacks its id."""
    uid = draw(st.sampled_from(["one", "one", "one", *ELSE]))
    kind = draw(st.sampled_from(["send", "call", "call", "call", "other", "ping"]))
    if kind == "send":
        to, content = draw(st.sampled_from(WORDS) | st.text(max_size=30)), draw(st.binary(max_size=30))
        own = draw(st.none() | st.sampled_from(WORDS))
        return lambda number: Send(number, uid, to, content, own)
    if kind == "call":
        method = draw(st.sampled_from([*METHODS, "", "levitate", "Do", "\x00"]))
        given_ = draw(arguments)
        return lambda number: Call(number, uid, method, given_)
    other = draw(st.sampled_from(ELSE))
    if kind == "other":
        leave = draw(st.booleans())
        return lambda number: Disconnect(number, other) if leave else Logout(number, other)
    return Ping


async def test_wild_contents_are_refused_and_touch_nobody_else(
    rig: Rig, rig_environment: dict[str, str], new_number: Callable[[], str]
) -> None:
    one, two = rig.account(new_number()), rig.account(new_number())
    contact = rig.contact(new_number())
    for account in (one, two):
        await (await rig.pair(account)).process.stop(20)
    number = iter(range(1, 10**9))

    def life() -> None:
        with talking(rig.engine, rig.folder, rig_environment) as talk:
            talk.say(
                Start(
                    tuple(
                        _start(uid, each.database, each.journal, each.jid) for uid, each in (("one", one), ("two", two))
                    )
                )
            )
            talk.hear(lambda: {event.uid for event in talk.events if isinstance(event, Connected)} == {"one", "two"})

            @_process_codes({Kind.NEONIZE: 20, Kind.WHATSMEOW: 80}, rig.engine)
            @given(st.lists(requests(), max_size=6))
            def check(made: list[Callable[[int], ToEngine]]) -> None:
                talk.answers.clear()
                talk.events.clear()
                asked = [(next(number), request) for request in made]
                talk.say(*(request(each) for each, request in asked))
                # Whoever asks gives up some time; what is not answered by then ends with that.
                talk.say(Ping(last := next(number)))
                talk.hear(lambda: last in talk.answered())
                talk.say(*(Cancel(each) for each, _ in asked), Cancel(next(number)))
                talk.hear(lambda: {each for each, _ in asked} <= set(talk.answered()))
                answered = talk.answered()
                assert len(answered) == len(set(answered)), "each request has one answer"
                for answer in talk.answers:
                    request = next((request(each) for each, request in asked if each == answer.id), None)
                    if isinstance(request, Send | Call | Logout | Disconnect) and request.uid != "one":
                        assert isinstance(answer, Refused)
                        assert answer.code in ("UnknownSession", "Unsupported")
                # The other session may still be finishing its start, and nothing else happens to it.
                others = {type(event) for event in talk.events if event.uid != "one"}
                assert others <= {OfflineDrained, JournalAdvanced, KeysUploaded}

            check()
            talk.events.clear()
            to = f"{contact}@s.whatsapp.net"
            talk.say(Send(last := next(number), "two", to, plain_text("not concerned"), None))
            talk.hear(lambda: last in talk.answered())
            assert isinstance(talk.answers[-1], Sent)

    await asyncio.to_thread(life)
    assert await rig.texts(contact, 1) == ["not concerned"]
    await rig.say(contact, two.number, "still there")
    await rig.resume(two)
    assert [message_of(entry).text for entry in await journal_entries(Reader(two.journal), 1)] == ["still there"]


def _number(answer: Answer) -> int:
    return answer.id


async def test_a_method_that_no_engine_has_is_unsupported(
    rig: Rig, rig_environment: dict[str, str], new_number: Callable[[], str]
) -> None:
    account = rig.account(new_number())

    def life() -> list[Answer]:
        with talking(rig.engine, rig.folder, rig_environment) as talk:
            talk.say(Start((_start("one", account.database, account.journal, None),)))
            talk.say(Call(1, "one", "levitate", "{}"), Call(2, "another", "groups", "{}"), Call(3, "one", "", ""))
            talk.hear(lambda: {1, 2, 3} <= set(talk.answered()))
            return sorted(talk.answers, key=_number)

    codes = [answer.code for answer in await asyncio.to_thread(life) if isinstance(answer, Refused)]
    assert codes == ["Unsupported", "UnknownSession", "Unsupported"]
