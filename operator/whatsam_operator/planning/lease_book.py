"""How long has each connector's Lease stood still? Counted over successful fresh reads only.

Fed by the lease reader with every complete list. The age of a record is the time between reads that showed the very
same resourceVersion, each gap counted up to a limit: an API server that was away ages nobody, because holders could
not renew either. Counting less than what passed is always safe; counting more never happens.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from whatsam_core.lease import LeaseRecord, LeaseState
from whatsam_operator.planning.snapshot import BootKey, ObservedLease


@dataclass(frozen=True, slots=True)
class ReadLease:
    """A Lease as one read returned it."""

    record: LeaseRecord
    revoked_because: str = ""
    created_at: datetime | None = None

    @property
    def key(self) -> BootKey:
        """Which boot it belongs to."""
        return (self.record.namespace, self.record.boot_id)


@dataclass(frozen=True, slots=True)
class LeaseBook:
    """The observations up to one read. Immutable: `observe` gives the next one."""

    leases: Mapping[BootKey, ObservedLease]
    missing: Mapping[BootKey, float]
    read_at: float | None
    """Steady time at which the last successful read was sent; None before the first."""

    @classmethod
    def empty(cls) -> "LeaseBook":
        """Before the first read: nothing may be concluded from it."""
        return cls(leases={}, missing={}, read_at=None)

    def observe(
        self,
        found: Collection[ReadLease],
        *,
        named: Collection[BootKey],
        sent_at: float,
        answered_at: float,
        longest_gap: float,
    ) -> "LeaseBook":
        """The book after a read of all Leases.

        `named` are the boots that sessions name. `longest_gap` (seconds) limits what one pair of reads can add. A
        record that is seen for the first time may have been written until `answered_at`; one that is seen again was
        still the same when the request was sent.
        """
        gap = 0.0 if self.read_at is None else max(0.0, min(sent_at - self.read_at, longest_gap))
        leases: dict[BootKey, ObservedLease] = {}
        for lease in found:
            known = self.leases.get(lease.key)
            same = known is not None and known.record.resource_version == lease.record.resource_version
            unchanged = known.unchanged + gap if known is not None and same else -(answered_at - sent_at)
            leases[lease.key] = _observed(lease, unchanged)
        missing = {
            key: self.missing[key] + gap if key in self.missing else -(answered_at - sent_at)
            for key in named
            if key not in leases
        }
        return LeaseBook(leases=leases, missing=missing, read_at=sent_at)

    def wrote(self, lease: ReadLease) -> "LeaseBook":
        """The book after the operator itself wrote a Lease and got the stored object back."""
        known = {**self.leases, lease.key: _observed(lease, 0.0)}
        return replace(self, leases=known)

    def forgot(self, key: BootKey) -> "LeaseBook":
        """The book after the operator itself deleted a Lease that nobody names."""
        return replace(self, leases={other: lease for other, lease in self.leases.items() if other != key})

    def differs(self, before: "LeaseBook", *, quiet_for: float) -> bool:
        """Whether a plan could come out differently than with `before`: a renewal alone changes nothing."""
        if self.missing or self.leases.keys() != before.leases.keys():
            return True
        for key, lease in self.leases.items():
            old = before.leases[key]
            if lease.record.state is not old.record.state or lease.record.endpoint != old.record.endpoint:
                return True
            terminal = lease.record.state in (LeaseState.RELEASED, LeaseState.REVOKED)
            if not terminal and max(lease.unchanged, old.unchanged) > quiet_for:
                return True
        return False


def _observed(lease: ReadLease, unchanged: float) -> ObservedLease:
    return ObservedLease(lease.record, unchanged, lease.revoked_because, lease.created_at)
