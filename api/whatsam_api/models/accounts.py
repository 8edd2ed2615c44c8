"""Accounts and API keys as they are stored."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from whatsam_api.policies.tiers import Role, Tier


class User(BaseModel):
    """A person with an account; owns everything of one tenant."""

    # A row that does not fit would else put its hash into a traceback, and the traceback into the log.
    model_config = ConfigDict(hide_input_in_errors=True)

    id: UUID
    email: str
    name: str
    password_hash: str
    tier: Tier
    role: Role
    tenant: str
    active: bool
    created_at: datetime


class ApiKeyRow(BaseModel):
    """An API key as it is stored."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: UUID
    tenant: str
    session: str
    """`<namespace>/<name>` of the session that the key opens."""
    name: str
    prefix: str
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime
