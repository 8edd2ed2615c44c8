"""The server's check of a passkey's answer takes the right one and nothing else."""

import copy
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from whatsam_simulator.authenticator import SoftwareAuthenticator
from whatsam_simulator.crypto.webauthn import check_assertion, from_text, public_key, request_options, to_text
from whatsam_simulator.errors import BadSignature, MalformedInput, ProtocolError

SITE = "whatsapp.com"
CHALLENGE = os.urandom(32)
OWNER = SoftwareAuthenticator(SITE)


def check(answer: dict[str, Any]) -> None:
    check_assertion(
        json.dumps(answer).encode(),
        key=public_key(OWNER.public_key),
        credential=OWNER.credential,
        challenge=CHALLENGE,
        rp_id=SITE,
    )


def answered(by: SoftwareAuthenticator = OWNER, challenge: bytes = CHALLENGE) -> dict[str, Any]:
    return by.answer(request_options(challenge, SITE, OWNER.credential, 60))


def test_the_right_answer_is_taken() -> None:
    check(answered())


def _elsewhere(origin: str = "https://web.whatsapp.com", rp_id: str = SITE) -> dict[str, Any]:
    other = copy.copy(OWNER)
    other.rp_id, other.origin = rp_id, origin
    return answered(other)


@pytest.mark.parametrize(
    "made",
    [
        lambda: answered(SoftwareAuthenticator(SITE)),
        lambda: answered(challenge=os.urandom(32)),
        lambda: _elsewhere(origin="https://whatsapp.com.example.org"),
        lambda: _elsewhere(origin="https://notwhatsapp.com"),
        lambda: _elsewhere(origin="http://web.whatsapp.com"),
        lambda: _elsewhere(rp_id="example.org"),
    ],
)
def test_an_answer_of_another_or_for_another_is_refused(made: Callable[[], dict[str, Any]]) -> None:
    with pytest.raises(BadSignature):
        check(made())


@pytest.mark.parametrize("part", ["clientDataJSON", "authenticatorData", "signature"])
def test_no_bit_may_be_turned_over(part: str) -> None:
    answer = answered()
    data = bytearray(from_text(answer["response"][part]))
    data[-2] ^= 1
    answer["response"][part] = to_text(bytes(data))
    with pytest.raises(ProtocolError):
        check(answer)


@pytest.mark.parametrize("key", ["rawId", "type", "response"])
def test_an_answer_without_its_parts_cannot_be_read(key: str) -> None:
    with pytest.raises(MalformedInput):
        check({name: value for name, value in answered().items() if name != key})
