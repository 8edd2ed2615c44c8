"""The Lease of a connector boot: its clocks, its states, and how it is written down.

The connector keeps one Lease per boot and renews it; the operator reads it and takes over when it has expired or was
released. Both take the clocks from here. The decision functions live with those who act on them: the keeper in the
connector, the liveness of boots in the operator.
"""

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from whatsam_core import names
from whatsam_core.errors import WhatsamError


class LeaseTimingError(WhatsamError, ValueError):
    """The clocks do not keep their order, so that two workers could hold a session at once."""


class LeaseFormatError(WhatsamError, ValueError):
    """A Lease that is labelled as a connector's lacks what a connector writes."""


@dataclass(frozen=True, kw_only=True)
class LeaseTimings:
    """The clocks of a connector's Lease, in seconds.

    `renew < soft < hard < duration` must hold: a holder has stopped accepting work
    at `soft_fence`, its engines are dead at `hard_fence`, and nobody takes over before `lease_duration`.
    """

    renew_period: float = 2.0
    """From the start of one renewal to the start of the next."""
    request_timeout: float = 3.0
    """For one renewal request; a lost one is tried again at once."""
    soft_fence: float = 10.0
    """After the start of the last good renewal: stop accepting work, disconnect engines, flush."""
    hard_fence: float = 12.0
    """After the start of the last good renewal: the kernel kills every engine, even when everything is frozen."""
    lease_duration: float = 15.0
    """Written into the record; whoever takes over waits that long by its own clock."""

    def __post_init__(self) -> None:
        """Refuse clocks that could let two workers hold one session."""
        order = (
            ("renew_period", self.renew_period),
            ("soft_fence", self.soft_fence),
            ("hard_fence", self.hard_fence),
            ("lease_duration", self.lease_duration),
        )
        if self.renew_period <= 0 or self.request_timeout <= 0:
            raise LeaseTimingError("renew_period and request_timeout must be greater than 0 seconds")
        for (lower_name, lower), (upper_name, upper) in itertools.pairwise(order):
            if not lower < upper:
                raise LeaseTimingError(f"{lower_name} ({lower} s) must be less than {upper_name} ({upper} s)")
        if not self.renew_period + self.request_timeout < self.soft_fence:
            raise LeaseTimingError(
                f"renew_period + request_timeout ({self.renew_period + self.request_timeout} s) must be less than "
                f"soft_fence ({self.soft_fence} s), else one lost renewal fences the worker"
            )

    def scaled(self, factor: float) -> "LeaseTimings":
        """The same proportions, faster or slower; for tests."""
        return LeaseTimings(
            renew_period=self.renew_period * factor,
            request_timeout=self.request_timeout * factor,
            soft_fence=self.soft_fence * factor,
            hard_fence=self.hard_fence * factor,
            lease_duration=self.lease_duration * factor,
        )


class LeaseState(StrEnum):
    """What the last writer of a Lease said about it."""

    ACTIVE = "Active"
    """The boot runs its sessions and takes new ones."""
    DRAINING = "Draining"
    """The boot hands its sessions over and takes nothing new."""
    RELEASED = "Released"
    """The boot has ended its engines and says so: taking over needs no waiting."""
    REVOKED = "Revoked"
    """The operator has taken the Lease away; the boot may not run anything any more."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker uses, as whole percent of what it may use; None while it is not known.

    Measured by the connector, written into its Lease with each renewal, read by the operator for placement and
    rebalancing. May pass 100 where no limit is set and processes share memory.
    """

    cpu: int | None = None
    memory: int | None = None


UNKNOWN_LOAD = Load()


@dataclass(frozen=True, kw_only=True)
class LeaseRecord:
    """A connector's Lease, read. Times are UTC; only the operator's own monotonic clock decides about expiry."""

    name: str
    namespace: str
    pool: str
    pod_name: str
    pod_uid: str
    boot_id: str
    endpoint: str
    state: LeaseState
    acquired_at: datetime
    renewed_at: datetime
    duration_seconds: int
    transitions: int = 0
    engine_version: str = ""
    sessions: int = 0
    load: Load = UNKNOWN_LOAD
    resource_version: str = ""
    uid: str = ""

    @property
    def holder_identity(self) -> str:
        """Who holds it: pod name, pod UID and boot id."""
        return f"{self.pod_name}_{self.pod_uid}_{self.boot_id}"

    @property
    def takes_sessions(self) -> bool:
        """Whether its boot may get new sessions, as far as the record tells."""
        return self.state is LeaseState.ACTIVE

    def renewed(
        self,
        now: datetime,
        *,
        state: LeaseState | None = None,
        sessions: int | None = None,
        load: Load | None = None,
    ) -> "LeaseRecord":
        """The record as its holder writes it at `now`."""
        return replace(
            self,
            renewed_at=now,
            state=self.state if state is None else state,
            sessions=self.sessions if sessions is None else sessions,
            load=self.load if load is None else load,
        )

    def to_wire(self, *, pool_uid: str | None = None) -> dict[str, Any]:
        """A `coordination.k8s.io/v1` Lease. With `pool_uid` it is owned by the pool (for the creation)."""
        metadata: dict[str, Any] = {
            "name": self.name,
            "namespace": self.namespace,
            "labels": {names.LABEL_POOL: self.pool, names.LABEL_COMPONENT: names.COMPONENT_CONNECTOR_LEASE},
            "annotations": {
                names.LEASE_POD_NAME: self.pod_name,
                names.LEASE_POD_UID: self.pod_uid,
                names.LEASE_BOOT_ID: self.boot_id,
                names.LEASE_ENDPOINT: self.endpoint,
                names.LEASE_STATE: self.state.value,
                names.LEASE_ENGINE_VERSION: self.engine_version,
                names.LEASE_SESSIONS: str(self.sessions),
                **({} if self.load.cpu is None else {names.LEASE_CPU: str(self.load.cpu)}),
                **({} if self.load.memory is None else {names.LEASE_MEMORY: str(self.load.memory)}),
            },
        }
        if self.resource_version:
            metadata["resourceVersion"] = self.resource_version
        if self.uid:
            metadata["uid"] = self.uid
        if pool_uid is not None:
            metadata["ownerReferences"] = [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.POOL_KIND,
                    "name": self.pool,
                    "uid": pool_uid,
                    "controller": False,
                    "blockOwnerDeletion": False,
                }
            ]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self.holder_identity,
                "leaseDurationSeconds": self.duration_seconds,
                "acquireTime": micro_time(self.acquired_at),
                "renewTime": micro_time(self.renewed_at),
                "leaseTransitions": self.transitions,
            },
        }

    @classmethod
    def from_wire(cls, lease: dict[str, Any]) -> "LeaseRecord":
        """Read a Lease as the API server gives it. Raises `LeaseFormatError` when it is not a connector's."""
        metadata, spec = lease.get("metadata", {}), lease.get("spec", {})
        annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
        try:
            return cls(
                name=metadata["name"],
                namespace=metadata["namespace"],
                pool=labels[names.LABEL_POOL],
                pod_name=annotations[names.LEASE_POD_NAME],
                pod_uid=annotations[names.LEASE_POD_UID],
                boot_id=annotations[names.LEASE_BOOT_ID],
                endpoint=annotations[names.LEASE_ENDPOINT],
                state=LeaseState(annotations[names.LEASE_STATE]),
                acquired_at=datetime.fromisoformat(spec["acquireTime"]),
                renewed_at=datetime.fromisoformat(spec["renewTime"]),
                duration_seconds=int(spec["leaseDurationSeconds"]),
                transitions=int(spec.get("leaseTransitions") or 0),
                engine_version=annotations.get(names.LEASE_ENGINE_VERSION, ""),
                sessions=int(annotations.get(names.LEASE_SESSIONS) or 0),
                load=Load(_percent(annotations.get(names.LEASE_CPU)), _percent(annotations.get(names.LEASE_MEMORY))),
                resource_version=metadata.get("resourceVersion", ""),
                uid=metadata.get("uid", ""),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise LeaseFormatError(f"Lease {metadata.get('name')!r} is not a connector's: {error!r}") from error


def _percent(text: str | None) -> int | None:
    """A share that cannot be read is one that is not known: nobody's life hangs on it."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def lease_name(pool: str, boot_id: str) -> str:
    """Name of the Lease of a boot."""
    return f"{pool}-{boot_id}"


def micro_time(moment: datetime) -> str:
    """`metav1.MicroTime`: UTC with exactly six digits of a second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
