"""Telling people what happened: Events, in order, each text once. A lost Event is a log line, never a failure."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster import POOLS, SESSIONS, ClusterError
from whatsam_operator.errors import NotLeader
from whatsam_operator.planning.decisions import Story, Target
from whatsam_operator.storage.kube import Kube

QUEUE: Final = 1000
"""Stories that wait; in a storm the newest are dropped: conditions and logs have them too."""
REMEMBERED: Final = 10_000
"""Texts that are remembered as told."""

log = get_logger(__name__)


class StoryTeller:
    """One per term of leadership."""

    def __init__(self, kube: Kube, dropped: Callable[[], None] = lambda: None) -> None:
        self._kube = kube
        self._dropped = dropped
        self._queue: asyncio.Queue[tuple[Target, Story]] = asyncio.Queue(QUEUE)
        self._told: OrderedDict[tuple[str, Story], None] = OrderedDict()

    def is_news(self, target: Target, stories: tuple[Story, ...]) -> bool:
        """Whether one of the stories was not told before."""
        return any((target.uid, story) not in self._told for story in stories)

    def tell(self, target: Target, stories: tuple[Story, ...]) -> None:
        """Queue the stories; their order is kept."""
        for story in stories:
            self._told[(target.uid, story)] = None
            log.info("story", about="/".join(target.key), kind=target.kind, reason=story.reason, said=story.message)
            try:
                self._queue.put_nowait((target, story))
            except asyncio.QueueFull:
                self._dropped()
                log.warning("story_dropped", about="/".join(target.key), reason=story.reason)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    async def run(self) -> None:
        """Post for ever."""
        while True:
            target, story = await self._queue.get()
            try:
                await self._kube.tell(_regarding(target), story.reason, story.message, warning=story.warning)
            except (ClusterError, NotLeader) as error:
                log.info("story_not_posted", about="/".join(target.key), reason=story.reason, error=str(error))


def _regarding(target: Target) -> dict[str, Any]:
    kind = {"session": SESSIONS, "pool": POOLS}[target.kind]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"namespace": target.key[0], "name": target.key[1], "uid": target.uid},
    }
