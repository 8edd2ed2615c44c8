"""Counters of rate limits: in Redis for all replicas, in this process while Redis is away."""

import time
from collections.abc import Sequence

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from whatsam_api.models.limits import Allowance
from whatsam_core.logging import get_logger

log = get_logger()

SOCKET_TIMEOUT = 0.5
"""Seconds that a call waits for Redis before it counts in this process instead."""

REST = 2.0
"""Seconds that Redis is left alone after a failure: a frozen one must not slow every call down."""


class LimitStore:
    """Counts calls. `degraded` tells whether Redis was away at the last call."""

    def __init__(self, redis_url: str | None) -> None:
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._shared = (
            MovingWindowRateLimiter(
                RedisStorage(
                    f"async+{redis_url}",
                    implementation="redispy",
                    socket_timeout=SOCKET_TIMEOUT,
                    socket_connect_timeout=SOCKET_TIMEOUT,
                )
            )
            if redis_url
            else None
        )
        self.degraded = False
        self._rest_until = 0.0

    async def shared(self) -> bool:
        """Whether calls are counted together with the other replicas now."""
        if self._shared is None:
            return False
        try:
            return bool(await self._shared.storage.check())
        except (RedisError, OSError, TimeoutError):
            return False

    async def hit(self, limit: str, key: Sequence[str]) -> Allowance:
        """Count one call under `limit` (such as "100/15minutes") for the identity `key`."""
        item = parse(limit)
        if self._shared is not None and time.monotonic() >= self._rest_until:
            try:
                outcome = await self._count(self._shared, item, key)
            except (RedisError, OSError, TimeoutError) as error:
                if not self.degraded:
                    log.warning("limits.redis_away", error=type(error).__name__)
                self.degraded = True
                self._rest_until = time.monotonic() + REST
            else:
                self.degraded = False
                return outcome
        return await self._count(self._local, item, key)

    @staticmethod
    async def _count(limiter: MovingWindowRateLimiter, item: RateLimitItem, key: Sequence[str]) -> Allowance:
        allowed = await limiter.hit(item, *key)
        window = await limiter.get_window_stats(item, *key)
        return Allowance(
            allowed=allowed, limit=item.amount, remaining=max(0, window.remaining), reset=window.reset_time
        )
