"""The wire format takes exactly what the other side may say, and nothing else."""

from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.engine import events, protocol
from whatsam_connector.engine.protocol import (
    Arm,
    Capabilities,
    EventFrame,
    Hello,
    Send,
    Sent,
    SessionStart,
    Start,
    for_engine,
    for_parent,
)
from whatsam_connector.engine.wire import LENGTH, MAX_FRAME_BYTES, Decoder, WireError, encode, frame, frame_length
from whatsam_connector.journal import Position

INSTANT = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
PARENT_SAYS = [
    Start(
        (
            SessionStart("u", "/d", "/j", None, "Code", "49151", None, debug=False),
            SessionStart("v", "/d", "/j", "1:2@lid", None, None, "socks5://p:1", debug=True),
        )
    ),
    Arm(1, 12.5),
    Arm(1, 12),
    Send(2, "u", "49151@s.whatsapp.net", b"\x00\xff", None),
    protocol.Cancel(2),
    protocol.Stop(),
]
ENGINE_SAYS = [
    Hello(1, "neonize", "0.5.2", 7, Capabilities(False, False, True), 5.0),
    protocol.Started(),
    Sent(2, "3EB0", INSTANT),
    protocol.Refused(2, "NotConnected", "…"),
    EventFrame(events.QrShown("u", "2@x", INSTANT)),
    EventFrame(events.Paired("u", "1:2@s.whatsapp.net", "3@lid", "1", None)),
    EventFrame(events.PasskeyRequested("u", '{"challenge":"AA"}', INSTANT)),
    EventFrame(events.PasskeyConfirmationShown("u", None, INSTANT)),
    EventFrame(events.PasskeyConfirmationShown("u", "ABCD-EFGH", INSTANT)),
    EventFrame(events.PairingEnded("u", events.PairingEnd.OUTDATED)),
    EventFrame(events.JournalAdvanced("u", Position(1, 2), 3.25)),
    EventFrame(events.RetryRequested("u", "3@lid", ("a", "b"))),
    EventFrame(events.StreamReplaced("u")),
]


@pytest.mark.parametrize("message", PARENT_SAYS, ids=lambda message: type(message).__name__)
def test_what_the_parent_says_arrives_as_it_was(message: object) -> None:
    assert for_engine.decode(encode(message)) == message


@pytest.mark.parametrize("message", ENGINE_SAYS, ids=lambda message: str(message)[:30])
def test_what_the_engine_says_arrives_as_it_was(message: object) -> None:
    assert for_parent.decode(encode(message)) == message


def test_every_event_names_its_session() -> None:
    kinds = [value for value in vars(events).values() if isinstance(value, type) and is_dataclass(value)]
    assert len(kinds) > 15
    assert all(fields(kind)[0].name == "uid" for kind in kinds if kind is not Position)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"null",
        b"{}",
        b'{"is":"Start"}',
        b'{"is":"Stop","more":1}',
        b'{"is":"Hello","id":1}',
        b'{"is":"Ping","id":"1"}',
        b'{"is":"Ping","id":true}',
        b'{"is":"Ping","id":1.0}',
        b'{"is":"Arm","id":1,"deadline":"soon"}',
        b'{"is":"Arm","id":1,"deadline":true}',
        b'{"is":"Arm","id":1,"deadline":1' + b"0" * 400 + b"}",
        b'{"is":"Arm","id":1,"deadline":NaN}',
        b'{"is":"Arm","id":1,"deadline":Infinity}',
        b'{"is":"Send","id":1,"uid":"u","to":"x","message":"no base64!","message_id":null}',
        b'{"is":"Start","sessions":[{"is":"Ping","id":1}]}',
        b'{"is":"Start","sessions":{"a":1}}',
        b'{"is":"Start","sessions":' + b"[" * 100_000,
    ],
)
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        for_engine.decode(body)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        for_engine.decode(body)
    except WireError:
        return
    pytest.fail("random bytes were taken for a message")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@dataclass(frozen=True)
class Everything:
    """One field of each kind."""

    number: int
    text: str | None
    flag: bool
    real: float
    data: bytes
    instant: datetime
    ends: tuple[events.PairingEnd, ...]
    inner: Position


@given(field=st.sampled_from([field.name for field in fields(Everything)]), value=JSON)
def test_a_field_of_the_wrong_type_is_refused_and_a_right_one_kept(field: str, value: Any) -> None:
    import json

    good = Everything(1, "t", True, 0.5, b"x", INSTANT, (events.PairingEnd.ERROR,), Position(1, 2))
    changed = json.loads(encode(good))
    changed[field] = value
    try:
        decoded = Decoder(Everything).decode(json.dumps(changed).encode())
    except WireError:
        return
    kept = getattr(decoded, field)
    assert isinstance(kept, int | str | bool | float | bytes | datetime | tuple | type(None) | Position)
    if field == "number":
        assert type(kept) is int
    if field == "flag":
        assert type(kept) is bool


def test_a_length_that_nobody_sends_is_refused() -> None:
    for length in (0, 1, MAX_FRAME_BYTES + 1, 0x47455420):  # the last one is what "GET " would mean
        with pytest.raises(WireError):
            frame_length(LENGTH.pack(length))


def test_a_message_above_the_limit_is_not_sent() -> None:
    with pytest.raises(WireError):
        frame(Send(1, "u", "x", bytes(MAX_FRAME_BYTES), None))


def test_texts_with_lone_surrogates_survive() -> None:
    message = protocol.Refused(1, "c", "\ud83d")
    assert for_parent.decode(encode(message)) == message
