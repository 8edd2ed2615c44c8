"""How many workers were needed lately? What a pool's status remembers of it, so that a new leader knows, too.

Pure; asked by `autoscaling`. Only larger numbers than the present one are kept, each until the last moment at which it
was right, so the list is short: who needs fewer now and needed fewer earlier was outlived by the greater number.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil

from whatsam_core.resources import MOST_DEMANDS, Demand

LONGEST_GRAIN = 30.0
"""Seconds to which moments are rounded up, a tenth of the window at most: a number that goes up and down all the time
must not be written each time."""


def grain_of(window: float) -> float:
    """Seconds to which moments are rounded up."""
    return min(max(window / 10, 1.0), LONGEST_GRAIN)


def lately(needed: Sequence[Demand], now: datetime, window: float) -> list[Demand]:
    """What still counts. A moment further in the future than rounding explains came from another clock: it is cut."""
    latest = now + timedelta(seconds=grain_of(window))
    since = now - timedelta(seconds=window)
    cut = (Demand(replicas=one.replicas, until=min(one.until, latest)) for one in needed)
    return [one for one in cut if one.until > since]


def peak(needed: Sequence[Demand], right: int, now: datetime, window: float) -> int:
    """The largest number that was right within the window, the present one included."""
    return max([right, *(one.replicas for one in lately(needed, now, window))])


def remember(needed: Sequence[Demand], before: int, right: int, now: datetime, window: float) -> list[Demand]:
    """The list with `before`, which was right until now, when `right` workers are from now on."""
    kept = [one for one in lately(needed, now, window) if one.replicas > max(before, right)]
    if before > right and window > 0:
        kept.append(Demand(replicas=before, until=_rounded(now, grain_of(window))))
    while len(kept) > MOST_DEMANDS:  # the two smallest become one that is not less than either
        small, smaller = kept[-2:]
        kept[-2:] = [Demand(replicas=small.replicas, until=max(small.until, smaller.until))]
    return kept


def _rounded(now: datetime, grain: float) -> datetime:
    return datetime.fromtimestamp(ceil(now.timestamp() / grain) * grain, now.tzinfo)
