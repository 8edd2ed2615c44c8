"""The settings of the API process. Read once at start; a wrong one is refused and named."""

import os
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import NoDecode

from whatsam_core.settings import ProcessSettings


def _starts(*schemes: str) -> Callable[[SecretStr], SecretStr]:
    def check(url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must start with {schemes[0]}://")
        return url

    return check


DatabaseUrl = Annotated[SecretStr, AfterValidator(_starts("postgresql", "postgres"))]
RedisUrl = Annotated[SecretStr, AfterValidator(_starts("redis", "rediss"))]
Rate = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}/([1-9][0-9]{0,4})?(second|minute|hour|day)s?$")]
"""Calls per time, such as 100/15minutes."""


class ApiSettings(ProcessSettings):
    """Environment of `whatsam-api`, prefix WHATSAM_."""

    namespace: str = Field(min_length=1, max_length=63)
    """Namespace of the sessions that this API serves."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Where the REST API answers."""
    database_url: DatabaseUrl
    """PostgreSQL, postgresql://user:password@host:port/database."""
    redis_url: RedisUrl | None = None
    """Rate limits shared by all replicas. Without it, or while it is away, each replica counts for itself."""
    jwt_secret: SecretStr = Field(min_length=32)
    """Signs access tokens; at least 32 bytes. Changing it ends all logins."""
    access_token_minutes: int = Field(default=15, ge=1, le=1440)
    """Minutes that an access token is good for."""
    refresh_token_days: int = Field(default=30, ge=1, le=365)
    """Days without a refresh after which somebody has to log in again."""
    admin_email: str | None = Field(default=None, max_length=254)
    """An administrator with this address is made at start when there is none."""
    admin_password: SecretStr | None = Field(default=None, min_length=8)
    """That administrator's first password."""
    registration_enabled: bool = True
    """Whether anybody may register."""
    connector_token_file: Path = Path("/var/run/secrets/whatsam/connector-token")
    """Projected service-account token with the connectors' audience; read again for each call because it rotates."""
    send_wait_seconds: float = Field(default=5.0, gt=0, le=25)
    """How long a send waits for the holder's answer before it is answered with 202."""
    database_pool_size: int = Field(default=10, ge=2, le=100)
    """Connections to PostgreSQL at most, for each replica."""
    anonymous_limit: Rate = "100/15minutes"
    """Calls without credentials, per address."""
    login_limit: Rate = "10/15minutes"
    """Logins per account and address."""
    user_limit: Rate = "1000/15minutes"
    """Calls with credentials, per user; sends and QR polling are counted apart."""
    session_operation_limit: Rate = "60/minute"
    """Creating, connecting, disconnecting and deleting sessions, per user."""
    call_wait_seconds: float = Field(default=18.0, gt=0, le=28)
    """How long a look-up or change at WhatsApp may take before it is answered with 504."""
    number_check_limit: Rate = "60/hour"
    """Phone numbers that may be looked up, per tenant: WhatsApp restricts accounts that look up many."""
    message_limit_basic: Rate = "100/hour"
    """Messages that a user of the tier BASIC may send; administrators have no limit."""
    message_limit_pro: Rate = "1000/hour"
    """Messages that a user of the tier PRO may send."""
    message_limit_max: Rate = "10000/hour"
    """Messages that a user of the tier MAX may send."""
    s3_url: str | None = Field(default=None, pattern=r"^https?://[^/]+/?$")
    """Address of the object store, for example http://seaweedfs:8333. Without it no message can carry a file."""
    s3_access_key: SecretStr | None = None
    """Access key of the object store."""
    s3_secret_key: SecretStr | None = None
    """Its secret key."""
    s3_bucket: str = Field(default="whatsam", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    """The bucket; made by the operator and the connectors."""
    s3_region: str = "us-east-1"
    """Region that requests are signed for."""
    s3_public_url: str | None = Field(default=None, pattern=r"^https?://[^/]+/?$")
    """Address of the same store for callers outside the cluster: files are then handed out by short-lived links to it.
    Without it they go through the API."""
    media_encryption: str = Field(default="none", pattern=r"^(none|SSE-S3)$")
    """SSE-S3 asks the store to encrypt media with keys of its own; none leaves that to the store's defaults."""
    media_max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=2 * 1024**3)
    """Largest file, in bytes, that is taken from a caller."""
    media_base64_max_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Largest file, in bytes, that is taken as base64: unlike uploads and URLs it is held in memory."""
    fetch_allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks that URLs of tenants may reach although they are not public, such as 10.1.0.0/16,10.2.0.0/16."""
    ffmpeg: Path | None = None
    """The ffmpeg program that voice notes are converted with; without it the one of the PATH, if there is one."""

    @field_validator("fetch_allowed_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("ffmpeg")
    @classmethod
    def _runs(cls, value: Path | None) -> Path | None:
        if value is not None and not os.access(value, os.X_OK):
            raise ValueError("there is no program that can be run")
        return value

    @model_validator(mode="after")
    def _keys_for_the_store(self) -> Self:
        if self.s3_url is not None and (self.s3_access_key is None or self.s3_secret_key is None):
            raise ValueError("WHATSAM_S3_URL needs WHATSAM_S3_ACCESS_KEY and WHATSAM_S3_SECRET_KEY")
        return self
