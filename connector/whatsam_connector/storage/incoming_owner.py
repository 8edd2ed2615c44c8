"""Whose rows are written. Used by the modules that write a batch of what came in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

import asyncpg

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]


@dataclass(frozen=True, slots=True)
class Owner:
    """A session, its tenant and the uid of its object."""

    session: str
    """namespace/name"""
    tenant: str
    session_uid: UUID | None
