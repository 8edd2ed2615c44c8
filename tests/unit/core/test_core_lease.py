"""The connector's Lease: its clocks keep their order, and what is written is read back the same."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_core.lease import (
    LeaseFormatError,
    LeaseRecord,
    LeaseState,
    LeaseTimingError,
    LeaseTimings,
    Load,
    lease_name,
)

words = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract
records = st.builds(
    LeaseRecord,
    name=words,
    namespace=words,
    pool=words,
    pod_name=words,
    pod_uid=words,
    boot_id=words,
    endpoint=words,
    state=st.sampled_from(LeaseState),
    acquired_at=moments,
    renewed_at=moments,
    duration_seconds=st.integers(1, 600),
    transitions=st.integers(0, 1000),
    engine_version=words,
    sessions=st.integers(0, 1000),
    load=st.builds(Load, cpu=st.none() | st.integers(0, 400), memory=st.none() | st.integers(0, 400)),
    resource_version=words,
    uid=words,
)


@given(records)
def test_a_record_survives_the_wire(record: LeaseRecord) -> None:
    assert LeaseRecord.from_wire(record.to_wire()) == record


@given(records, moments)
def test_a_renewal_changes_nothing_but_its_time(record: LeaseRecord, now: datetime) -> None:
    renewed = record.renewed(now)
    assert renewed.renewed_at == now
    assert renewed.renewed(record.renewed_at) == record


def test_the_pool_owns_a_lease_without_blocking_deletion() -> None:
    record = LeaseRecord(
        name=lease_name("pool", "boot"),
        namespace="n",
        pool="pool",
        pod_name="pod",
        pod_uid="uid",
        boot_id="boot",
        endpoint="http://10.0.0.1:8080",
        state=LeaseState.ACTIVE,
        acquired_at=datetime.now(UTC),
        renewed_at=datetime.now(UTC),
        duration_seconds=15,
    )
    (owner,) = record.to_wire(pool_uid="pool-uid")["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["blockOwnerDeletion"]) == ("WorkerPool", "pool-uid", False)


@pytest.mark.parametrize("missing", ["metadata", "spec"])
def test_a_foreign_lease_is_refused(missing: str) -> None:
    wire = {"metadata": {"name": "kube-scheduler", "namespace": "kube-system"}, "spec": {"renewTime": "now"}}
    wire.pop(missing)
    with pytest.raises(LeaseFormatError):
        LeaseRecord.from_wire(wire)


@pytest.mark.parametrize(
    ("clocks", "named"),
    [
        ({"renew_period": 10.0}, "soft_fence"),
        ({"soft_fence": 12.0}, "hard_fence"),
        ({"hard_fence": 15.0}, "lease_duration"),
        ({"renew_period": 0.0}, "greater than 0"),
        ({"request_timeout": 8.0}, "one lost renewal"),
    ],
)
def test_clocks_out_of_order_are_refused_by_name(clocks: dict[str, float], named: str) -> None:
    with pytest.raises(LeaseTimingError, match=named):
        LeaseTimings(**clocks)


@given(st.floats(0.01, 100))
def test_scaled_clocks_keep_their_order(factor: float) -> None:
    scaled = LeaseTimings().scaled(factor)
    assert scaled.renew_period < scaled.soft_fence < scaled.hard_fence < scaled.lease_duration
