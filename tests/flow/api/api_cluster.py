"""The API server as the REST API uses it, in memory: versions, preconditions, finalizers, watches, outages."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from whatsam_core import names
from whatsam_core.storage.cluster import (
    AlreadyExists,
    Changed,
    Conflict,
    Disconnected,
    Forbidden,
    Kind,
    ListResult,
    NotFound,
    ReflectEvent,
    Removed,
    Snapshot,
    Unreachable,
)

Json = dict[str, Any]


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


class FakeCluster:
    """`whatsam_core.storage.cluster.Cluster` for sessions of one namespace. Share one between two instances."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.version = 100
        self.away = False
        self.watch_lags = False
        """Watches tell nothing new, as when a proxy holds their packets back."""
        self.writes: list[tuple[str, str]] = []
        self.crash_after: str | None = None
        """A verb after whose next success the caller hears nothing, as if it were killed there."""
        self.answer_delay: dict[str, float] = {}
        """Seconds by verb between what the server did and when the caller hears of it."""
        self._watchers: list[asyncio.Queue[ReflectEvent | None]] = []

    async def list(
        self, kind: Kind, namespace: str | None, *, field_selector: str | None = None, **_: Any
    ) -> ListResult:
        await self._pass("list", "")
        tenant = (field_selector or "").removeprefix("spec.tenant=")
        found = [one for one in self.objects.values() if not tenant or one["spec"]["tenant"] == tenant]
        answer = ListResult(copy.deepcopy(found), str(self.version))
        await asyncio.sleep(self.answer_delay.get("list", 0))
        return answer

    async def get(self, kind: Kind, namespace: str | None, name: str, **_: Any) -> Json:
        await self._pass("get", name)
        return copy.deepcopy(self._found(name))

    async def create(self, kind: Kind, namespace: str | None, body: Mapping[str, Any], **_: Any) -> Json:
        name = body["metadata"]["name"]
        await self._pass("create", name)
        if name in self.objects:
            raise AlreadyExists(f"{name} exists", status=409)
        return await self._after("create", self.apply(name, dict(body["spec"]), body["metadata"].get("finalizers", [])))

    async def merge_patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Mapping[str, Any], **_: Any
    ) -> Json:
        await self._pass("patch", name)
        old = self._found(name)
        wanted = patch.get("metadata", {})
        for field in ("resourceVersion", "uid"):
            if field in wanted and wanted[field] != old["metadata"][field]:
                raise Conflict(f"{name}: another {field}", status=409)
        new = merged(old, {key: value for key, value in patch.items() if key != "status"})
        if old["metadata"].get("deletionTimestamp") and not set(new["metadata"].get("finalizers", [])) <= set(
            old["metadata"].get("finalizers", [])
        ):
            raise Forbidden(f"{name}: no new finalizers can be added when the object is being deleted", status=403)
        if new["spec"] != old["spec"]:
            new["metadata"]["generation"] += 1
        return await self._after("patch", self._store(new) if new != old else copy.deepcopy(old))

    async def delete(self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None, **_: Any) -> None:
        await self._pass("delete", name)
        old = copy.deepcopy(self._found(name))
        if uid is not None and uid != old["metadata"]["uid"]:
            raise Conflict(f"{name}: another uid", status=409)
        if "deletionTimestamp" not in old["metadata"]:
            old["metadata"]["deletionTimestamp"] = datetime.now(UTC).isoformat()
            self._store(old)
        await self._after("delete", old)

    async def reflect(self, kind: Kind, namespace: str | None, **_: Any) -> AsyncGenerator[ReflectEvent]:
        queue: asyncio.Queue[ReflectEvent | None] = asyncio.Queue()
        self._watchers.append(queue)
        try:
            while True:
                if self.away:
                    await asyncio.sleep(0.01)
                    continue
                while not queue.empty():
                    queue.get_nowait()
                yield Snapshot(copy.deepcopy(list(self.objects.values())))
                while (event := await queue.get()) is not None:
                    yield event
                yield Disconnected(Unreachable("the connection is refused"))
        finally:
            self._watchers.remove(queue)

    # What others do to the cluster.

    def apply(self, name: str, spec: Json, finalizers: Sequence[str] = ()) -> Json:
        """What kubectl (or a create) does."""
        return self._store(
            {
                "apiVersion": names.API_VERSION,
                "kind": names.SESSION_KIND,
                "metadata": {
                    "name": name,
                    "namespace": "test",
                    "uid": str(uuid4()),
                    "generation": 1,
                    "creationTimestamp": datetime.now(UTC).isoformat(),
                    "finalizers": [*finalizers, names.FINALIZER_OPERATOR],
                },
                "spec": spec,
            }
        )

    def set_status(self, name: str, **status: Any) -> None:
        """What operator and connector do; None removes a field."""
        self._store(merged(self.objects[name], {"status": status}))

    def operator_lets_go(self, name: str) -> None:
        """The operator has done its part of a deletion."""
        new = copy.deepcopy(self.objects[name])
        new["metadata"]["finalizers"].remove(names.FINALIZER_OPERATOR)
        self._store(new)

    def vanish(self, name: str) -> None:
        """All finalizers are done at once."""
        new = copy.deepcopy(self.objects[name])
        new["metadata"] |= {"finalizers": [], "deletionTimestamp": datetime.now(UTC).isoformat()}
        self._store(new)

    def go_away(self) -> None:
        self.away = True
        for queue in self._watchers:
            queue.put_nowait(None)

    def come_back(self) -> None:
        self.away = False

    # Inside.

    async def _pass(self, verb: str, name: str) -> None:
        await asyncio.sleep(0.001)
        if self.away:
            raise Unreachable(f"{verb} {name}: the connection is refused")

    async def _after(self, verb: str, answer: Json) -> Json:
        self.writes.append((verb, answer["metadata"]["name"]))
        await asyncio.sleep(self.answer_delay.get(verb, 0.001))
        if self.crash_after == verb:
            self.crash_after = None
            raise Unreachable(f"{verb}: the connection broke")
        return copy.deepcopy(answer)

    def _found(self, name: str) -> Json:
        if name not in self.objects:
            raise NotFound(f"{name} not found", status=404)
        return self.objects[name]

    def _store(self, item: Json) -> Json:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        name = item["metadata"]["name"]
        if item["metadata"].get("deletionTimestamp") and not item["metadata"].get("finalizers"):
            self.objects.pop(name)
            self._tell(Removed(copy.deepcopy(item)))
        else:
            self.objects[name] = item
            self._tell(Changed(copy.deepcopy(item)))
        return copy.deepcopy(item)

    def _tell(self, event: ReflectEvent) -> None:
        if not self.watch_lags and not self.away:
            for queue in self._watchers:
                queue.put_nowait(event)
