"""A small API server and a small object store in memory, with the semantics that the operator relies on, and faults.

Preconditions (resourceVersion, uid), merge patches, status as a subresource, finalizers, watches that lag. The
`Faults` decide before and after every call of one client what goes wrong with it.
"""

import asyncio
import copy
import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from whatsam_core.storage.cluster import (
    NAMESPACES,
    POOLS,
    SESSIONS,
    AlreadyExists,
    Conflict,
    Kind,
    ListResult,
    NotFound,
)
from whatsam_core.storage.objects import ObjectInfo, ObjectMissing
from whatsam_operator.planning.snapshot import Moment

Json = dict[str, Any]
START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LATENCY = 0.002


def clock() -> Moment:
    """Both clocks of the operator, from the loop's time."""
    seconds = asyncio.get_running_loop().time()
    return Moment(steady=seconds, wall=START + timedelta(seconds=seconds - 1000.0))


def stamp() -> str:
    """The API server's time of creation and deletion: whole seconds."""
    return clock().wall.replace(microsecond=0).isoformat()


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class ApiServer:
    """The objects. Everything happens at once; clients add latency and faults."""

    def __init__(self) -> None:
        self.objects: dict[Kind, dict[tuple[str, str], Json]] = defaultdict(dict)
        self.version = 100
        self.identity = "cluster-one"
        self.uids = 0
        self.watchers: list[Callable[[Kind, Json, bool], None]] = []
        self.writes: list[tuple[str, Kind, tuple[str, str]]] = []
        self.before_status: Callable[[Json, Json], None] = lambda old, new: None

    def get(self, kind: Kind, key: tuple[str, str]) -> Json:
        try:
            return copy.deepcopy(self.objects[kind][key])
        except KeyError:
            raise NotFound(f"{kind.plural} {key} not found") from None

    def create(self, kind: Kind, body: Mapping[str, Any]) -> Json:
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if key in self.objects[kind]:
            raise AlreadyExists(f"{kind.plural} {key} exists")
        self.uids += 1
        made = copy.deepcopy(dict(body))
        made["metadata"] = {
            **made["metadata"],
            "uid": made["metadata"].get("uid") or f"uid-{self.uids}",
            "creationTimestamp": stamp(),
            "generation": 1,
        }
        if kind in (SESSIONS, POOLS):
            made.pop("status", None)
        return self._store("create", kind, key, made)

    def patch(self, kind: Kind, key: tuple[str, str], patch: Mapping[str, Any], subresource: str | None) -> Json:
        old = self.get(kind, key)
        wanted = patch.get("metadata", {})
        for field in ("resourceVersion", "uid"):
            if field in wanted and wanted[field] != old["metadata"][field]:
                raise Conflict(f"{kind.plural} {key}: {field} is {old['metadata'][field]}, not {wanted[field]}")
        split = kind in (SESSIONS, POOLS)
        if subresource == "status":
            body = {"status": patch["status"]}
        else:
            body = {name: value for name, value in patch.items() if not (split and name == "status")}
        new = merged(old, body)
        if subresource == "status" and kind is SESSIONS:
            self.before_status(old, new)
        return self._changed("patch", kind, key, old, new)

    def replace(self, kind: Kind, key: tuple[str, str], body: Mapping[str, Any]) -> Json:
        old = self.get(kind, key)
        version = body["metadata"].get("resourceVersion")
        if version is not None and version != old["metadata"]["resourceVersion"]:
            raise Conflict(f"{kind.plural} {key}: stale")
        new = copy.deepcopy(dict(body))
        for field in ("uid", "creationTimestamp", "generation"):
            new["metadata"][field] = old["metadata"][field]
        if "status" in old:
            new["status"] = old["status"]
        return self._changed("replace", kind, key, old, new)

    def delete(self, kind: Kind, key: tuple[str, str], uid: str | None = None, version: str | None = None) -> None:
        old = self.get(kind, key)
        if uid not in (None, old["metadata"]["uid"]) or version not in (None, old["metadata"]["resourceVersion"]):
            raise Conflict(f"{kind.plural} {key}: another one")
        if old["metadata"].get("finalizers"):
            if "deletionTimestamp" not in old["metadata"]:
                old["metadata"]["deletionTimestamp"] = stamp()
                self._store("delete", kind, key, old)
            return
        self._gone(kind, key)

    def terminate(self, kind: Kind, key: tuple[str, str]) -> None:
        """A pod is to end: its object stays until the kubelet says that it has."""
        old = self.get(kind, key)
        old["metadata"]["deletionTimestamp"] = stamp()
        self._store("delete", kind, key, old)

    def _changed(self, verb: str, kind: Kind, key: tuple[str, str], old: Json, new: Json) -> Json:
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self.writes.append((verb, kind, key))
            self._gone(kind, key)
            return new
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if new == old:
            return old
        return self._store(verb, kind, key, new)

    def _store(self, verb: str, kind: Kind, key: tuple[str, str], new: Json) -> Json:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self.objects[kind][key] = new
        self.writes.append((verb, kind, key))
        self._announce(kind, new, False)
        return copy.deepcopy(new)

    def _gone(self, kind: Kind, key: tuple[str, str]) -> None:
        self.version += 1
        last = self.objects[kind].pop(key)
        last["metadata"]["resourceVersion"] = str(self.version)
        self._announce(kind, last, True)

    def _announce(self, kind: Kind, thing: Json, removed: bool) -> None:
        for watcher in list(self.watchers):
            watcher(kind, copy.deepcopy(thing), removed)


class Faults:
    """What goes wrong with the calls of one client. This one: nothing."""

    async def before(self, verb: str, kind: Kind | str, key: tuple[str, str]) -> None:
        """Before the server sees the call."""

    async def after(self, verb: str, kind: Kind | str, key: tuple[str, str]) -> None:
        """After the server has carried it out, before the client hears of it."""


class Client:
    """`Cluster`, as the operator and the fake connectors use it."""

    def __init__(self, server: ApiServer, faults: Faults | None = None) -> None:
        self.server = server
        self.faults = faults or Faults()
        self.events: list[tuple[str, str, str]] = []

    async def _call(self, verb: str, kind: Kind, key: tuple[str, str], work: Callable[[], Any]) -> Any:
        await self.faults.before(verb, kind, key)
        await asyncio.sleep(LATENCY / 2)
        result = work()
        await asyncio.sleep(LATENCY / 2)
        await self.faults.after(verb, kind, key)
        return result

    async def get(self, kind: Kind, namespace: str, name: str, *, timeout: float = 10) -> Json:
        if kind is NAMESPACES:
            return await self._call("get", kind, ("", name), lambda: {"metadata": {"uid": self.server.identity}})
        return await self._call("get", kind, (namespace, name), lambda: self.server.get(kind, (namespace, name)))

    async def list(
        self, kind: Kind, namespace: str | None, *, label_selector: str | None = None, timeout: float = 10
    ) -> ListResult:
        wanted = dict(pair.split("=") for pair in label_selector.split(",")) if label_selector else {}

        def work() -> ListResult:
            items = [
                copy.deepcopy(thing)
                for thing in self.server.objects[kind].values()
                if wanted.items() <= (thing["metadata"].get("labels") or {}).items()
            ]
            return ListResult(items, str(self.server.version))

        return await self._call("list", kind, ("", ""), work)

    async def create(self, kind: Kind, namespace: str, body: Json, *, timeout: float = 10) -> Json:
        key = (namespace, body["metadata"]["name"])
        return await self._call("create", kind, key, lambda: self.server.create(kind, body))

    async def merge_patch(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        patch: Json,
        *,
        subresource: str | None = None,
        timeout: float = 10,
    ) -> Json:
        key = (namespace, name)
        return await self._call("patch", kind, key, lambda: self.server.patch(kind, key, patch, subresource))

    async def replace(self, kind: Kind, namespace: str, name: str, body: Json, *, timeout: float = 10) -> Json:
        key = (namespace, name)
        return await self._call("replace", kind, key, lambda: self.server.replace(kind, key, body))

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        timeout: float = 10,
    ) -> None:
        key = (namespace, name)
        await self._call("delete", kind, key, lambda: self.server.delete(kind, key, uid, resource_version))

    async def create_event(self, regarding: Json, *, reason: str, message: str, **_: Any) -> None:
        await asyncio.sleep(LATENCY)
        self.events.append((regarding["metadata"]["name"], reason, message))


class Store:
    """`ObjectStore`, with the same faults."""

    def __init__(self, faults: Faults | None = None, objects: dict[str, bytes] | None = None) -> None:
        self.faults = faults or Faults()
        self.objects = {} if objects is None else objects

    async def _call(self, verb: str, key: str, work: Callable[[], Any]) -> Any:
        await self.faults.before(verb, "store", ("", key))
        await asyncio.sleep(LATENCY)
        result = work()
        await self.faults.after(verb, "store", ("", key))
        return result

    async def put(self, key: str, data: bytes) -> None:
        await self._call("put", key, lambda: self.objects.__setitem__(key, data))

    async def get(self, key: str) -> bytes:
        def work() -> bytes:
            if key not in self.objects:
                raise ObjectMissing(key)
            return self.objects[key]

        return await self._call("get", key, work)

    async def list(self, prefix: str) -> list[ObjectInfo]:
        def work() -> list[ObjectInfo]:
            return [
                ObjectInfo(key, len(self.objects[key]), START) for key in sorted(self.objects) if key.startswith(prefix)
            ]

        return await self._call("list", prefix, work)

    async def delete(self, key: str) -> None:
        await self._call("delete", key, lambda: self.objects.pop(key, None))

    async def delete_prefix(self, prefix: str) -> int:
        # One by one, as the real one may fail in the middle.
        found = [key for key in self.objects if key.startswith(prefix)]
        for key in found:
            await self.delete(key)
        return len(found)


class LaggingWatch:
    """What kopf is to the operator: every change, some time later, in order."""

    def __init__(self, server: ApiServer, feed: Callable[[Kind, Json, bool], None], chance: random.Random) -> None:
        self._server = server
        self._feed = feed
        self._chance = chance

    async def run(self) -> None:
        queue: asyncio.Queue[tuple[Kind, Json, bool]] = asyncio.Queue()

        def watcher(kind: Kind, thing: Json, removed: bool) -> None:
            queue.put_nowait((kind, thing, removed))

        self._server.watchers.append(watcher)
        try:
            for kind in list(self._server.objects):
                for thing in list(self._server.objects[kind].values()):
                    self._deliver(kind, copy.deepcopy(thing), False)
            while True:
                kind, thing, removed = await queue.get()
                await asyncio.sleep(self._chance.random() * 0.02)
                self._deliver(kind, thing, removed)
        finally:
            self._server.watchers.remove(watcher)

    def _deliver(self, kind: Kind, thing: Json, removed: bool) -> None:
        labels = thing["metadata"].get("labels") or {}
        if kind in (SESSIONS, POOLS) or "app.kubernetes.io/component" in labels:
            self._feed(kind, thing, removed)


async def eventually(condition: Callable[[], bool], within: float, what: str) -> None:
    """Wait, in virtual time, until it is so."""
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.05)
