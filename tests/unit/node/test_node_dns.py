"""DNS answers, and that no message breaks the server."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_local.node.dns import TYPE_A, UDP_LIMIT, answer, parse_question

NAMES = {
    ("web", "default"): ["10.96.0.9"],
    ("empty", "default"): [],
    ("many", "default"): [f"10.88.1.{n}" for n in range(200)],
}


def resolve(labels: Sequence[str]) -> Sequence[str] | None:
    reached = tuple(labels)
    return NAMES.get((reached[0], reached[1])) if len(reached) == 2 else None


def query(name: str, kind: int = TYPE_A, extra: bytes = b"") -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1) + extra


def parse(message: bytes | None) -> tuple[int, bool, list[str]]:
    """Response code, whether it was cut, addresses."""
    assert message is not None
    identifier, flags, questions, answers, *_ = struct.unpack_from("!HHHHHH", message)
    assert identifier == 0x1234
    assert flags & 0x8000
    rest = message[12:]
    if questions:
        question = parse_question(struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + rest)
        assert question is not None
        rest = message[question.end :]
    addresses = [".".join(str(byte) for byte in rest[16 * n + 12 : 16 * n + 16]) for n in range(answers)]
    assert len(rest) == 16 * answers
    return flags & 0xF, bool(flags & 0x0200), addresses


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web.default.svc.cluster.local", (0, False, ["10.96.0.9"])),
        ("WEB.Default.SVC.cluster.local", (0, False, ["10.96.0.9"])),
        ("empty.default.svc.cluster.local", (0, False, [])),
        ("nothing.default.svc.cluster.local", (3, False, [])),
        ("web.example.com", (3, False, [])),
        ("local", (3, False, [])),
    ],
)
def test_answers(name: str, expected: tuple[int, bool, list[str]]) -> None:
    assert parse(answer(query(name), resolve)) == expected


def test_a_name_without_an_ipv6_address_exists_all_the_same() -> None:
    assert parse(answer(query("web.default.svc.cluster.local", 28), resolve)) == (0, False, [])


def test_extensions_behind_the_question_are_left_out() -> None:
    option = b"\0" + struct.pack("!HHIH", 41, 4096, 0, 0)
    assert parse(answer(query("web.default.svc.cluster.local", extra=option), resolve)) == (0, False, ["10.96.0.9"])


def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp() -> None:
    message = query("many.default.svc.cluster.local")
    cut = answer(message, resolve)
    assert cut is not None
    code, truncated, addresses = parse(cut)
    assert (code, truncated) == (0, True)
    assert 0 < len(addresses) < 200
    assert len(cut) <= UDP_LIMIT
    assert parse(answer(message, resolve, limit=None)) == (0, False, NAMES["many", "default"])


@given(st.binary(max_size=80))
def test_no_message_breaks_it(message: bytes) -> None:
    reply = answer(message, resolve)
    if reply is not None:
        assert reply[:2] == message[:2]
        assert reply[2] & 0x80


@given(st.binary(max_size=60))
def test_no_question_breaks_it(tail: bytes) -> None:
    reply = answer(struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + tail, resolve)
    assert reply is not None
    assert reply[3] & 0xF in (0, 1, 3)


def test_answers_are_not_answered() -> None:
    reply = answer(query("web.default.svc.cluster.local"), resolve)
    assert reply is not None
    assert answer(reply, resolve) is None
