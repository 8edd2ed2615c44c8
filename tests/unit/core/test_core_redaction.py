"""Nothing private reaches a log line, and what helps is left."""

import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_core import logging as core_logging
from whatsam_core.redaction import MASK, redact_text, redact_value

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln-bmF0dXJl"
QR = "2@Zm9vYmFyYmF6cXV4,abcDEF+/123=,ghi=,jkl="


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sent to 491511000001 now", "sent to ***01 now"),
        ("sent to +49 151 1000-001", "sent to ***01"),
        ("number:491511000001,", "number:***01,"),
        ("491511000001@s.whatsapp.net left", "***01@s.whatsapp.net left"),
        ("491511000001:12@s.whatsapp.net", "***01@s.whatsapp.net"),
        ("491511000001.0:3@s.whatsapp.net", "***01@s.whatsapp.net"),
        ("123456789012345@lid", "***45@lid"),
        ("120363000000000001@g.us", "***01@g.us"),
        (f"token {JWT}!", f"token {MASK}!"),
        ("Authorization: Bearer abcdefghijkl", f"Authorization: Bearer {MASK}"),
        ("postgresql://whatsam:pa55@db:5432/x", f"postgresql://whatsam:{MASK}@db:5432/x"),
        (f"shows {QR}", f"shows {MASK}"),
        (f"https://wa.me/settings/linked_devices#{QR}", f"https://wa.me/settings/linked_devices#{MASK}"),
        ("type ABCD-1234 on the phone", f"type {MASK} on the phone"),
    ],
)
def test_private_things_are_masked_wherever_they_stand(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "pod default-6d5b7c9f8-x2x4z",
        "uid 12345678-1234-1234-1234-123456789012",
        "from 10.88.0.17:8080 after 12.345678901 s",
        "e0000000012-abcdefghij/base-0000000042",
        "2026-01-02T03:04:05.123456Z",
        "409: resource version 1234567",
        "neonize-0.5.2",
    ],
)
def test_what_helps_is_left(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "key",
    ["password", "jwt_secret", "s3SecretKey", "access-token", "pairingCode", "qr", "text", "caption", "database_url"],
)
def test_keys_that_are_private_whatever_they_hold(key: str) -> None:
    assert redact_value(key, "harmless") == MASK
    assert redact_value(key, {"inner": 1}) == MASK


@pytest.mark.parametrize("key", ["resource_version", "resourceVersion", "seq", "epoch", "uid", "bytes", "timestamp"])
def test_numbers_under_keys_that_count_are_left(key: str) -> None:
    assert redact_value(key, "123456789012") == "123456789012"


def test_containers_are_redacted_within() -> None:
    value = {"to": ["491511000001"], "by": {"token": "x", "phone": 491511000001, "epoch": 7}, "raw": b"12345"}
    assert redact_value("payload", value) == {
        "to": ["***01"],
        "by": {"token": MASK, "phone": "***01", "epoch": 7},
        "raw": "[5 bytes]",
    }


class Exposed:
    """An object whose text has a number."""

    def __repr__(self) -> str:
        return "chat with 491511000001"


def test_objects_are_redacted_as_the_text_they_become() -> None:
    assert redact_value("chat", Exposed()) == "chat with ***01"


_NUMBERS = st.from_regex(r"[1-9][0-9]{9,14}", fullmatch=True)


@given(
    number=_NUMBERS,
    before=st.sampled_from(["", " ", "to:", "(", '"', "=", "+"]),
    after=st.sampled_from(["", " ", ")", ",", '"', "."]),
)
def test_no_number_survives(number: str, before: str, after: str) -> None:
    assert number not in redact_text(f"{before}{number}{after}")


@given(text=st.text())
def test_masking_twice_is_masking_once(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was written to stdout so far."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written: list[str] = []

    def read() -> str:
        written.append(capsys.readouterr().out)
        return "".join(written)

    yield read
    root.handlers[:] = handlers
    root.setLevel(level)


def fail() -> None:
    raise ValueError("no 491511000001")


def test_lines_are_json_in_a_pod_and_say_who_speaks(output: Callable[[], str]) -> None:
    core_logging.configure("connector", "INFO")
    core_logging.get_logger("module").info("paired", jid="491511000001:1@s.whatsapp.net", epoch=3)
    line = json.loads(output())
    assert line["event"] == "paired"
    assert (line["service"], line["logger"], line["level"]) == ("connector", "module", "info")
    assert (line["jid"], line["epoch"]) == ("***01@s.whatsapp.net", 3)
    assert line["timestamp"].endswith("Z")


def test_a_terminal_gets_readable_lines(output: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    core_logging.configure("operator", "INFO")
    core_logging.get_logger("module").warning("moved", session="a")
    assert "moved" in output()
    assert not output().startswith("{")


def test_libraries_and_tracebacks_are_redacted_too(output: Callable[[], str]) -> None:
    core_logging.configure("api", "INFO", json=True)
    logging.getLogger("uvicorn.error").error("lost %s", "491511000001")
    try:
        fail()
    except ValueError:
        core_logging.get_logger("module").exception("failed")
    assert "491511000001" not in output()
    assert "lost ***01" in output()
    assert "ValueError: no ***01" in output()


def test_the_level_holds(output: Callable[[], str]) -> None:
    core_logging.configure("api", "WARNING", json=True)
    core_logging.get_logger("module").info("quiet")
    logging.getLogger("kopf").info("quiet")
    assert output() == ""


def test_configuring_twice_does_not_say_things_twice(output: Callable[[], str]) -> None:
    core_logging.configure("api", json=True)
    core_logging.configure("api", json=True)
    core_logging.get_logger("module").info("once")
    assert len(output().splitlines()) == 1
