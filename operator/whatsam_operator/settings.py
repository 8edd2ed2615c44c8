"""Settings of the operator process: environment variables with the prefix WHATSAM_, checked at start."""

from pydantic import Field

from whatsam_core.settings import ObjectStoreSettings
from whatsam_operator.planning.election import ElectionTimings

DEFAULT_CONNECTOR_IMAGE = "whatsam/connector:0.1.0"
"""For pools that name no image, where the operator's deployment names none."""


class InstallationSettings(ObjectStoreSettings):
    """What the command about the installation needs."""

    namespace: str = Field(min_length=1)
    """Namespace of the operator's own Lease."""


class OperatorSettings(InstallationSettings):
    """Everything that can be chosen about one operator process. Durations in seconds."""

    pod_name: str = Field(min_length=1)
    """Who this process is in the Lease; must differ between replicas."""
    connector_image: str = Field(default=DEFAULT_CONNECTOR_IMAGE, min_length=1)
    """Image of the connector for pools that name none."""
    port: int = Field(default=8080, ge=1, le=65535)
    """Where /live, /ready and /metrics answer."""
    leader_lease_name: str = "whatsam-operator"
    """Name of the Lease that the leader holds."""
    leader_lease_duration: float = Field(default=8.0, gt=0)
    """A candidate takes over after that long without a renewal."""
    leader_deadline: float = Field(default=5.0, gt=0)
    """After that long without a renewal the leader writes nothing any more."""
    leader_retry: float = Field(default=1.0, gt=0)
    """Between two renewals."""
    leader_request_timeout: float = Field(default=2.0, gt=0)
    """For one request about the Lease."""
    lease_read_period: float = Field(default=1.0, gt=0, le=5)
    """Between two fresh reads of all connectors' Leases; their age is counted over these."""
    resync_period: float = Field(default=30.0, gt=0)
    """Between two complete lists that repair what a watch may have missed."""
    sweep_period: float = Field(default=600.0, gt=0)
    """Between two looks for states of deleted sessions whose time is over."""
    concurrent_writes: int = Field(default=32, ge=1, le=48)
    """Decisions that are carried out at one time."""

    def election_timings(self) -> ElectionTimings:
        """The clocks of the leader election. Raises `ElectionTimingError` when they could allow two leaders."""
        return ElectionTimings(
            lease_duration=self.leader_lease_duration,
            deadline=self.leader_deadline,
            retry=self.leader_retry,
            request_timeout=self.leader_request_timeout,
        )
