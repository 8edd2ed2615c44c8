"""What a file may be sent as, by what its bytes say and not by what its sender says."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from whatsam_api.policies.media_kinds import UNKNOWN, NotForThisType, is_opus_voice, judge, sniff
from whatsam_core.messages import MEDIA_TYPES, MessageType


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, kind)
    return out.getvalue()


MP4 = struct.pack(">I", 24) + b"ftypisom" + bytes(12)
M4A = struct.pack(">I", 24) + b"ftypM4A " + bytes(12)
OPUS = b"OggS" + bytes(24) + b"OpusHead" + bytes(20)
HEADS = {
    "image/jpeg": picture("JPEG"),
    "image/png": picture("PNG"),
    "image/webp": picture("WEBP"),
    "image/gif": picture("GIF"),
    "video/mp4": MP4,
    "audio/mp4": M4A,
    "audio/ogg": OPUS,
    "audio/mpeg": b"ID3\x03" + bytes(100),
    "audio/x-wav": b"RIFF" + bytes(4) + b"WAVEfmt " + bytes(16),
    "application/pdf": b"%PDF-1.7\n",
}


@pytest.mark.parametrize("mimetype", HEADS)
def test_the_bytes_tell(mimetype: str) -> None:
    assert sniff(HEADS[mimetype]) == mimetype


@pytest.mark.parametrize(
    ("kind", "mimetype", "convert"),
    [
        ("image", "image/jpeg", False),
        ("image", "image/webp", True),
        ("video", "video/mp4", False),
        ("gif", "video/mp4", False),
        ("gif", "image/gif", True),
        ("audio", "audio/mpeg", False),
        ("audio", "audio/mp4", False),
        ("voice", "audio/ogg", True),
        ("voice", "audio/x-wav", True),
        ("sticker", "image/webp", False),
        ("sticker", "image/png", True),
    ],
)
def test_what_goes_as_it_is_and_what_is_converted(kind: str, mimetype: str, convert: bool) -> None:
    verdict = judge(MessageType(kind), HEADS[mimetype], "text/html")
    assert (verdict.mimetype, verdict.convert) == (mimetype, convert)


@pytest.mark.parametrize(
    ("kind", "mimetype"),
    [
        ("image", "application/pdf"),
        ("image", "video/mp4"),
        ("video", "image/jpeg"),
        ("audio", "image/png"),
        ("audio", "audio/x-wav"),
        ("sticker", "audio/mpeg"),
        ("voice", "image/jpeg"),
        ("gif", "image/png"),
    ],
)
def test_what_it_claims_to_be_does_not_help(kind: str, mimetype: str) -> None:
    with pytest.raises(NotForThisType) as refused:
        judge(MessageType(kind), HEADS[mimetype], f"{kind}/whatever")
    assert mimetype in str(refused.value)


def test_a_playlist_is_no_recording() -> None:
    for text in (b"#EXTM3U\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile x\n"):
        for kind in MEDIA_TYPES - {MessageType.DOCUMENT}:
            with pytest.raises(NotForThisType):
                judge(kind, text, "audio/mpeg")


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ("text/csv; charset=utf-8", "text/csv"),
        ("TEXT/Plain", "text/plain"),
        (None, UNKNOWN),
        ("image/jpeg", UNKNOWN),
        ("audio/mpeg", UNKNOWN),
        ("no type at all", UNKNOWN),
        ("a/b\r\nX: y", UNKNOWN),
    ],
)
def test_a_document_whose_bytes_say_nothing_is_called_what_is_plausible(declared: str | None, named: str) -> None:
    assert judge(MessageType.DOCUMENT, b"just some words", declared).mimetype == named


def test_a_document_is_called_what_it_is() -> None:
    assert judge(MessageType.DOCUMENT, HEADS["application/pdf"], "image/png").mimetype == "application/pdf"


def test_voice_notes_are_ogg_with_opus() -> None:
    assert is_opus_voice(OPUS)
    assert not is_opus_voice(b"OggS" + bytes(24) + b"\x01vorbis")
    assert not is_opus_voice(HEADS["audio/mpeg"])


@given(st.binary(max_size=600), st.sampled_from(sorted(MEDIA_TYPES)), st.text(max_size=40) | st.none())
def test_any_bytes_are_judged_or_refused(head: bytes, kind: str, declared: str | None) -> None:
    try:
        verdict = judge(MessageType(kind), head, declared)
    except NotForThisType:
        assert kind != MessageType.DOCUMENT
    else:
        assert "/" in verdict.mimetype
