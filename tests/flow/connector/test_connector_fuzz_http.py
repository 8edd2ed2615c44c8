"""Whatever arrives at the connector's port: no answer is a 500, and only what names a session rightly reaches it."""

import asyncio
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from whatsam_connector.engine.methods import METHODS
from whatsam_connector.errors import TokenRefused
from whatsam_connector.http.calls import Calls
from whatsam_connector.http.engine_calls import INTERNAL, EngineCalls
from whatsam_connector.http.health import Health
from whatsam_connector.http.routes import create_app
from whatsam_connector.http.tokens import TokenChecker
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.sessions.runner import SessionRunner
from whatsam_connector.supervision import EngineRefused, EngineUncertain

BOOT = "boot1"
EPOCHS = {"uid-a": 3, "uid-b": 4}
GOOD = "Bearer good"


class Tokens:
    """Knows one good token."""

    async def check(self, authorization: str | None) -> None:
        if authorization != GOOD:
            raise TokenRefused("not that one")


@dataclass
class Runner:
    """A session that notes everything that reaches it."""

    uid: str
    epoch: int
    touched: list[str]
    answers: list[Any] = field(default_factory=list[Any])
    state: Any = field(default_factory=lambda: SimpleNamespace(stage=SimpleNamespace(final=False), may_send=True))

    @property
    def key(self) -> str:
        return f"ns/{self.uid}"

    @property
    def outbox(self) -> "Runner":
        return self

    def wake(self, _message: UUID | None = None) -> None:
        self.touched.append(self.uid)

    @contextmanager
    def beside(self) -> Generator[bool]:
        yield True

    async def call(self, method: str, arguments: dict[str, Any], timeout: float) -> Any:
        assert method in METHODS
        assert method not in INTERNAL
        assert isinstance(arguments, dict)
        assert 0 <= timeout <= 60
        json.dumps(arguments)
        self.touched.append(self.uid)
        answer = self.answers[len(self.touched) % len(self.answers)]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Rows:
    """A database without messages that notes who was looked for."""

    def __init__(self, touched: list[str]) -> None:
        self._touched = touched

    async def view(self, session: str, message: UUID) -> None:
        self._touched.append(session.removeprefix("ns/"))


ANSWERS: list[Any] = [
    {"a": [1, None, "ä\ud800"]},
    None,
    EngineRefused("NotFound", "x"),
    EngineRefused("NotConnected", "x"),
    EngineUncertain("x"),
    float("nan"),
]


class Door:
    """The application, called as a server would."""

    def __init__(self, folder: Path) -> None:
        self.touched: list[str] = []
        runners = {uid: Runner(uid, epoch, self.touched, ANSWERS) for uid, epoch in EPOCHS.items()}
        calls = Calls(
            boot=BOOT,
            find=lambda uid: cast("SessionRunner | None", runners.get(uid)),
            may_work=lambda: True,
            rows=Rows(self.touched),
            waiters=Waiters(),
            monotonic=lambda: 0.0,
        )
        engine_calls = EngineCalls(calls.holder_of, folder)
        self._app = create_app(calls, engine_calls, cast("TokenChecker", Tokens()), cast("Health", None))

    async def call(
        self, verb: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: list[bytes]
    ) -> tuple[int, bytes]:
        pieces, status, answered = list(body), 0, b""

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0) if pieces else b""
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                answered += message.get("body", b"")

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": verb, "scheme": "http",
            "path": path, "raw_path": path.encode("utf-8", "surrogatepass"), "query_string": query, "root_path": "",
            "headers": headers, "client": ("10.0.0.1", 1), "server": ("10.0.0.2", 8080),
        }  # fmt: skip
        await self._app(scope, receive, send)
        return status, answered


@pytest.fixture(scope="module")
def loop() -> Generator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


uids = st.sampled_from([*EPOCHS, "uid-c", "", ".."]) | st.text(max_size=12)
words = st.sampled_from([*METHODS, "upload", "call", "__init__"]) | st.text(max_size=12)
messages = st.uuids().map(str) | st.text(max_size=12)
paths = st.one_of(
    st.builds("/sessions/{}/calls/{}".format, uids, words),
    st.builds("/sessions/{}/messages/{}/send".format, uids, messages),
    st.builds("/{}".format, st.text(max_size=30)),
)
values = st.sampled_from(
    [b"3", b"4", b"boot1", GOOD.encode(), b"", b"-1", b"9" * 5000, b"nan", b"3.0", b" 3", b"0x3"]
) | st.binary(max_size=20)
names = st.sampled_from(
    [b"x-whatsam-epoch", b"x-whatsam-boot", b"authorization", b"content-type", b"content-length", b"accept"]
)
right = st.sampled_from(
    [
        [(b"authorization", GOOD.encode()), (b"x-whatsam-boot", BOOT.encode()), (b"x-whatsam-epoch", epoch)]
        for epoch in (b"3", b"4")
    ]
)
headers = st.tuples(right | st.just([]), st.lists(st.tuples(names, values), max_size=4)).map(
    lambda parts: [*parts[0], *parts[1]]
)
queries = st.sampled_from(
    [b"", b"wait=5", b"wait=nan", b"wait=inf", b"wait=-1", b"wait=1e400", b"wait=60", b"wait=&wait=3"]
) | st.binary(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(
    st.sampled_from(["jid", "chat", "path", "picture", "phones", "participants", "seconds"]) | st.text(max_size=5),
    json_values,
    max_size=4,
)
bodies = st.one_of(
    st.just(b""),
    st.binary(max_size=40),
    json_values.map(lambda value: json.dumps(value).encode()),
    arguments.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b'{"a":"\\ud800"}',
            b'{"picture":"aGVsbG8="}',
            b"{" + b" " * 2_000_000 + b"}",
        ]
    ),
).map(lambda body: [body[start : start + 65_536] for start in range(0, len(body), 65_536)])


@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    verb=st.sampled_from(["POST", "POST", "POST", "GET", "DELETE", "OPTIONS", "WEIRD"]),
    path=paths,
    query=queries,
    sent=headers,
    body=bodies,
)
@example(
    verb="POST", path="/sessions/uid-a/calls/set_profile_picture", query=b"", body=[b'{"picture":"aGVsbG8="}'],
    sent=[(b"authorization", GOOD.encode()), (b"x-whatsam-boot", b"boot1"), (b"x-whatsam-epoch", b"3")],
)  # fmt: skip
@example(verb="POST", path="/sessions/uid-a/calls/0/", query=b"\x80", sent=[], body=[])
def test_nothing_is_a_500_and_nobody_is_touched_by_mistake(
    loop: asyncio.Runner,
    tmp_path: Path,
    verb: str,
    path: str,
    query: bytes,
    sent: list[tuple[bytes, bytes]],
    body: list[bytes],
) -> None:
    door = Door(tmp_path)
    # Health needs a whole worker and has tests of its own.
    if path in {"/live", "/ready", "/health", "/metrics"}:
        return
    status, answer = loop.run(door.call(verb, path, query, sent, body))
    assert status in {200, 202, 307, 400, 401, 403, 404, 405, 409, 413, 422, 429, 503, 504}, answer
    if door.touched:
        assert (verb, len(set(door.touched))) == ("POST", 1)
        uid = door.touched[0]
        assert path.startswith(f"/sessions/{uid}/")
        told = {name: {value.decode("latin-1") for other, value in sent if other == name} for name, _ in sent}
        assert GOOD in told[b"authorization"]
        assert BOOT in told[b"x-whatsam-boot"]
        assert EPOCHS[uid] in {_epoch(value) for value in told[b"x-whatsam-epoch"]}
    assert list(tmp_path.iterdir()) == []


def _epoch(text: str) -> int | None:
    try:
        return TypeAdapter(int).validate_python(text)
    except ValidationError:
        return int(text) if text.strip().isdigit() else None


def test_the_right_words_reach_the_right_session(loop: asyncio.Runner, tmp_path: Path) -> None:
    for uid, epoch in EPOCHS.items():
        door = Door(tmp_path)
        sent = [
            (b"authorization", GOOD.encode()),
            (b"x-whatsam-boot", BOOT.encode()),
            (b"x-whatsam-epoch", str(epoch).encode()),
        ]
        statuses = [
            loop.run(door.call("POST", f"/sessions/{uid}/calls/groups", b"wait=5", sent, [b"{}"]))[0] for _ in ANSWERS
        ]
        assert sorted(statuses) == [200, 200, 200, 422, 503, 504]
        assert set(door.touched) == {uid}
