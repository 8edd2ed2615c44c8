"""The symmetric step of Signal's chains: the only thing that depends on a chain's counter. Pure."""

import hmac
from typing import Final

CHAIN_KEY_BYTES: Final = 32
_SEED: Final = b"\x02"
_COUNTERS: Final = 1 << 32


def stepped(key: bytes, steps: int) -> bytes:
    """The chain key `steps` messages later."""
    if len(key) != CHAIN_KEY_BYTES or steps < 0:
        raise ValueError(f"a chain key of {len(key)} bytes cannot go {steps} steps")
    for _ in range(steps):
        key = hmac.digest(key, _SEED, "sha256")
    return key


def counter_after(index: int, steps: int) -> int:
    """The counter of the next message `steps` messages later. Raises `ValueError` when it would not fit."""
    if index < 0 or not index + steps < _COUNTERS:
        raise ValueError(f"counter {index} cannot go {steps} steps")
    return index + steps
