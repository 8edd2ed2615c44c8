"""What a tier allows. Pure; services ask."""

from enum import StrEnum


class Tier(StrEnum):
    """What a user pays for."""

    BASIC = "BASIC"
    PRO = "PRO"
    MAX = "MAX"


class Role(StrEnum):
    """What a user may do beyond his own sessions."""

    USER = "USER"
    ADMIN = "ADMIN"


SESSION_LIMITS = {Tier.BASIC: 1, Tier.PRO: 5, Tier.MAX: 20}
"""Sessions that are neither deleted nor stopped, by tier. Administrators have no limit."""


def session_limit(tier: Tier, role: Role) -> int | None:
    """How many sessions the user may run at a time; None means any number."""
    return None if role is Role.ADMIN else SESSION_LIMITS[tier]


def may_run_another(running: int, limit: int | None) -> bool:
    """Whether one more session may run beside `running` others."""
    return limit is None or running < limit


def message_limit(tier: Tier, role: Role) -> Tier | None:
    """Whose limit of messages holds for a user; None means that there is no limit."""
    return None if role is Role.ADMIN else tier
