"""What an engine prints reaches the log without people's numbers, codes, keys and texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.supervision.redaction import MAX_LINE, redact

QR = (
    "https://wa.me/settings/linked_devices#2@cBGMBB0HmtC4HLumf9jRhX3I6rxxGVcd,"
    "I3JQCBCvWMEM7R7slrSU9AqhTXZBNHDt+1mWjNxVjRc=,Qp3mJ4rtFgwIZOr8X0SZ0Q=,x,1"
)


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (f"Emitting QR code {QR}", "I3JQCBCv"),
        ("2@cBGMBB0HmtC4HLumf9jRhX3I6rxxGVcd,I3JQ=,Qp3m=", "cBGM"),
        ("Pair Code:  ABCD-EFGH", "ABCD"),
        ("Pair Code:  ABCD1234", "ABCD1234"),
        ("Successfully paired 4915112345678:12@s.whatsapp.net", "4915112345678"),
        ("no LID found for 4915112345678@s.whatsapp.net from server", "4915112345678"),
        ("chat 101276775976418@lid", "101276775976418"),
        ("group 4915112345678-1600000000@g.us", "4915112345678"),
        ("phone +49 151 1234 5678 refused", "1234 5678"),
        ("phone 4915112345678", "4915112345678"),
        ('conversation:"meet me at eight"', "meet me"),
        ('{"text": "meet \\" me at eight"}', "me at eight"),
        ("conversation: 'meet me at eight'", "meet me"),
        ("text `meet me`", "meet me"),
        ('cut off "meet me at ei', "meet me"),
        ("key 8a7f3c55aa00bb11cc22dd33ee44ff5566778899aabbccddeeff001122334455", "8a7f3c55"),
        ("noise I3JQCBCvWMEM7R7slrSU9AqhTXZBNHDt+1mWjNxVjRc=", "I3JQCBCv"),
    ],
)
def test_secrets_are_taken_out(line: str, secret: str) -> None:
    assert secret not in redact(line)


@pytest.mark.parametrize(
    "line",
    [
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "whatsmeow.Client INFO Successfully authenticated",
        'File "/app/whatsam_connector/engine/host.py", line 12, in serve',
        "go.mau.fi/whatsmeow.(*Client).handleFrame(...)",
        "whatsmeow.Client INFO Got 515 code, reconnecting...",
        "engine: JournalWriteError: No space left on device",
    ],
)
def test_what_helps_to_find_a_fault_stays(line: str) -> None:
    assert redact(line) == line


@given(number=st.integers(10**8, 10**14), server=st.sampled_from(["s.whatsapp.net", "lid", "g.us"]))
def test_no_number_survives_in_any_form(number: int, server: str) -> None:
    for line in (f"to {number}@{server}", f"to {number}:7@{server}", f"to +{number}", f"x={number},", f"({number})"):
        assert str(number) not in redact(line)


def test_control_characters_and_endless_lines_are_tamed() -> None:
    assert "\x1b" not in redact("\x1b[31mred")
    assert len(redact("word " * 1000)) <= MAX_LINE + 1
