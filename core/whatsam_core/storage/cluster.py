"""The Kubernetes API as Whatsam's parts use it: raw JSON objects, bounded calls, named failures, endless watches.

Every part gets its one `Cluster` from its factory and reads or writes through it. Objects are the dictionaries that
the API server sends; pydantic models (`whatsam_core.resources`) give them types at the callers. Nothing is retried
here, except by `reflect`: whoever calls decides whether a second try is safe.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Literal, Self

from whatsam_core.storage.cluster_errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unreachable,
)
from whatsam_core.storage.events import event_body, repeated
from whatsam_core.storage.kinds import (
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    POOLS,
    SECRETS,
    SESSIONS,
    Kind,
)
from whatsam_core.storage.reflector import (
    Changed,
    Disconnected,
    EventStream,
    ListResult,
    ReflectEvent,
    Reflector,
    ReflectTimings,
    Removed,
    Snapshot,
)
from whatsam_core.storage.transport import MERGE_PATCH, Json, Transport

__all__ = [
    "DEPLOYMENTS",
    "EVENTS",
    "LEASES",
    "NAMESPACES",
    "NODES",
    "PDBS",
    "PODS",
    "POOLS",
    "SECRETS",
    "SESSIONS",
    "AlreadyExists",
    "Changed",
    "Cluster",
    "ClusterError",
    "Conflict",
    "Disconnected",
    "Expired",
    "Forbidden",
    "Invalid",
    "Json",
    "Kind",
    "ListResult",
    "NotFound",
    "ReflectEvent",
    "ReflectTimings",
    "Removed",
    "Snapshot",
    "Unauthorized",
    "Unreachable",
]

TIMEOUT: Final = 10.0
"""Seconds a call may take unless the caller says otherwise."""
PAGE: Final = 500
"""Objects per answer of a list, as kubectl asks: bounds the memory of both sides."""


class Cluster:
    """One API server, one identity. Safe to use from many tasks of one event loop."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    async def connect(cls, *, user_agent: str = "whatsam") -> Self:
        """The pod's service account when there is one, else KUBECONFIG. Opens no connection yet.

        Raises `Unreachable` when there is neither.
        """
        return cls(await Transport.connect(user_agent=user_agent))

    async def close(self) -> None:
        """Close every connection. Running `reflect`s end with an outage: cancel them first."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self, kind: Kind, namespace: str | None, name: str, *, timeout: float = TIMEOUT) -> Json:
        """A fresh read (from etcd's quorum, never a cache). Raises `NotFound`."""
        return await self._transport.call("GET", kind.path(namespace, name), timeout=timeout)

    async def get_raw(self, path: str, *, timeout: float = TIMEOUT) -> Json:
        """Any JSON document of the API server, for example `/openid/v1/jwks`."""
        return await self._transport.call("GET", path, timeout=timeout)

    async def list(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timeout: float = TIMEOUT,
    ) -> ListResult:
        """All objects of a namespace, or of all namespaces with None; consistent, over as many pages as it takes.

        `timeout` bounds each page. Raises `Expired` when the pages took longer than the server remembers.
        """
        selectors = _selectors(label_selector, field_selector)
        items: list[Json] = []
        token = ""
        while True:
            query = {"limit": str(PAGE), **selectors, **({"continue": token} if token else {})}
            page = await self._transport.call("GET", kind.path(namespace), query=query, timeout=timeout)
            # Objects inside a list come without their type; consumers want the same shape everywhere.
            items += [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page.get("items") or []]
            token = page["metadata"].get("continue", "")
            if not token:
                return ListResult(items, page["metadata"]["resourceVersion"])

    async def create(
        self, kind: Kind, namespace: str | None, body: Mapping[str, Any], *, timeout: float = TIMEOUT
    ) -> Json:
        """Create and return the stored object. Raises `AlreadyExists`."""
        typed = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return await self._transport.call("POST", kind.path(namespace), body=typed, timeout=timeout)

    async def merge_patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str | None = None,
        timeout: float = TIMEOUT,
    ) -> Json:
        """Apply a JSON merge patch (None removes a key) and return the stored object.

        A `metadata.resourceVersion` or `metadata.uid` in the patch is a precondition: `Conflict` when it does not hold.
        """
        path = kind.path(namespace, name, subresource)
        return await self._transport.call("PATCH", path, body=patch, content_type=MERGE_PATCH, timeout=timeout)

    async def replace(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        subresource: str | None = None,
        timeout: float = TIMEOUT,
    ) -> Json:
        """Write the whole object. With a resourceVersion in it: `Conflict` when somebody else wrote meanwhile."""
        typed = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return await self._transport.call("PUT", kind.path(namespace, name, subresource), body=typed, timeout=timeout)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        """Ask for deletion; finalizers may hold the object for longer. Raises `NotFound`, or `Conflict` when the
        object is not the one with this uid and resourceVersion.
        """
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        wanted = {"uid": uid, "resourceVersion": resource_version}
        if preconditions := {key: value for key, value in wanted.items() if value is not None}:
            options["preconditions"] = preconditions
        await self._transport.call("DELETE", kind.path(namespace, name), body=options, timeout=timeout)

    async def create_event(
        self,
        regarding: Mapping[str, Any],
        *,
        reason: str,
        message: str,
        component: str,
        type: Literal["Normal", "Warning"] = "Normal",
        timeout: float = TIMEOUT,
    ) -> None:
        """Tell a person something about an object: one line in `kubectl describe`.

        `regarding` is the object with its apiVersion, kind and metadata. The same text about the same object becomes
        one Event with a count, after a restart too. Raises as every call does; an Event is never worth more than a
        log line to its caller.
        """
        body = event_body(regarding, reason=reason, message=message, component=component, type=type)
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        try:
            await self.create(EVENTS, namespace, body, timeout=timeout)
        except AlreadyExists:
            known = await self.get(EVENTS, namespace, name, timeout=timeout)
            await self.merge_patch(EVENTS, namespace, name, repeated(known), timeout=timeout)

    def reflect(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timings: ReflectTimings | None = None,
    ) -> AsyncGenerator[ReflectEvent]:
        """Follow a collection for ever: see `reflector` for what comes and when.

        Leave it early only inside `contextlib.aclosing`, or by cancelling the task that iterates.
        """
        source = _Collection(self, self._transport, kind, namespace, _selectors(label_selector, field_selector))
        return Reflector(source, timings).events()


class _Collection:
    """The reflector's view of one kind in one namespace (or all) under its selectors."""

    def __init__(
        self, cluster: Cluster, transport: Transport, kind: Kind, namespace: str | None, selectors: dict[str, str]
    ) -> None:
        self._cluster = cluster
        self._transport = transport
        self._kind = kind
        self._namespace = namespace
        self._selectors = selectors

    async def list(self, timeout: float) -> ListResult:
        return await self._cluster.list(
            self._kind,
            self._namespace,
            label_selector=self._selectors.get("labelSelector"),
            field_selector=self._selectors.get("fieldSelector"),
            timeout=timeout,
        )

    def watch(
        self, resource_version: str, *, seconds: float, head_timeout: float
    ) -> AbstractAsyncContextManager[EventStream]:
        query = {
            **self._selectors,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        return self._transport.stream(self._kind.path(self._namespace), query=query, timeout=head_timeout)


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in pairs.items() if value}
