"""The ADV device identity: how a phone vouches for a companion, and how a companion answers.

Source: whatsmeow, `pair.go`. Used by pairing and by contacts that get a companion's first message.
"""

from __future__ import annotations

import os
from functools import lru_cache

from whatsam_simulator.crypto.keys import KeyPair, mac, verify
from whatsam_simulator.errors import BadSignature
from whatsam_simulator.wire.protobuf import Fields, decode, encode

ACCOUNT_SIGNATURE, DEVICE_SIGNATURE = b"\x06\x00", b"\x06\x01"
DETAILS, ACCOUNT_KEY, ACCOUNT_PROOF, DEVICE_PROOF = 1, 2, 3, 4


def sealed_identity(account: KeyPair, secret: bytes, companion: bytes, key_index: int, now: int) -> bytes:
    """What the phone makes after a scan: the companion's identity key signed by the account, under an HMAC with the
    secret that was in the QR code. `companion`: 32 bytes; `now`: Unix seconds."""
    details = encode((1, int.from_bytes(os.urandom(3))), (2, now), (3, key_index), (4, 0), (5, 0))
    proof = account.sign(ACCOUNT_SIGNATURE + details + companion)
    identity = encode((DETAILS, details), (ACCOUNT_KEY, account.public), (ACCOUNT_PROOF, proof))
    return encode((1, identity), (2, mac(secret, identity)))


def check_answer(identity: bytes, account: bytes, companion: bytes) -> None:
    """The companion's answer to `pair-success`: signed by the account and by the device; raises `BadSignature`."""
    _check(decode(identity), account, companion)


@lru_cache(1024)
def check_attached(identity: bytes, account: bytes, companion: bytes) -> None:
    """The identity that a companion attaches to the first messages of a session; as `check_answer`, and the account key
    in it must be the one the receiver knows. One that was found good is remembered."""
    fields = decode(identity)
    if fields.data_or_none(ACCOUNT_KEY) not in (None, account):
        raise BadSignature("device identity of another account")
    _check(fields, account, companion)


def _check(fields: Fields, account: bytes, companion: bytes) -> None:
    details = fields.data(DETAILS)
    if not verify(account, ACCOUNT_SIGNATURE + details + companion, fields.data(ACCOUNT_PROOF)):
        raise BadSignature("device identity: the account's signature does not fit")
    if not verify(companion, DEVICE_SIGNATURE + details + companion + account, fields.data(DEVICE_PROOF)):
        raise BadSignature("device identity: the device's signature does not fit")
