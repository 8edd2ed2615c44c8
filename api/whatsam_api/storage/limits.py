"""Counters of rate limits: in Redis for all replicas, in this process while Redis is away."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from whatsam_api.models.limits import Allowance
from whatsam_core.logging import get_logger

log = get_logger()

SOCKET_TIMEOUT = 0.5
"""Seconds that a call waits for Redis before it counts in this process instead."""

REST = 2.0
"""Seconds that Redis is left alone after a failure: a frozen one must not slow every call down."""


@dataclass(frozen=True)
class _Limiters:
    """Two ways of counting in one storage."""

    exact: RateLimiter
    sliding: RateLimiter

    def of(self, sliding: bool) -> RateLimiter:
        return self.sliding if sliding else self.exact


class LimitStore:
    """Counts calls. `degraded` tells whether Redis was away at the last call."""

    def __init__(self, redis_url: str | None) -> None:
        memory = MemoryStorage()
        self._local = _Limiters(MovingWindowRateLimiter(memory), SlidingWindowCounterRateLimiter(memory))
        self._shared: _Limiters | None = None
        if redis_url:
            redis = RedisStorage(
                f"async+{redis_url}",
                implementation="redispy",
                socket_timeout=SOCKET_TIMEOUT,
                socket_connect_timeout=SOCKET_TIMEOUT,
            )
            self._shared = _Limiters(MovingWindowRateLimiter(redis), SlidingWindowCounterRateLimiter(redis))
        self.degraded = False
        self._rest_until = 0.0

    async def shared(self) -> bool:
        """Whether calls are counted together with the other replicas now."""
        if self._shared is None:
            return False
        try:
            return bool(await self._shared.exact.storage.check())
        except (RedisError, OSError, TimeoutError):
            return False

    async def hit(self, limit: str, key: Sequence[str], count: int = 1, *, sliding: bool = False) -> Allowance:
        """Count `count` calls under `limit` (such as "100/15minutes") for the identity `key`.

        `sliding`: with two counters instead of one entry for each call, for limits of thousands; it may be off by a
        few when calls come unevenly.
        """
        item = parse(limit)
        if self._shared is not None and time.monotonic() >= self._rest_until:
            try:
                outcome = await self._count(self._shared.of(sliding), item, key, count)
            except (RedisError, OSError, TimeoutError) as error:
                if not self.degraded:
                    log.warning("limits.redis_away", error=type(error).__name__)
                self.degraded = True
                self._rest_until = time.monotonic() + REST
            else:
                self.degraded = False
                return outcome
        return await self._count(self._local.of(sliding), item, key, count)

    @staticmethod
    async def _count(limiter: RateLimiter, item: RateLimitItem, key: Sequence[str], count: int) -> Allowance:
        allowed = await limiter.hit(item, *key, cost=count)
        window = await limiter.get_window_stats(item, *key)
        return Allowance(
            allowed=allowed, limit=item.amount, remaining=max(0, window.remaining), reset=window.reset_time
        )
