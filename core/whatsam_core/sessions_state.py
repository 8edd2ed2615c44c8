"""Where a session's auth state lies in the object store, and the records that operator and connector both read there.

Like a StatefulSet's volume, a state belongs to a namespace and a name, so a cluster restored from Git finds it.
Epoch and boot are part of every key: a writer that lost its session writes where nobody reads.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from whatsam_core.errors import WhatsamError
from whatsam_core.resources.base import WireModel

_BASE_KEY = re.compile(r"^(?P<prefix>.+/)e(?P<epoch>[0-9]{10})-(?P<boot>[a-z0-9]+)/base-(?P<seq>[0-9]{10})$")


def session_prefix(installation: str, namespace: str, name: str) -> str:
    """Everything of one session lies below this prefix (it ends with a slash)."""
    return f"{installation}/auth/{namespace}/{name}/"


def base_key(prefix: str, epoch: int, boot: str, seq: int) -> str:
    """Key of one base: a whole encrypted copy of the session's database."""
    return f"{prefix}e{epoch:010d}-{boot}/base-{seq:010d}"


def key_object(prefix: str) -> str:
    """Key of the session's wrapped data key; without it no base can be read."""
    return f"{prefix}key"


def auth_prefix(installation: str) -> str:
    """The states of all sessions lie below this prefix."""
    return f"{installation}/auth/"


def owner_key(installation: str) -> str:
    """Key of the mark that says which cluster uses this installation's part of the bucket."""
    return f"{installation}/owner"


def tombstone_key(installation: str, namespace: str, name: str) -> str:
    """Key of what is left of a deleted session whose state is kept."""
    return f"{installation}/tombstones/{namespace}/{name}"


@dataclass(frozen=True, order=True)
class BaseRef:
    """One base in the store. Ordered by age: a higher epoch, then a higher sequence number, is newer."""

    epoch: int
    seq: int
    boot: str
    key: str


def parse_base_key(key: str) -> BaseRef | None:
    """What a key says, or None when it is not a base's."""
    match = _BASE_KEY.match(key)
    if match is None:
        return None
    return BaseRef(epoch=int(match["epoch"]), seq=int(match["seq"]), boot=match["boot"], key=key)


def bases_of(keys: Iterable[str]) -> list[BaseRef]:
    """All bases among the keys, newest first."""
    return sorted((ref for key in keys if (ref := parse_base_key(key)) is not None), reverse=True)


def newest(bases: Iterable[BaseRef]) -> BaseRef | None:
    """The newest base, if there is one."""
    return max(bases, default=None)


RECORD_VERSION = 1
"""Of the JSON records below. A newer one may mean something that we do not know: it is refused, and left as it is."""


class RecordTooNew(WhatsamError):
    """A record was written by a newer Whatsam. It is left alone; an upgrade cures it."""


class StoredRecord(WireModel):
    """What every JSON record in the store says of itself."""

    version: int = 1
    """Of the record's form."""

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The record. Raises `RecordTooNew`, and `pydantic.ValidationError` when it is damaged."""
        found = _Version.model_validate_json(data)
        if found.version > RECORD_VERSION:
            raise RecordTooNew(
                f"written in form {found.version} by a newer Whatsam, this one knows form {RECORD_VERSION}"
            )
        return cls.model_validate_json(data)


class _Version(WireModel):
    """The version alone: the rest of a newer record may be anything."""

    version: int = 1


class Tombstone(StoredRecord):
    """Left in the store when a session is deleted with `Retain`: who may take its state over, and until when."""

    tenant: str
    uid: str
    jid: str | None = None
    phone_number: str | None = None
    epoch: int
    deleted_at: datetime
    expires_at: datetime


class Owner(StoredRecord):
    """Which cluster uses an installation's part of the bucket. Its operator's leader renews it."""

    cluster: str
    """UID of the namespace kube-system."""
    namespace: str
    """Where the operator runs, for people."""
    writer: str
    """The term of leadership that wrote it last."""
    seen_at: datetime
    """When that was, by its clock."""


class WrappedKey(StoredRecord):
    """A session's data key, wrapped by a key of the key ring."""

    key_id: str
    wrapped: str
    """Base64 of nonce and ciphertext."""
    tenant: str
    created_at: datetime
    data_key: str = ""
    """Fingerprint of the data key: the same key wrapped anew is told from another key without the ring. Empty in
    records from before there was one."""
