"""The collector of cycles still collects after a start."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from whatsam_core.garbage import spare_what_stays


class _Knot:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_the_start_made_is_spared_and_what_comes_later_is_collected() -> None:
    early = weakref.ref(_Knot())
    gc.disable()
    try:
        stays = _Knot()
        spare_what_stays()
        assert early() is None
        assert gc.get_freeze_count() > 0
        late, kept = weakref.ref(_Knot()), weakref.ref(stays)
        del stays
        gc.collect()
        assert late() is None
        assert kept() is not None
    finally:
        gc.enable()
