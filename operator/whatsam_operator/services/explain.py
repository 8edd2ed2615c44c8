"""Looks at a live cluster and explains what the operator would do. Called by `whatsam-operator plan`; writes nothing.

The operator counts by its own clock for how long each Lease stands still. Whoever looks once cannot: the Leases are
read twice, and one that was not renewed in between is taken to be as old as its renewal time says.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from whatsam_core import names
from whatsam_core.lease import LeaseFormatError, LeaseState
from whatsam_core.storage.cluster import DEPLOYMENTS, NODES, PDBS, PODS, POOLS, SESSIONS, Kind
from whatsam_operator.planning.adoption import never_ran
from whatsam_operator.planning.decisions import (
    ApplyBudget,
    ApplyDeployment,
    Decision,
    SetDeletionCost,
    SetPoolStatus,
)
from whatsam_operator.planning.deployment import Rendering
from whatsam_operator.planning.explaining import Explanation, explain
from whatsam_operator.planning.lease_book import ReadLease
from whatsam_operator.planning.planner import named_boots
from whatsam_operator.planning.snapshot import BootKey, Key, ObservedLease, Snapshot, StateKnowledge
from whatsam_operator.services.clock import Clock
from whatsam_operator.services.index import Index
from whatsam_operator.services.leases import read_lease
from whatsam_operator.storage.reading import Reader

Json = dict[str, Any]
BETWEEN_READS: Final = 2.5
"""Seconds between the two reads of the Leases: connectors renew every 2 s."""
OPTIONAL: Final[dict[Kind, str]] = {
    NODES: "nodes may not be read: outgoing addresses are taken as unknown",
    DEPLOYMENTS: "Deployments may not be read: what would be done about them and the pools' status is not known",
    PDBS: "PodDisruptionBudgets may not be read: what would be done about them is not known",
}
RESTS_ON: Final[dict[Kind, tuple[type[Decision], ...]]] = {
    DEPLOYMENTS: (ApplyDeployment, SetDeletionCost, SetPoolStatus),
    PDBS: (ApplyBudget,),
}
"""What cannot be told without reading a kind."""
ALWAYS: Final = (
    "whether a new session finds a state of a deleted one of its name is not looked up: none is assumed",
    "what only the leading operator remembers (failed starts, replaced streams, the pace after a mass failure) is not "
    "known here",
)


class ExplainService:
    """One look at a cluster."""

    def __init__(self, reader: Reader, clock: Clock, *, image: str, between_reads: float = BETWEEN_READS) -> None:
        self._reader = reader
        self._clock = clock
        self._image = image
        self._between_reads = between_reads

    async def run(self, asked: frozenset[str] = frozenset()) -> Explanation:
        """Read, plan, explain. `asked`: names of sessions to show in any case. Raises `ClusterError`."""
        first = self._parse(await self._reader.leases())
        await asyncio.sleep(self._between_reads)
        index = Index(lambda: None)
        notes: list[str] = list(ALWAYS)
        now = self._clock()
        for kind in (SESSIONS, POOLS, PODS):
            index.replace(kind, await self._reader.list(kind), now.steady)
        images: list[str] = []
        unknown: tuple[type[Decision], ...] = ()
        for kind, missing in OPTIONAL.items():
            found = await self._reader.list_if_allowed(kind)
            if found is None:
                notes.append(missing)
                unknown += RESTS_ON.get(kind, ())
                continue
            index.replace(kind, found, now.steady)
            if kind is DEPLOYMENTS:
                images = _default_images(found, index)
        second = self._parse(await self._reader.leases())
        leases = observed(first, second, self._between_reads, self._clock().wall)
        named = named_boots(index.sessions.values())
        snapshot = Snapshot(
            sessions=index.sessions,
            pools=index.pools,
            pods={pod.uid: pod for pod in index.pods.values()},
            nodes={node.name: node for node in index.nodes.values()},
            leases=leases,
            missing={boot: 0.0 for boot in named if boot not in leases},
            deployments=index.deployments,
            budgets=index.budgets,
            states={one.metadata.uid: StateKnowledge() for one in index.sessions.values() if never_ran(one)},
        )
        keys = frozenset(key for key in snapshot.sessions if key[1] in asked or "/".join(key) in asked)
        rendering = Rendering(connector_image=images[0] if images else self._image)
        return explain(snapshot, rendering, self._clock(), asked=keys, notes=notes, unknown=unknown)

    def _parse(self, items: Sequence[Json]) -> dict[BootKey, ReadLease]:
        found: dict[BootKey, ReadLease] = {}
        for item in items:
            with contextlib.suppress(LeaseFormatError):  # the operator skips it, too
                lease = read_lease(item)
                found[lease.key] = lease
        return found


def observed(
    first: dict[BootKey, ReadLease], second: dict[BootKey, ReadLease], between: float, now: datetime
) -> dict[BootKey, ObservedLease]:
    """For how long each Lease has stood still, as far as two reads can tell. `now` is UTC."""
    found: dict[BootKey, ObservedLease] = {}
    for key, lease in second.items():
        record, before = lease.record, first.get(key)
        renewed = before is None or before.record.resource_version != record.resource_version
        ended = record.state in (LeaseState.RELEASED, LeaseState.REVOKED)
        age = max((now - record.renewed_at).total_seconds(), between)
        unchanged = age if ended or not renewed else 0.0
        found[key] = ObservedLease(record, unchanged, lease.revoked_because, lease.created_at)
    return found


def _default_images(deployments: Sequence[Json], index: Index) -> list[str]:
    """The image that the operator gives pools which name none, as it stands in their Deployments."""
    found: list[str] = []
    for item in deployments:
        key: Key = (item["metadata"]["namespace"], item["metadata"]["name"])
        pool = index.pools.get(key)
        if pool is None or pool.spec.template.image is not None:
            continue
        containers = item["spec"]["template"].get("spec", {}).get("containers", [])
        found += [one["image"] for one in containers if one.get("name") == names.CONNECTOR_CONTAINER]
    return found
