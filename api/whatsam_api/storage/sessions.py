"""WhatsAppSession objects: read from a cache that a watch keeps fresh, written to the API server.

Reads come from the cache so that a tenant's send is accepted while the API server is away; whatever decides
about limits reads afresh.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from pydantic import ValidationError

from whatsam_api.errors import ApiError, SessionExists, SessionNotFound, Unavailable
from whatsam_core import names
from whatsam_core.logging import get_logger
from whatsam_core.resources import WhatsAppSession
from whatsam_core.storage.cluster import (
    SESSIONS,
    AlreadyExists,
    Changed,
    Cluster,
    ClusterError,
    Conflict,
    Disconnected,
    Invalid,
    NotFound,
    Removed,
    Snapshot,
    Unreachable,
)

log = get_logger()

Listener = Callable[[WhatsAppSession], None]

LOOK_AGAIN = 3.0
"""Seconds for which a refusal may wait for the API server to say whether it is still true."""


class SessionStore:
    """The sessions of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._cache: dict[str, WhatsAppSession] = {}
        self._changed = asyncio.Condition()
        self._listeners: list[Listener] = []
        self._horizon = 0
        """How far the watch has come: an answer of the API server from before this is old news."""
        self.watching = False
        """Whether changes arrive now; the cache is as good as the last one that came."""
        self.synced = asyncio.Event()
        """Set once the cache has been filled for the first time."""

    @property
    def namespace(self) -> str:
        """The namespace that this API serves."""
        return self._namespace

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every session that appears or changes."""
        self._listeners.append(listener)

    async def follow(self) -> None:
        """Keep the cache fresh, for ever. Run it as a task."""
        async with aclosing(self._cluster.reflect(SESSIONS, self._namespace)) as events:
            async for event in events:
                match event:
                    case Snapshot(items):
                        # The horizon too: a cluster that was restored from a backup counts from lower numbers.
                        self._cache, self._horizon = {}, 0
                        for one in items:
                            self._see(one)
                        self.synced.set()
                        self.watching = True
                    case Changed(item):
                        self._see(item)
                    case Removed(item):
                        self._forget(item)
                    case Disconnected(error):
                        self.watching = False
                        log.warning("sessions.watch_lost", error=str(error))
                await self._wake()

    def cached(self, name: str) -> WhatsAppSession | None:
        """The session as the watch last saw it."""
        return self._cache.get(name)

    def all_cached(self) -> list[WhatsAppSession]:
        """Every session as the watch last saw it."""
        return list(self._cache.values())

    def of_tenant(self, tenant: str) -> list[WhatsAppSession]:
        """The tenant's sessions as the watch last saw them, oldest first."""
        mine = [session for session in self._cache.values() if session.spec.tenant == tenant]
        return sorted(mine, key=lambda session: (str(session.metadata.creation_timestamp), session.metadata.name))

    async def fresh_of_tenant(self, tenant: str) -> list[WhatsAppSession]:
        """The tenant's sessions, read from the API server."""
        async with _translated(tenant):
            found = await self._cluster.list(SESSIONS, self._namespace, field_selector=f"spec.tenant={tenant}")
        return [session for item in found.items if (session := _readable(item)) is not None]

    async def fresh(self, name: str) -> WhatsAppSession:
        """The session, read from the API server. Raises `SessionNotFound`."""
        async with _translated(name):
            return WhatsAppSession.from_wire(await self._cluster.get(SESSIONS, self._namespace, name))

    async def newest(self, name: str) -> WhatsAppSession | None:
        """The session as the API server has it now; the cache learns it too. While that is away, what the cache has."""
        try:
            async with _translated(name):
                item = await self._cluster.get(SESSIONS, self._namespace, name, timeout=LOOK_AGAIN)
        except SessionNotFound:
            return None
        except ApiError:
            return self._cache.get(name)
        await self._learn(item)
        return self._cache.get(name)

    async def wait_for(
        self, name: str, ready: Callable[[WhatsAppSession | None], bool], timeout: float
    ) -> WhatsAppSession | None:
        """Wait until the cached session satisfies `ready`, at most `timeout` seconds; what it is then."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: ready(self._cache.get(name)))
        except TimeoutError:
            pass
        return self._cache.get(name)

    async def create(self, name: str, spec: dict[str, Any], finalizers: list[str]) -> WhatsAppSession:
        """Create a session object. Raises `SessionExists`, or `ApiError` with what a rule of the cluster says."""
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.SESSION_KIND,
            "metadata": {"name": name, "namespace": self._namespace, "finalizers": finalizers},
            "spec": spec,
        }
        async with _translated(name):
            created = await self._cluster.create(SESSIONS, self._namespace, body)
        await self._learn(created)
        return WhatsAppSession.from_wire(created)

    async def patch(self, session: WhatsAppSession, patch: dict[str, Any], *, exact: bool = False) -> WhatsAppSession:
        """Patch the object with that uid. With `exact` it must not have changed since it was read.

        Raises `SessionNotFound` when the name belongs to another object by now.
        """
        metadata = {**patch.get("metadata", {}), "uid": session.metadata.uid}
        if exact:
            metadata["resourceVersion"] = session.metadata.resource_version
        async with _translated(session.metadata.name):
            changed = await self._cluster.merge_patch(
                SESSIONS, self._namespace, session.metadata.name, {**patch, "metadata": metadata}
            )
        await self._learn(changed)
        return WhatsAppSession.from_wire(changed)

    async def delete(self, session: WhatsAppSession) -> None:
        """Ask for the deletion of exactly this object; finalizers do the rest. Gone already is fine."""
        with suppress(SessionNotFound):
            async with _translated(session.metadata.name):
                await self._cluster.delete(SESSIONS, self._namespace, session.metadata.name, uid=session.metadata.uid)

    async def _learn(self, item: dict[str, Any]) -> None:
        """Take an answer of the API server, unless the watch has told what came after it (even a deletion)."""
        gone = item["metadata"].get("deletionTimestamp") and not item["metadata"].get("finalizers")
        if not gone and _version(item) > self._horizon:
            self._take(item)
            await self._wake()

    def _see(self, item: dict[str, Any]) -> None:
        self._horizon = max(self._horizon, _version(item))
        self._take(item)

    def _forget(self, item: dict[str, Any]) -> None:
        self._horizon = max(self._horizon, _version(item))
        known = self._cache.get(item["metadata"]["name"])
        # An own write may have told of the next object of that name before the watch tells of this one's end.
        if known is not None and known.metadata.uid == item["metadata"].get("uid"):
            del self._cache[known.metadata.name]

    def _take(self, item: dict[str, Any]) -> None:
        session = _readable(item)
        if session is None:
            return
        known = self._cache.get(session.metadata.name)
        if known is not None and int(known.metadata.resource_version or 0) > _version(item):
            return
        self._cache[session.metadata.name] = session
        for listener in self._listeners:
            listener(session)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _version(item: dict[str, Any]) -> int:
    """Resource versions are numbers that can be compared: Kubernetes promises it since 1.35."""
    return int(item["metadata"].get("resourceVersion") or 0)


def _readable(item: dict[str, Any]) -> WhatsAppSession | None:
    try:
        return WhatsAppSession.from_wire(item)
    except ValidationError as error:
        log.error("sessions.unreadable", session=item.get("metadata", {}).get("name"), problems=error.error_count())
        return None


@asynccontextmanager
async def _translated(name: str) -> AsyncGenerator[None]:
    """Turn the cluster's failures into what a tenant is told."""
    try:
        yield
    except AlreadyExists as error:
        raise SessionExists("a session of this name exists; choose another sessionId") from error
    except (NotFound, Conflict) as error:
        raise SessionNotFound(name) from error
    except Invalid as error:
        raise ApiError(error.message) from error
    except Unreachable as error:
        raise Unavailable("the cluster is away; try again") from error
    except ClusterError as error:
        raise ApiError(f"the cluster refuses: {error.message}") from error
