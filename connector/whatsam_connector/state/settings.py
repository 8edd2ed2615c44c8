"""What the state part is told at start; the core fills it from the connector's settings."""

from dataclasses import dataclass, field
from pathlib import Path

from whatsam_connector.state.keyring import KeyRing


@dataclass(frozen=True)
class StateSettings:
    """What the keeper needs of the connector's settings. Times in seconds."""

    state_dir: Path
    installation_id: str
    key_ring: KeyRing
    s3_url: str
    s3_access_key: str = field(repr=False)
    s3_secret_key: str = field(repr=False)
    s3_bucket: str
    s3_region: str
    engine_version: str
    """Such as `neonize-0.5.2`; recorded in every base."""
    store_timeout: float = 5.0
    poll_period: float = 0.25
