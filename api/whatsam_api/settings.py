"""The settings of the API process. Read once at start; a wrong one is refused and named."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

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
