"""Brings one pod's status to the API server: whatever is newest, as soon as it can be had."""

import asyncio
import json
import logging
from collections.abc import Callable

from whatsam_local.node.api import NETWORK_ERRORS, Api
from whatsam_local.node.errors import ApiError
from whatsam_local.node.kinds import Json

log = logging.getLogger("status")

_RETRY_SECONDS = 0.5
_GONE = (404, 409)
_TOO_MANY = 429


def _is_temporary(error: ApiError) -> bool:
    return error.status >= 500 or error.status == _TOO_MANY


def _is_about_successor(error: ApiError) -> bool:
    """The name belongs to a newer pod by now: the refusal of the uid is a 422, not a 409."""
    return "metadata.uid" in str(error)


class StatusPublisher:
    """Sends a status when it differs from the last one that was sent, and again until it arrives."""

    def __init__(self, api: Api, path: str, uid: str, build: Callable[[], Json]) -> None:
        """`path` is the pod's, `build` makes the status of this moment."""
        self._api = api
        self._path = path
        self._uid = uid
        self._build = build
        self._sent: str | None = None
        self._dirty = asyncio.Event()
        self._clean = asyncio.Event()

    def touch(self) -> None:
        """Something may have changed."""
        self._clean.clear()
        self._dirty.set()

    def send_again(self) -> None:
        """Somebody else has overwritten what was sent."""
        self._sent = None
        self.touch()

    async def flush(self, limit: float | None) -> bool:
        """Wait until the newest status is with the API server, for at most `limit` seconds; returns whether it is."""
        try:
            async with asyncio.timeout(limit):
                await self._clean.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._publish()
            except NETWORK_ERRORS as error:
                log.info("status of %s: %r", self._path, error)
                await self._later()
            except ApiError as error:
                if _is_temporary(error):
                    await self._later()
                elif error.status not in _GONE and not _is_about_successor(error):
                    log.warning("status of %s: %s", self._path, error)
            except Exception:
                log.exception("status of %s", self._path)
            if not self._dirty.is_set():
                self._clean.set()

    async def _later(self) -> None:
        await asyncio.sleep(_RETRY_SECONDS)
        self._dirty.set()

    async def _publish(self) -> None:
        status = self._build()
        text = json.dumps(status, sort_keys=True)
        if text == self._sent:
            return
        # with the uid in it the API server refuses the patch when the name belongs to a newer pod
        await self._api.patch(f"{self._path}/status", {"metadata": {"uid": self._uid}, "status": status})
        self._sent = text
