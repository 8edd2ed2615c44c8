"""The connector's settings: one class, read from the environment at start by `main`.

The operator sets most of it in the pool's Deployment: pool and pod through the downward API, the clocks from the pool's
`failover`, stores and keys from the ConfigMap and the Secret.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode

from whatsam_core.lease import LeaseTimings
from whatsam_core.resources import LARGEST_COHORT, Engine
from whatsam_core.resources.session import DNS_LABEL
from whatsam_core.settings import MediaSettings

_DATABASE_URL = re.compile(r"^postgres(ql)?://")


class ConnectorSettings(MediaSettings):
    """Everything a connector process is told. A bad value is refused at start, by the variable's name."""

    namespace: str = Field(pattern=DNS_LABEL, max_length=63)
    """The connector's own namespace: it runs the sessions that live there."""
    pool: str = Field(pattern=DNS_LABEL, max_length=50)
    """Name of the WorkerPool it belongs to."""
    pool_uid: str = Field(min_length=1, max_length=64)
    """UID of that pool: it owns the connector's Lease, which outlives the pod."""
    pod_name: str = Field(min_length=1, max_length=253)
    """Name of this pod."""
    pod_uid: str = Field(min_length=1, max_length=64)
    """UID of this pod: a pod of the same name that comes later is another worker."""
    pod_ip: str = Field(pattern=r"^[0-9a-fA-F.:]+$")
    """Address where the API reaches this pod."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port of the connector's HTTP API; 0 takes a free one."""
    state_dir: Path = Path("/var/lib/whatsam")
    """Local files of the sessions: an emptyDir, so that a container that restarts in place finds them again."""

    database_url: SecretStr
    """PostgreSQL, postgresql://user:password@host:port/database."""
    keyring: SecretStr
    """JSON {"current": "k1", "keys": {"k1": "<base64 of 32 bytes>"}}: wraps the sessions' data keys."""
    engine: Engine = Engine.NEONIZE
    """Which program speaks to WhatsApp: neonize, or whatsmeow (`whatsam-engine`). The pool's `spec.engine` sets it."""
    engine_program: str = Field(default="whatsam-engine", min_length=1)
    """The program of the engine whatsmeow: a path, or a name in PATH. Asked for its version at start."""
    engine_journal_sync: Literal["always", "os"] = "always"
    """For whatsmeow: `always` takes a message from WhatsApp when it is on disk, `os` when the kernel has it."""
    engine_env: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict[str, str])
    """JSON object: environment of engine processes only, for example HTTPS_PROXY or SSL_CERT_FILE."""

    lease_duration: float = Field(default=15.0, gt=0)
    """Seconds in the Lease record; whoever takes over waits that long."""
    renew_period: float = Field(default=2.0, gt=0)
    """Seconds from one renewal of the Lease to the next."""
    lease_request_timeout: float = Field(default=3.0, gt=0)
    """Seconds for one renewal request."""
    soft_fence: float = Field(default=10.0, gt=0)
    """Seconds after the last good renewal: stop accepting work, disconnect."""
    hard_fence: float = Field(default=12.0, gt=0)
    """Seconds after the last good renewal: the kernel kills every engine."""

    media_downloads: int = Field(default=4, ge=1, le=64)
    """Files of received messages that are downloaded at the same time."""

    journal_limit_mib: int = Field(default=256, ge=1)
    """Inbound per session that PostgreSQL has not taken; with more the session leaves; WhatsApp keeps the rest."""
    journal_free_mib: int = Field(default=512, ge=0)
    """Free space on the disk of `state_dir`; with less, sessions leave WhatsApp until there is more."""

    sessions_per_worker: int = Field(default=50, ge=1)
    """How many sessions the operator gives this worker; shown in health and metrics."""
    cohort_size: int = Field(default=50, ge=1, le=LARGEST_COHORT)
    """Sessions that share one engine process at most; with neonize up to 64."""
    engine_spare_from: int = Field(default=8, ge=0)
    """With so many sessions, a process that has loaded neonize waits to replace one that dies; 0: never."""
    engine_merge: bool = True
    """Whether small engine processes are merged by a planned reconnect of their sessions, about a second each."""
    engine_merge_rest: float = Field(default=600.0, gt=0)
    """Seconds in which a session is reconnected at most once for that."""
    engine_paired_settled: float = Field(default=300.0, ge=0)
    """Seconds after a pairing in which history and keys come and the session keeps its process to itself."""
    engine_descriptors: int = Field(default=64, ge=16)
    """File descriptors that an engine process may hold for itself; with more it is replaced."""
    engine_descriptors_per_session: int = Field(default=8, ge=1)
    """File descriptors on top for each session that it was started with."""
    engine_threads: int = Field(default=64, ge=16)
    """Threads that an engine process may hold for itself; with more it is replaced."""
    engine_threads_per_session: int = Field(default=8, ge=1)
    """Threads on top for each session that it was started with."""
    engine_memory_mib: float = Field(default=192.0, ge=64)
    """Resident MiB that an engine process may hold for itself; with more it is replaced."""
    engine_memory_mib_per_session: float = Field(default=16.0, ge=1)
    """Resident MiB on top for each session that it was started with."""
    max_concurrent_starts: int = Field(default=8, ge=1, le=256)
    """Sessions that restore and start at the same time: more would make all of them slower."""
    session_metrics: bool = False
    """Metrics of each session by its name, too: their number grows with the sessions."""
    shutdown_grace: float = Field(default=50.0, gt=0)
    """Seconds after SIGTERM until engines that still live are killed; less than the pod's grace period."""
    api_service_account: str = Field(default="whatsam-api", pattern=DNS_LABEL)
    """Service account, in the connector's namespace, whose tokens may call the connector."""

    @field_validator("engine_env", mode="before")
    @classmethod
    def _is_json(cls, value: object) -> object:
        # Decoded here, not by pydantic-settings, whose own error would not be told by the variable's name.
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError('must be a JSON object such as {"HTTPS_PROXY": "http://proxy:3128"}') from None

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr) -> SecretStr:
        if not _DATABASE_URL.match(value.get_secret_value()):
            raise ValueError("must be postgresql://user:password@host:port/database")
        return value

    @field_validator("cohort_size")
    @classmethod
    def _fits_the_engine(cls, value: int, info: ValidationInfo) -> int:
        engine = info.data.get("engine")  # missing when it is wrong itself
        if isinstance(engine, Engine) and value > engine.largest_cohort:
            raise ValueError(f"a process of {engine} serves {engine.largest_cohort} sessions at most")
        return value

    @model_validator(mode="after")
    def _clocks_keep_their_order(self) -> Self:
        self.lease_timings()
        return self

    def lease_timings(self) -> LeaseTimings:
        """The Lease's clocks. Raises `LeaseTimingError` when they could let two workers hold one session."""
        return LeaseTimings(
            renew_period=self.renew_period,
            request_timeout=self.lease_request_timeout,
            soft_fence=self.soft_fence,
            hard_fence=self.hard_fence,
            lease_duration=self.lease_duration,
        )
