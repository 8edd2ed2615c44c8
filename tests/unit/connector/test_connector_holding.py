"""Which forwarded calls a boot takes."""

import pytest

from whatsam_connector.http.holding import Address, Refusal, judge_call

CALL = Address("uid", 3, "b1")


@pytest.mark.parametrize(
    ("boot", "running", "may_work", "wanted"),
    [
        ("b1", 3, True, None),
        ("b1", 3, False, Refusal.FENCED),
        ("b1", 4, True, Refusal.STALE_EPOCH),
        ("b1", 2, True, Refusal.STALE_EPOCH),
        ("b1", None, True, Refusal.NOT_HOLDER),
        ("b2", 3, True, Refusal.NOT_HOLDER),
        ("b2", None, False, Refusal.NOT_HOLDER),
    ],
)
def test_a_call_is_for_one_boot_and_one_epoch_and_needs_the_lease(
    boot: str, running: int | None, may_work: bool, wanted: Refusal | None
) -> None:
    assert judge_call(CALL, boot, running, may_work=may_work) is wanted
