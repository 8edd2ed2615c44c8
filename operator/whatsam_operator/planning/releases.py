"""Can an engine read a state that another one wrote? Asked by the filters of placement."""

import re
from functools import lru_cache

from whatsam_core.lease import LeaseRecord


def is_older(record: LeaseRecord, engine: str) -> bool:
    """Whether the boot runs an older release of the same engine.

    Engines of another name are not compared: they keep one format, and a schema that an engine does not know is
    refused where the state is read.
    """
    if not engine:
        return False
    mine, theirs = _release(record.engine_version), _release(engine)
    return mine is not None and theirs is not None and mine[0] == theirs[0] and mine[1] < theirs[1]


@lru_cache(maxsize=256)
def _release(version: str) -> tuple[str, tuple[int, ...]] | None:
    match = re.fullmatch(r"([a-z][a-z0-9]*)-v?([0-9]+(?:\.[0-9]+)*).*", version)
    return None if match is None else (match[1], tuple(int(part) for part in match[2].split(".")))
