"""What a fresh read of a lost boot's Lease must say before its session is given away."""

import pytest
from operator_kit import record

from whatsam_core.lease import LeaseState
from whatsam_operator.planning.confirmation import Confirmation, confirm


@pytest.mark.parametrize(
    ("found", "missed", "wanted"),
    [
        (LeaseState.REVOKED, False, Confirmation.GONE),
        (LeaseState.RELEASED, False, Confirmation.GONE),
        (LeaseState.ACTIVE, False, Confirmation.HELD),
        (LeaseState.DRAINING, False, Confirmation.HELD),
        (None, False, Confirmation.VANISHED),
        (None, True, Confirmation.GONE),
        (LeaseState.ACTIVE, True, Confirmation.HELD),
        (LeaseState.REVOKED, True, Confirmation.HELD),
    ],
)
def test_only_an_ended_lease_or_one_that_was_missed_long_enough_confirms(found, missed, wanted):
    lease = None if found is None else record("b", state=found)
    assert confirm(lease, missed=missed) is wanted
