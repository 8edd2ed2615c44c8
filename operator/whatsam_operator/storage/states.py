"""Auth states and tombstones in the object store, as far as the operator touches them: it reads and destroys, and it
never looks into a state. Used by the writer and by the sweep.
"""

from pydantic import ValidationError

from whatsam_core.sessions_state import (
    Owner,
    RecordTooNew,
    Tombstone,
    WrappedKey,
    key_object,
    owner_key,
    session_prefix,
    tombstone_key,
)
from whatsam_core.storage.objects import ObjectMissing, ObjectStore, ObjectStoreError
from whatsam_operator.errors import StateIsForeign
from whatsam_operator.planning.snapshot import Key


class States:
    """What one installation has in the object store."""

    def __init__(self, store: ObjectStore, installation: str) -> None:
        self._store = store
        self._installation = installation

    async def owner(self) -> tuple[Owner | None, str]:
        """The mark of the cluster that uses this part of the bucket; or what is wrong with it, for people."""
        name = owner_key(self._installation)
        try:
            return Owner.read(await self._store.get(name)), ""
        except ObjectMissing:
            return None, ""
        except RecordTooNew as error:
            return None, f"the owner's mark {name} is {error}: upgrade the operator"
        except ValidationError:
            advice = "if the store is this cluster's, `whatsam-operator installation --take-over`"
            return None, f"the owner's mark {name} is damaged, so whose the store is cannot be told: {advice}"

    async def claim(self, owner: Owner) -> None:
        """Write the mark; one that is there already is replaced."""
        data = owner.model_dump_json(by_alias=True, exclude_none=True).encode()
        await self._store.put(owner_key(self._installation), data)

    async def tombstone(self, key: Key) -> Tombstone | None:
        """What a deleted session of that name left, or None.

        Raises `ObjectStoreUnreachable`, and `ObjectStoreError` when the tombstone cannot be read: whose the state is,
        is not known then.
        """
        name = tombstone_key(self._installation, *key)
        try:
            data = await self._store.get(name)
        except ObjectMissing:
            return None
        try:
            return Tombstone.read(data)
        except RecordTooNew as error:
            raise ObjectStoreError(f"{name} is {error}: it is kept; upgrade the operator") from None
        except ValidationError:
            raise ObjectStoreError(f"{name} is damaged: look at it and delete it") from None

    async def bury(self, key: Key, tombstone: Tombstone) -> None:
        """Leave a tombstone; one that is there already is replaced."""
        data = tombstone.model_dump_json(by_alias=True, exclude_none=True).encode()
        await self._store.put(tombstone_key(self._installation, *key), data)

    async def forget(self, key: Key) -> None:
        """Remove a tombstone, if there is one."""
        await self._store.delete(tombstone_key(self._installation, *key))

    async def buried(self) -> list[Key]:
        """The names of all deleted sessions that left a tombstone."""
        prefix = tombstone_key(self._installation, "", "").rstrip("/") + "/"
        found = await self._store.list(prefix)
        parts = (info.key.removeprefix(prefix).split("/") for info in found)
        return [(part[0], part[1]) for part in parts if len(part) == 2]

    async def destroy(self, key: Key, tenant: str) -> int:
        """Destroy the state of that name if it is the tenant's, and return how many objects there were.

        The key goes first: without it the rest is noise, also what a late writer may still add. Raises
        `StateIsForeign`; an `ObjectStoreUnreachable` in the middle leaves the rest, which a repetition removes.
        """
        prefix = session_prefix(self._installation, *key)
        await self._require_tenant(prefix, tenant)
        await self._store.delete(key_object(prefix))
        return await self._store.delete_prefix(prefix)

    async def _require_tenant(self, prefix: str, tenant: str) -> None:
        try:
            data = await self._store.get(key_object(prefix))
        except ObjectMissing:
            return  # never written, or destroyed in an earlier attempt
        try:
            owner = WrappedKey.read(data).tenant
        except RecordTooNew as error:
            raise ObjectStoreError(f"{key_object(prefix)} is {error}: nothing is deleted") from None
        except ValidationError:
            raise ObjectStoreError(f"{key_object(prefix)} is damaged: whose state it is cannot be told") from None
        if owner != tenant:
            raise StateIsForeign(f"the state below {prefix} belongs to tenant {owner!r}, not to {tenant!r}")
