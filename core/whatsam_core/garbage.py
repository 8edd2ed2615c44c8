"""Python's collector of cycles, in processes that serve long. API and connector call it once, when they are built."""

import gc

_YOUNG, _MIDDLE, _OLD = 20_000, 20, 20
"""Allocations before a look at the young objects, and how many of these before one at the older ones."""


def spare_what_stays() -> None:
    """Never look again at what the start has made: modules, models and routes live as long as the process.

    Looking through all of them stops everything for tenths of a second on a busy machine.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
