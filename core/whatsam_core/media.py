"""Media as API and connector name them: what a message says about a file, and where the file lies in the object store.

A file's key is made of its content, under a prefix of its tenant: the same picture sent a thousand times is one object,
and no tenant can learn by a hash whether another tenant has a file.
"""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_PREFIX_LENGTH = 2
"""Hexadecimal digits of the folder between tenant and file: keeps listings of one folder short."""


class MediaRef(BaseModel):
    """One file that is in the object store: part of a message's body, as `media`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Hexadecimal SHA-256 of the bytes."""
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    mimetype: Annotated[str, Field(min_length=1, max_length=255)]
    """As sniffed for what we send, as the sender says for what we receive."""
    file_name: Annotated[str | None, Field(max_length=255)] = None
    """Name shown to people; never part of a key."""


def media_prefix(installation_id: str, tenant: str) -> str:
    """Prefix of all media of a tenant. Raises ValueError for a tenant that could name something else."""
    if _TENANT.fullmatch(tenant) is None:
        raise ValueError("not a tenant's name")
    return f"{installation_id}/media/{tenant}/"


def media_key(installation_id: str, tenant: str, sha256: str) -> str:
    """Key of a file by its hexadecimal SHA-256. Raises ValueError for anything else than a hash."""
    if _SHA256.fullmatch(sha256) is None:
        raise ValueError("not a SHA-256 in lower-case hexadecimal")
    return f"{media_prefix(installation_id, tenant)}{sha256[:_PREFIX_LENGTH]}/{sha256}"


def sha256_of_key(key: str) -> str | None:
    """The hash that a media key ends with; None for keys of anything else."""
    name = key.rpartition("/")[2]
    return name if _SHA256.fullmatch(name) else None
