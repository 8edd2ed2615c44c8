"""A session's data key in the object store: read, make when there is none, wrap again when the ring was rotated."""

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from whatsam_connector.state.envelope import fingerprint
from whatsam_connector.state.errors import DataKeyUnusable, StateTooNew
from whatsam_connector.state.keyring import KEY_BYTES, NONCE_BYTES, KeyRing
from whatsam_core.sessions_state import RecordTooNew, WrappedKey, key_object
from whatsam_core.storage.objects import ObjectMissing, ObjectStore

_TRIES: Final = 3


@dataclass(frozen=True)
class DataKey:
    """The key and its wrapped form as it lies in the store. The key does not show up in its `repr`."""

    value: bytes = field(repr=False)
    record: WrappedKey


async def find(store: ObjectStore, ring: KeyRing, prefix: str) -> DataKey | None:
    """The session's data key, None when it has none.

    Raises `DataKeyUnusable` (`RingKeyMissing` when only the ring is to blame), `StateTooNew`, or an object store error.
    """
    try:
        raw = await store.get(key_object(prefix))
    except ObjectMissing:
        return None
    record = decoded(raw)
    return DataKey(ring.unwrap(record, prefix=prefix), record)


async def create(store: ObjectStore, ring: KeyRing, prefix: str, tenant: str, now: datetime) -> DataKey:
    """Make a data key. What is read back counts, so that two holders that create at once end up with one key."""
    for _ in range(_TRIES):
        await _write(store, ring, prefix, tenant, now, value=os.urandom(KEY_BYTES))
        found = await find(store, ring, prefix)
        if found is not None:
            return found
    raise DataKeyUnusable("the data key was written and is not there: does something empty the store?")


async def rewrapped(store: ObjectStore, ring: KeyRing, prefix: str, key: DataKey, now: datetime) -> DataKey:
    """The same data key, wrapped with the ring's current key; writes only when that is not so yet."""
    if key.record.key_id == ring.current:
        return key
    record = await _write(store, ring, prefix, key.record.tenant, now, value=key.value)
    return DataKey(key.value, record)


async def _write(
    store: ObjectStore, ring: KeyRing, prefix: str, tenant: str, now: datetime, *, value: bytes
) -> WrappedKey:
    record = wrapped(ring, prefix, tenant, value, now)
    await store.put(key_object(prefix), encoded(record))
    return record


def wrapped(ring: KeyRing, prefix: str, tenant: str, value: bytes, now: datetime) -> WrappedKey:
    """A data key, wrapped with the ring's current key."""
    return ring.wrap(value, prefix=prefix, tenant=tenant, nonce=os.urandom(NONCE_BYTES), created_at=now)


def decoded(raw: bytes) -> WrappedKey:
    """The record in an object. Raises `DataKeyUnusable`, `StateTooNew`."""
    try:
        return WrappedKey.read(raw)
    except RecordTooNew as error:
        raise StateTooNew(f"the record of the data key is {error}") from None
    except ValidationError:
        raise DataKeyUnusable("the record of the data key is not readable") from None


def names(raw: bytes, data_key: bytes, read: bytes) -> bool:
    """Whether the record in an object is this data key's, whatever key of the ring wraps it.

    `read` is the record that the key was read from: one from before there were fingerprints is told by being the same.
    """
    try:
        record = WrappedKey.read(raw)
        return record.data_key == fingerprint(data_key) or record == WrappedKey.read(read)
    except (RecordTooNew, ValidationError):
        return False


def encoded(record: WrappedKey) -> bytes:
    """The object as it lies in the store."""
    return record.model_dump_json(by_alias=True).encode()
