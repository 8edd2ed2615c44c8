"""The small API server behind real HTTP, with the faults that a half-dead one has. For the operator's own client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from aiohttp import web
from kubernetes.aio.client import Configuration
from operator_cluster import ApiServer

from whatsam_core.storage.cluster import LEASES, PODS, POOLS, SESSIONS, Cluster, ClusterError, Kind
from whatsam_core.storage.transport import Transport

KINDS = {kind.plural: kind for kind in (LEASES, PODS, POOLS, SESSIONS)}


class Fault(Enum):
    """How the server treats a call."""

    NONE = "none"
    HANG = "hang"
    """It takes the call and does not answer for half a minute."""
    BUSY = "busy"
    """429: come back in a second."""
    BROKEN = "broken"
    """500."""


class FaultyServer:
    """HTTP in front of `ApiServer`."""

    def __init__(self) -> None:
        self.api = ApiServer()
        self.reads = Fault.NONE
        self.writes = Fault.NONE
        self.silent_watches = 0
        """So many watches, from now on, are opened and tell nothing: not even a bookmark, not even their end."""
        self.gone_watches = 0
        """So many watches are answered with 410 in the stream."""
        self.calls: list[tuple[float, str, str]] = []
        """Time, method and path of every call."""
        self._history: list[tuple[Kind, dict]] = []
        self._port = 0
        self.api.watchers.append(lambda kind, thing, removed: self._history.append((kind, _event(thing, removed))))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyServer"]:
        """Listen on a port of this machine."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def client(self) -> Cluster:
        """The project's own client for it."""
        return Cluster(Transport(Configuration(host=f"http://127.0.0.1:{self._port}")))

    def count(self, method: str) -> int:
        """Calls of a method so far."""
        return sum(1 for _, verb, _ in self.calls if verb == method)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((asyncio.get_running_loop().time(), request.method, request.path))
        fault = self.reads if request.method == "GET" else self.writes
        if fault is Fault.HANG:
            await asyncio.sleep(30)
        if fault is Fault.BUSY:
            return web.json_response({"message": "later"}, status=429, headers={"Retry-After": "1"})
        if fault is not Fault.NONE:
            return web.json_response({"message": "etcd is away"}, status=500)
        kind, key = _parse(request.path)
        if request.query.get("watch"):
            return await self._watch(request, kind)
        try:
            body = json.loads(await request.read() or b"null")
            return web.json_response(self._answer(request.method, kind, key, body, request.path))
        except ClusterError as error:
            status = {"NotFound": 404, "Conflict": 409, "AlreadyExists": 409}.get(type(error).__name__, 400)
            return web.json_response({"message": str(error), "reason": type(error).__name__}, status=status)

    def _answer(self, method: str, kind: Kind, key: tuple[str, str] | None, body: dict, path: str) -> dict:
        if method == "GET" and key is None:
            version = str(self.api.version)
            return {"items": list(self.api.objects[kind].values()), "metadata": {"resourceVersion": version}}
        if method == "POST":
            return self.api.create(kind, body)
        assert key is not None
        if method == "GET":
            return self.api.get(kind, key)
        if method == "PUT":
            return self.api.replace(kind, key, body)
        return self.api.patch(kind, key, body, "status" if path.endswith("/status") else None)

    async def _watch(self, request: web.Request, kind: Kind) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if self.gone_watches:
            self.gone_watches -= 1
            await _line(response, {"type": "ERROR", "object": {"code": 410, "message": "too old"}})
            return response
        if self.silent_watches:
            self.silent_watches -= 1
            await asyncio.sleep(30)
            return response
        queue: asyncio.Queue[dict] = asyncio.Queue()
        since = int(request.query["resourceVersion"])
        for changed, event in self._history:
            if changed is kind and int(event["object"]["metadata"]["resourceVersion"]) > since:
                queue.put_nowait(event)

        def tell(changed: Kind, thing: dict, removed: bool) -> None:
            if changed is kind:
                queue.put_nowait(_event(thing, removed))

        self.api.watchers.append(tell)
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while True:
                    await _line(response, await queue.get())
        except TimeoutError:
            return response
        finally:
            self.api.watchers.remove(tell)


def _event(thing: dict, removed: bool) -> dict:
    return {"type": "DELETED" if removed else "MODIFIED", "object": thing}


async def _line(response: web.StreamResponse, event: dict) -> None:
    await response.write(json.dumps(event).encode() + b"\n")


def _parse(path: str) -> tuple[Kind, tuple[str, str] | None]:
    """Kind and, for one object, its key."""
    parts = path.strip("/").split("/")
    kind = next(KINDS[part] for part in parts if part in KINDS)
    rest = parts[parts.index(kind.plural) + 1 :]
    return kind, (parts[parts.index("namespaces") + 1], rest[0]) if rest else None
