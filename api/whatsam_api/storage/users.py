"""Rows of users and refresh tokens."""

from datetime import datetime
from uuid import UUID

import asyncpg

from whatsam_api.errors import EmailTaken
from whatsam_api.models.accounts import User
from whatsam_api.policies.tiers import Role, Tier
from whatsam_api.storage.database import Database


class UserStore:
    """Users and their refresh tokens in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, *, user_id: UUID, email: str, name: str, password_hash: str, tier: Tier, role: Role, tenant: str
    ) -> User:
        """Insert a user. Raises `EmailTaken` when the address (in any case of letters) is in use."""
        async with self._database.connection() as connection:
            try:
                row = await connection.fetchrow(
                    "insert into users (id, email, name, password_hash, tier, role, tenant)"
                    " values ($1, $2, $3, $4, $5, $6, $7) returning *",
                    user_id, email, name, password_hash, tier.value, role.value, tenant,
                )  # fmt: skip
            except asyncpg.UniqueViolationError:
                raise EmailTaken("an account with this address exists; log in instead") from None
        return User.model_validate(dict(row or {}))

    async def by_email(self, email: str) -> User | None:
        """The user with this address, whatever the case of letters."""
        return await self._one("select * from users where lower(email) = lower($1)", email)

    async def by_id(self, user_id: UUID) -> User | None:
        """The user with this id."""
        return await self._one("select * from users where id = $1", user_id)

    async def by_tenant(self, tenant: str) -> User | None:
        """The user that owns this tenant."""
        return await self._one("select * from users where tenant = $1", tenant)

    async def tenants(self) -> set[str]:
        """Every tenant that belongs to a user."""
        async with self._database.connection() as connection:
            return {row["tenant"] for row in await connection.fetch("select tenant from users")}

    async def add_refresh_token(self, token_hash: bytes, user_id: UUID, expires_at: datetime) -> None:
        """Remember a refresh token by its hash, and forget the user's expired ones."""
        async with self._database.transaction() as connection:
            await connection.execute("delete from refresh_tokens where user_id = $1 and expires_at < now()", user_id)
            await connection.execute(
                "insert into refresh_tokens (token_hash, user_id, expires_at) values ($1, $2, $3)",
                token_hash,
                user_id,
                expires_at,
            )

    async def take_refresh_token(self, token_hash: bytes) -> UUID | None:
        """Use a refresh token up: the user's id, or None when it is unknown, expired or used already."""
        async with self._database.connection() as connection:
            return await connection.fetchval(
                "delete from refresh_tokens where token_hash = $1 and expires_at > now() returning user_id", token_hash
            )

    async def _one(self, query: str, argument: object) -> User | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query, argument)
        return User.model_validate(dict(row)) if row is not None else None
