"""Looks at all tombstones now and then: those whose time is over take their states with them."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster import ClusterError
from whatsam_core.storage.objects import ObjectStoreError
from whatsam_operator.errors import OperatorError
from whatsam_operator.services.remains import RemainsService

log = get_logger(__name__)

AloneWith = Callable[[tuple[str, ...]], AbstractAsyncContextManager[bool]]


class Sweep:
    """One per term of leadership. `alone_with` keeps the reconciler away from a session's name."""

    def __init__(self, remains: RemainsService, alone_with: AloneWith, period: float) -> None:
        self._remains = remains
        self._alone_with = alone_with
        self._period = period

    async def run(self) -> None:
        """Repeat for ever."""
        while True:
            await self.once()
            await asyncio.sleep(self._period)

    async def once(self) -> None:
        """One look at every tombstone; what fails is looked at again in the next round."""
        try:
            graves = await self._remains.graves()
        except ObjectStoreError as error:
            log.warning("sweep_failed", error=str(error))
            return
        for key in graves:
            async with self._alone_with(("session", *key)) as alone:
                if not alone:
                    continue
                try:
                    await self._remains.settle(key)
                except (ObjectStoreError, ClusterError, OperatorError) as error:
                    log.warning("tombstone_not_settled", session="/".join(key), error=str(error))
