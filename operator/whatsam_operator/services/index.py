"""All watched objects in memory: fed by watch events, complete lists and the answers to the operator's own writes.

Those three arrive in any order; the newer version of an object wins, and what was deleted stays deleted. Read by the
reconciler as the greater part of a snapshot.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from whatsam_core.logging import get_logger
from whatsam_core.resources import WhatsAppSession, WorkerPool
from whatsam_core.storage.cluster import DEPLOYMENTS, NODES, PDBS, PODS, POOLS, SESSIONS, Kind
from whatsam_operator.planning.snapshot import Key
from whatsam_operator.planning.views import (
    BudgetView,
    DeploymentView,
    NodeView,
    PodView,
    read_budget,
    read_deployment,
    read_node,
    read_pod,
)

Json = dict[str, Any]
REMEMBERED_DEATHS: Final = 10_000
"""UIDs of deleted objects that are remembered, so that an answer that was under way cannot bring them back."""

log = get_logger(__name__)
View = TypeVar("View")


class _Shelf(Generic[View]):
    """The objects of one kind, parsed."""

    def __init__(self, parse: Callable[[Json], View]) -> None:
        self.parse = parse
        self.views: dict[Key, View] = {}
        self.known: dict[Key, tuple[str, int, float]] = {}
        """UID, version and the steady time of the last word, by key."""


class Index:
    """What the operator knows of the cluster.

    `changed` is called when a plan could come out differently, `murmured` (else `changed`, too) when a session only
    says how it fares.
    """

    def __init__(self, changed: Callable[[], None], murmured: Callable[[], None] | None = None) -> None:
        self._changed = changed
        self._murmured = murmured or changed
        self._sessions = _Shelf(WhatsAppSession.from_wire)
        self._pools = _Shelf(WorkerPool.from_wire)
        self._pods = _Shelf(read_pod)
        self._deployments = _Shelf(read_deployment)
        self._budgets = _Shelf(read_budget)
        self._nodes = _Shelf(read_node)
        self._shelves: dict[Kind, _Shelf[Any]] = {
            SESSIONS: self._sessions,
            POOLS: self._pools,
            PODS: self._pods,
            DEPLOYMENTS: self._deployments,
            PDBS: self._budgets,
            NODES: self._nodes,
        }
        self._dead: OrderedDict[str, None] = OrderedDict()

    @property
    def sessions(self) -> dict[Key, WhatsAppSession]:
        """Sessions by key."""
        return self._sessions.views

    @property
    def pools(self) -> dict[Key, WorkerPool]:
        """Pools by key."""
        return self._pools.views

    @property
    def pods(self) -> dict[Key, PodView]:
        """Connector pods by key."""
        return self._pods.views

    @property
    def deployments(self) -> dict[Key, DeploymentView]:
        """Pools' Deployments by key."""
        return self._deployments.views

    @property
    def budgets(self) -> dict[Key, BudgetView]:
        """Pools' PodDisruptionBudgets by key."""
        return self._budgets.views

    @property
    def nodes(self) -> dict[Key, NodeView]:
        """Nodes by key; their namespace is empty."""
        return self._nodes.views

    def put(self, kind: Kind, raw: Json, at: float, *, own: bool = False) -> None:
        """An object as it was at steady time `at`; an older version than the known one changes nothing.

        `own`: the answer to the operator's own write, which the plan has counted with already.
        """
        shelf, metadata = self._shelves[kind], raw["metadata"]
        key: Key = (metadata.get("namespace", ""), metadata["name"])
        uid, version = metadata["uid"], _number(metadata["resourceVersion"])
        if uid in self._dead:
            return
        known = shelf.known.get(key)
        if known is not None and known[0] == uid and version <= known[1]:
            shelf.known[key] = (uid, known[1], max(at, known[2]))
            return
        if known is not None and known[0] != uid and version < known[1]:
            return  # a former life of the name
        try:
            view = shelf.parse(raw)
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            # Stored before the schema became stricter, or by a newer release: nothing is decided about it.
            log.warning("object_unreadable", kind=kind.kind, object="/".join(key), error=str(error))
            return
        shelf.known[key] = (uid, version, at)
        before = shelf.views.get(key)
        shelf.views[key] = view
        if before != view:
            (self._murmured if own or _fares_on(before, view) else self._changed)()

    def remove(self, kind: Kind, key: Key, uid: str | None) -> None:
        """An object is gone; with `uid`, only if it is that life of the name."""
        shelf = self._shelves[kind]
        known = shelf.known.get(key)
        if uid is not None:
            self._bury(uid)
        if known is None or (uid is not None and known[0] != uid):
            return
        self._bury(known[0])
        del shelf.known[key], shelf.views[key]
        self._changed()

    def replace(self, kind: Kind, items: Sequence[Json], sent_at: float) -> None:
        """A complete list that was asked for at `sent_at`: what it lacks, and nobody has told of since, is gone."""
        for raw in items:
            self.put(kind, raw, sent_at)
        listed = {(raw["metadata"].get("namespace", ""), raw["metadata"]["name"]) for raw in items}
        shelf = self._shelves[kind]
        for key, (uid, _, at) in list(shelf.known.items()):
            if key not in listed and at < sent_at:
                self.remove(kind, key, uid)

    def _bury(self, uid: str) -> None:
        self._dead[uid] = None
        self._dead.move_to_end(uid)
        while len(self._dead) > REMEMBERED_DEATHS:
            self._dead.popitem(last=False)


def _fares_on(before: Any, after: Any) -> bool:
    """Whether a session's holder only tells how it fares: nothing came free, nobody asked for anything."""
    if not isinstance(before, WhatsAppSession) or not isinstance(after, WhatsAppSession):
        return False
    old, new = before.status, after.status
    return (
        old.epoch == new.epoch
        and old.assignment == new.assignment
        and old.handover == new.handover
        and old.next == new.next
        and before.metadata.uid == after.metadata.uid
        and before.metadata.generation == after.metadata.generation
        and before.metadata.deletion_timestamp == after.metadata.deletion_timestamp
        and before.metadata.finalizers == after.metadata.finalizers
        and before.metadata.annotations == after.metadata.annotations
    )


def _number(version: str) -> int:
    """resourceVersions of one kind are comparable numbers (KEP-5504; true of every release before it)."""
    return int(version)
