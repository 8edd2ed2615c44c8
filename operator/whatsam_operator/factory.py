"""Builds the operator from its settings: one context per process, one term per leadership. Called by `main`."""

import asyncio
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from whatsam_core.sessions_state import Owner
from whatsam_core.storage.cluster import LEASES, Cluster, Kind
from whatsam_core.storage.objects import ObjectStore
from whatsam_core.storage.opening import open_object_store
from whatsam_operator.handlers.follow import Follow
from whatsam_operator.handlers.watch import Feed, Watch
from whatsam_operator.planning.deployment import Rendering
from whatsam_operator.planning.explaining import Explanation
from whatsam_operator.planning.planner import named_boots
from whatsam_operator.services.clock import Clock, now
from whatsam_operator.services.explain import ExplainService
from whatsam_operator.services.index import Index
from whatsam_operator.services.knowledge import Knowledge
from whatsam_operator.services.leadership import Leadership
from whatsam_operator.services.leases import LeaseReader
from whatsam_operator.services.metrics import OperatorMetrics
from whatsam_operator.services.ownership import Ownership, take_over
from whatsam_operator.services.reconciler import Reconciler
from whatsam_operator.services.remains import RemainsService
from whatsam_operator.services.resync import Resync
from whatsam_operator.services.stories import StoryTeller
from whatsam_operator.services.sweep import Sweep
from whatsam_operator.services.term import Term
from whatsam_operator.services.wake import Wake
from whatsam_operator.services.writer import Writer
from whatsam_operator.settings import DEFAULT_CONNECTOR_IMAGE, InstallationSettings, OperatorSettings
from whatsam_operator.storage.kube import Kube
from whatsam_operator.storage.leader_lease import LeaderLease
from whatsam_operator.storage.reading import Reader
from whatsam_operator.storage.states import States


class Watching(Protocol):
    """Whatever follows the cluster's objects until it is cancelled."""

    async def run(self) -> None:
        """Feed until cancelled."""
        ...


WatchMaker = Callable[[Feed, Callable[[], None]], Watching]


@dataclass(frozen=True, slots=True)
class Context:
    """What a process has once."""

    settings: OperatorSettings
    cluster: Cluster
    store: ObjectStore
    metrics: OperatorMetrics
    clock: Clock
    leadership: Leadership


async def make_context(
    settings: OperatorSettings, *, clock: Clock = now, metrics: OperatorMetrics | None = None
) -> Context:
    """Connect nothing yet: the clients are made, the first call opens connections."""
    cluster = await Cluster.connect(user_agent="whatsam-operator")
    store = open_object_store(settings, timeout=5.0)
    timings = settings.election_timings()
    lease = LeaderLease(cluster, (settings.namespace, settings.leader_lease_name), timings.request_timeout)
    # The suffix tells two lives of one pod apart: a restarted container must not renew what it does not know it has.
    identity = f"{settings.pod_name}_{secrets.token_hex(4)}"
    return Context(
        settings=settings,
        cluster=cluster,
        store=store,
        metrics=metrics or OperatorMetrics(),
        clock=clock,
        leadership=Leadership(lease, identity, timings, clock),
    )


def make_term(context: Context, watch: WatchMaker | None = None) -> Term:
    """Everything for one term of leadership, knowing nothing yet. `watch` makes what feeds the index."""
    watch = watch or partial(_make_watches, context)
    settings, clock = context.settings, context.clock
    wake = Wake()
    kube = Kube(context.cluster, context.leadership.require)
    index = Index(wake.now, wake.soon)
    knowledge = Knowledge()
    leases = LeaseReader(
        kube,
        clock,
        named=lambda: named_boots(index.sessions.values()),
        changed=wake.now,
        period=settings.lease_read_period,
    )
    states = States(context.store, settings.installation_id)
    remains = RemainsService(kube, states, index, knowledge, clock)
    stories = StoryTeller(kube, context.metrics.stories_dropped.inc)
    reconciler = Reconciler(
        index=index,
        leases=leases,
        writer=Writer(
            kube=kube,
            index=index,
            leases=leases,
            remains=remains,
            knowledge=knowledge,
            metrics=context.metrics,
            clock=clock,
        ),
        knowledge=knowledge,
        stories=stories,
        rendering=Rendering(connector_image=settings.connector_image),
        metrics=context.metrics,
        clock=clock,
        concurrent_writes=settings.concurrent_writes,
        wake=wake,
    )
    resync = Resync(kube, index, knowledge, clock, settings.resync_period)
    return Term(
        resync=resync,
        leases=leases,
        reconciler=reconciler,
        stories=stories,
        ownership=Ownership(
            kube,
            states,
            knowledge,
            clock,
            namespace=settings.namespace,
            writer=f"{settings.pod_name}_{secrets.token_hex(4)}",
            changed=wake.now,
        ),
        sweep=Sweep(remains, reconciler.alone_with, settings.sweep_period),
        watch=watch(_feeder(index, leases, clock), resync.ask).run,
    )


class _Both:
    """kopf, and our own watches beside it."""

    def __init__(self, *parts: Watching) -> None:
        self._parts = parts

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(part.run(), name=type(part).__name__)


def _make_watches(context: Context, feed: Feed, interrupted: Callable[[], None]) -> Watching:
    def broke(kind: str) -> None:
        context.metrics.watch_breaks.labels(kind).inc()

    return _Both(Watch(feed, interrupted), Follow(context.cluster, feed, interrupted, broke=broke))


async def explain_cluster(namespace: str | None, sessions: frozenset[str]) -> Explanation:
    """What the operator would do in the cluster that this process can reach. Raises `ClusterError`."""
    cluster = await Cluster.connect(user_agent="whatsam-operator-plan")
    try:
        image = os.environ.get("WHATSAM_CONNECTOR_IMAGE", DEFAULT_CONNECTOR_IMAGE)
        return await ExplainService(Reader(cluster, namespace), now, image=image).run(sessions)
    finally:
        await cluster.close()


@dataclass(frozen=True, slots=True)
class Tenure:
    """Whose a part of the bucket is, and who asks."""

    us: str
    mark: Owner | None
    """What was found."""
    damage: str
    """What is wrong with the mark."""


async def look_at_installation(settings: InstallationSettings, *, take: bool) -> Tenure:
    """Who uses the installation's part of the bucket; with `take`, it is this cluster from now on.

    Raises `ClusterError` or `ObjectStoreError`.
    """
    cluster = await Cluster.connect(user_agent="whatsam-operator-installation")
    store = open_object_store(settings, timeout=5.0)
    try:
        us = await Kube(cluster, lambda: None).cluster_uid()
        states = States(store, settings.installation_id)
        mark, damage = await states.owner()
        if take:
            await take_over(states, us, settings.namespace, now().wall)
        return Tenure(us, mark, damage)
    finally:
        await store.close()
        await cluster.close()


def _feeder(index: Index, leases: LeaseReader, clock: Clock) -> Feed:
    def feed(kind: Kind, raw: dict[str, Any], removed: bool) -> None:
        metadata = raw["metadata"]
        if kind is LEASES:
            leases.hint(raw, removed=removed)
        elif removed:
            index.remove(kind, (metadata["namespace"], metadata["name"]), metadata["uid"])
        else:
            index.put(kind, raw, clock().steady)

    return feed
