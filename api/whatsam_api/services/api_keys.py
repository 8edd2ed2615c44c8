"""API keys of a session: made, listed, ended. A key is shown once and stored as a hash."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from whatsam_api.errors import KeyNotFound
from whatsam_api.models.accounts import ApiKeyRow
from whatsam_api.services.identity import new_api_key
from whatsam_api.storage.api_keys import ApiKeyStore

if TYPE_CHECKING:
    from whatsam_api.storage.database import Connection


@dataclass(frozen=True)
class CreatedKey:
    """A fresh key: `secret` is never seen again."""

    secret: str
    row: ApiKeyRow


class ApiKeyService:
    """Keys of sessions. `session` is `<namespace>/<name>`."""

    def __init__(self, keys: ApiKeyStore) -> None:
        self._keys = keys

    async def create(
        self,
        tenant: str,
        session: str,
        *,
        name: str,
        scopes: list[str],
        expires_at: datetime | None,
        within: "Connection | None" = None,
    ) -> CreatedKey:
        """Make a key, as a part of the transaction `within` when there is one."""
        secret, prefix, digest = new_api_key()
        row = await self._keys.add(
            key_id=uuid4(), tenant=tenant, session=session, name=name, prefix=prefix, key_hash=digest, scopes=scopes,
            expires_at=expires_at, within=within,
        )  # fmt: skip
        return CreatedKey(secret=secret, row=row)

    async def of_session(self, tenant: str, session: str) -> list[ApiKeyRow]:
        """All keys of a session, without their secrets."""
        return await self._keys.of_session(tenant, session)

    async def end(self, tenant: str, session: str, key_id: UUID) -> None:
        """End a key at once. Raises `KeyNotFound`."""
        if not await self._keys.remove(tenant, session, key_id):
            raise KeyNotFound("there is no such key in this session")
