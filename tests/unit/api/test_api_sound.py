"""Lengths and loudness of recordings, from their bytes."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from whatsam_api.policies.sound import OPUS_RATE, ogg_seconds, waveform


def page(granule: int) -> bytes:
    return struct.pack("<4sBBqIII", b"OggS", 0, 0, granule, 1, 2, 3) + b"\x01\x05hello"


def test_the_last_page_tells_the_length() -> None:
    assert ogg_seconds(page(0) + page(OPUS_RATE * 3) + page(OPUS_RATE * 7 + 10)) == 7
    assert ogg_seconds(page(100)) == 1, "a recording lasts at least a second"
    assert ogg_seconds(page(OPUS_RATE * 5) + b"OggS cut off") == 5
    assert ogg_seconds(page(-1)) is None
    assert ogg_seconds(b"") is None


def test_a_waveform_is_as_loud_as_its_loudest_point() -> None:
    quiet_then_loud = struct.pack("<8h", 0, 0, 100, -100, 500, 500, -1000, 1000)
    assert waveform(quiet_then_loud, 4) == bytes([0, 10, 50, 100])
    assert waveform(b"", 4) == bytes(4)
    assert waveform(struct.pack("<h", -32768), 2) == bytes([100, 100])


@given(st.binary(max_size=3000), st.integers(min_value=1, max_value=64))
def test_any_sound_has_a_waveform(samples: bytes, points: int) -> None:
    drawn = waveform(samples, points)
    assert len(drawn) == points
    assert max(drawn) <= 100
