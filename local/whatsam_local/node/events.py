"""Events about pods, for `kubectl describe`. Repeated ones are counted up instead of written anew."""

import asyncio
import logging
import time
from dataclasses import dataclass

from whatsam_local.node.api import NETWORK_ERRORS, Api
from whatsam_local.node.errors import ApiError
from whatsam_local.node.kinds import Json
from whatsam_local.node.node_object import event_body
from whatsam_local.node.status import timestamp

log = logging.getLogger("events")

_REMEMBERED = 1000
"""Events kept for counting; older ones are forgotten and would be written anew."""
_COUNT_SECONDS = 10.0
"""A repeated event's count is written at most this often: a failing probe repeats every second."""


@dataclass
class _Sent:
    name: str | None = None
    count: int = 1
    written: float = 0.0


class EventRecorder:
    """Writes events in the background. One that cannot be written is lost: events promise nothing."""

    def __init__(self, api: Api, node: str) -> None:
        self._api = api
        self._node = node
        self._sent: dict[tuple[str, str, str], _Sent] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def record(self, pod: Json, kind: str, reason: str, message: str) -> None:
        """Tell something about a pod; `kind` is Normal or Warning."""
        key = (pod["metadata"]["uid"], reason, message)
        sent = self._sent.get(key)
        now = time.monotonic()
        if sent is not None:
            sent.count += 1
            if sent.name is None or now - sent.written < _COUNT_SECONDS:
                return
        else:
            sent = self._sent[key] = _Sent()
            while len(self._sent) > _REMEMBERED:
                self._sent.pop(next(iter(self._sent)))
        sent.written = now
        task = asyncio.create_task(self._write(pod, kind, reason, message, sent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, pod: Json, kind: str, reason: str, message: str, sent: _Sent) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/events"
        now = timestamp(time.time())
        try:
            if sent.name is None:
                body = event_body(pod, self._node, kind=kind, reason=reason, message=message, now=now)
                created = await self._api.post(path, body)
                sent.name = created["metadata"]["name"]
            else:
                body = {"count": sent.count, "lastTimestamp": now}
                await self._api.patch(f"{path}/{sent.name}", body, strategic=False)
        except (ApiError, *NETWORK_ERRORS) as error:
            log.debug("event %s: %s", reason, error)
