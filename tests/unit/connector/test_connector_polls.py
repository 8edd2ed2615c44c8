"""Votes and reactions under a message's secret, against an independent writing of the same scheme."""

import hashlib
import hmac
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import PollVoteMessage, ReactionMessage

from whatsam_connector.content.polls import Undecipherable, chosen, open_reaction, open_vote

SECRET = bytes(range(32))
OPTIONS = ("yes", "no", "maybe ü")


def hkdf(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 by hand: one block of SHA-256 is all that is needed."""
    extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def cast(author: str, voter: str, *options: str, wa_id: str = "POLL", secret: bytes = SECRET) -> tuple[bytes, bytes]:
    """What a voter's phone does."""
    plain = PollVoteMessage(selectedOptions=[hashlib.sha256(option.encode()).digest() for option in options])
    key = hkdf(secret, f"{wa_id}{author}{voter}Poll Vote".encode())
    iv = os.urandom(12)
    return AESGCM(key).encrypt(iv, plain.SerializeToString(), f"{wa_id}\0{voter}".encode()), iv


@pytest.mark.parametrize("author", ["1@lid", "491511000001@s.whatsapp.net"])
@pytest.mark.parametrize("voter", ["2@lid", "491511000002@s.whatsapp.net"])
def test_a_vote_is_opened_under_whichever_names_were_used(author: str, voter: str) -> None:
    payload, iv = cast(author, voter, "maybe ü", "yes")
    hashes = open_vote(
        payload,
        iv,
        secret=SECRET,
        wa_id="POLL",
        authors=("1@lid", "491511000001@s.whatsapp.net"),
        voters=("2@lid", "491511000002@s.whatsapp.net"),
    )
    assert chosen(OPTIONS, hashes) == ("yes", "maybe ü")


def test_a_vote_that_is_taken_back_has_no_options() -> None:
    payload, iv = cast("1@lid", "2@lid")
    found = open_vote(payload, iv, secret=SECRET, wa_id="POLL", authors=["1@lid"], voters=["2@lid"])
    assert chosen(OPTIONS, found) == ()


@pytest.mark.parametrize(
    ("wa_id", "author", "voter", "secret"),
    [
        ("OTHER", "1@lid", "2@lid", SECRET),
        ("POLL", "3@lid", "2@lid", SECRET),
        ("POLL", "1@lid", "3@lid", SECRET),
        ("POLL", "1@lid", "2@lid", bytes(32)),
    ],
)
def test_a_vote_for_somebody_else_does_not_open(wa_id: str, author: str, voter: str, secret: bytes) -> None:
    payload, iv = cast("1@lid", "2@lid", "yes")
    with pytest.raises(Undecipherable):
        open_vote(payload, iv, secret=secret, wa_id=wa_id, authors=[author], voters=[voter])


@given(st.binary(max_size=80), st.binary(max_size=16))
def test_no_bytes_break_it(payload: bytes, iv: bytes) -> None:
    with pytest.raises(Undecipherable):
        open_vote(payload, iv, secret=SECRET, wa_id="POLL", authors=["1@lid"], voters=["2@lid"])


def test_an_encrypted_reaction() -> None:
    key, iv = hkdf(SECRET, b"WA11@lid2@lidEnc Reaction"), os.urandom(12)
    payload = AESGCM(key).encrypt(iv, ReactionMessage(text="👍").SerializeToString(), None)
    assert open_reaction(payload, iv, secret=SECRET, wa_id="WA1", authors=["1@lid"], senders=["2@lid"]) == "👍"
    with pytest.raises(Undecipherable):
        open_reaction(payload, iv, secret=SECRET, wa_id="WA1", authors=["1@lid"], senders=["3@lid"])
