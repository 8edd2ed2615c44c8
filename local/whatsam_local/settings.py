"""What `whatsam-local` reads from its environment."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from whatsam_local.errors import LocalError


class WhatsApp(StrEnum):
    """With whom connectors speak."""

    SIMULATOR = "simulator"
    REAL = "real"


class LocalSettings(BaseSettings):
    """Environment of `make up` and `make down`; none of it is needed."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    whatsapp: WhatsApp = Field(WhatsApp.SIMULATOR, validation_alias="WHATSAPP")
    """`real`: no simulator; connectors reach WhatsApp through the egress proxy."""
    keep: bool = Field(False, validation_alias="KEEP")
    """`down` leaves the data (etcd, PostgreSQL, objects, keys) for the next `up`."""
    engine_race: bool = Field(False, validation_alias="WHATSAM_ENGINE_RACE")
    """Tests run the engine in Go with the race detector: `make test-engine-race`."""
    cache_home: Path | None = Field(None, validation_alias="XDG_CACHE_HOME")

    @classmethod
    def load(cls) -> "LocalSettings":
        """From the environment. Raises LocalError that names the variable that is wrong."""
        try:
            return cls()  # pyright: ignore[reportCallIssue] - every field has a default under an alias
        except ValidationError as error:
            wrong = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
            raise LocalError(f"The environment is wrong: {wrong}") from error
