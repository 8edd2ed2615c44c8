"""What this process can reach, for probes and people."""

from dataclasses import dataclass

from whatsam_api.storage.database import Database
from whatsam_api.storage.limits import LimitStore
from whatsam_api.storage.sessions import SessionStore


@dataclass(frozen=True)
class Reach:
    """What the process reaches now."""

    database: bool
    sessions_synced: bool
    """Sessions are known. They stay known, as they last were, while the API server is away."""
    cluster_watched: bool
    """Changes of sessions arrive now."""
    rate_limits_shared: bool
    """Rate limits are counted together with the other replicas."""


class HealthService:
    """Looks at the stores."""

    def __init__(self, database: Database, sessions: SessionStore, limits: LimitStore) -> None:
        self._database = database
        self._sessions = sessions
        self._limits = limits

    def takes_calls(self) -> bool:
        """Whether sessions are known. PostgreSQL being away takes no replica out: it would take all of them out."""
        return self._sessions.synced.is_set()

    async def reach(self) -> Reach:
        """What the process reaches now."""
        return Reach(
            database=await self._database.reachable(),
            sessions_synced=self._sessions.synced.is_set(),
            cluster_watched=self._sessions.watching,
            rate_limits_shared=await self._limits.shared(),
        )
