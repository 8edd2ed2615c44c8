"""The settings of the API process. Read once at start; a wrong one is refused and named."""

from pathlib import Path

from pydantic import Field, SecretStr

from whatsam_core.settings import ProcessSettings


class ApiSettings(ProcessSettings):
    """Environment of `whatsam-api`, prefix WHATSAM_."""

    namespace: str = Field(min_length=1, max_length=63)
    """Namespace of the sessions that this API serves."""
    port: int = Field(default=8000, ge=1, le=65535)
    database_url: SecretStr = Field(min_length=1)
    """postgresql://user:password@host:port/database"""
    redis_url: str | None = Field(default=None, pattern=r"^rediss?://.+")
    """Rate limits shared by all replicas. Without it, or while it is away, each replica counts for itself."""
    jwt_secret: SecretStr = Field(min_length=32)
    """Signs access tokens; at least 32 bytes. Changing it ends all logins."""
    access_token_minutes: int = Field(default=15, ge=1, le=1440)
    refresh_token_days: int = Field(default=30, ge=1, le=365)
    admin_email: str | None = Field(default=None, max_length=254)
    """An administrator with this address is made at start when there is none."""
    admin_password: SecretStr | None = Field(default=None, min_length=8)
    registration_enabled: bool = True
    connector_token_file: Path = Path("/var/run/secrets/whatsam/connector-token")
    """Projected service-account token with the connectors' audience; read again for each call because it rotates."""
    send_wait_seconds: float = Field(default=5.0, gt=0, le=25)
    """How long a send waits for the holder's answer before it is answered with 202."""
    database_pool_size: int = Field(default=10, ge=2, le=100)
    anonymous_limit: str = "100/15minutes"
    """Calls without credentials, per address."""
    login_limit: str = "10/15minutes"
    """Logins per account and address."""
    user_limit: str = "1000/15minutes"
    """Calls with credentials, per user; sends and QR polling are counted apart."""
    session_operation_limit: str = "60/minute"
    """Creating, connecting, disconnecting and deleting sessions, per user."""
