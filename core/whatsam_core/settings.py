"""What the settings classes of all processes share: environment with the prefix WHATSAM_, refused at start by name."""

import sys
from typing import NoReturn, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from whatsam_core.errors import WhatsamError

PREFIX = "WHATSAM_"


class SettingsError(WhatsamError):
    """A setting is missing or wrong; the text names the variable and what it must be."""


class ProcessSettings(BaseSettings):
    """Base of one settings class per process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, use_attribute_docstrings=True)

    installation_id: str = Field(default="whatsam", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    """Names this installation in the object store; two installations may share a bucket."""
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    """Least severe level that is logged."""
    traces_url: str | None = Field(default=None, pattern=r"^https?://[^/]+(/.*)?$")
    """OpenTelemetry collector that takes OTLP over HTTP, for example http://collector:4318. Without it: no traces."""
    traces_sample: float = Field(default=1.0, ge=0, le=1)
    """Share of the traces that begin in this process and are kept; what a caller has decided is followed."""


class ObjectStoreSettings(ProcessSettings):
    """The S3-compatible object store."""

    s3_url: str = Field(pattern=r"^https?://[^/]+/?$")
    """Address of the store, for example http://seaweedfs:8333."""
    s3_access_key: SecretStr
    """Access key of an account that may read, write, list and delete in the bucket."""
    s3_secret_key: SecretStr
    """Its secret key."""
    s3_bucket: str = Field(default="whatsam", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    """The bucket; made at start when it is missing."""
    s3_region: str = "us-east-1"
    """Region that requests are signed for."""


class MediaSettings(ObjectStoreSettings):
    """What API and connector know of media, besides the store that they lie in."""

    media_encryption: str = Field(default="none", pattern=r"^(none|SSE-S3)$")
    """SSE-S3 asks the store to encrypt media with keys of its own; none leaves that to the store's defaults."""
    media_max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=2 * 1024**3)
    """Largest file, in bytes, that is taken from a caller or downloaded from WhatsApp."""


_Settings = TypeVar("_Settings", bound=ProcessSettings)


def load(settings: type[_Settings]) -> _Settings:
    """Read the environment. Raises `SettingsError` that names every wrong variable, without its value."""
    try:
        return settings()
    except ValidationError as error:
        problems = [
            f"{PREFIX}{str(problem['loc'][0]).upper() if problem['loc'] else '?'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise SettingsError("; ".join(problems)) from None


def refuse(error: WhatsamError) -> NoReturn:
    """End the process because it cannot start: the reason on stderr, exit code 2."""
    sys.stderr.write(f"cannot start: {error}\n")
    raise SystemExit(2)
