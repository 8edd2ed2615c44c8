"""Carries one decision out. Called by the reconciler, never for two decisions of one slot at a time.

Every write has a precondition; when it does not hold, `Conflict` says so and nothing was written. What the API server
answers goes into the index at once, so that the next plan sees it before the watch does.
"""

import contextlib
from typing import Any, Final

from whatsam_core import names
from whatsam_core.lease import LeaseRecord
from whatsam_core.storage.cluster import DEPLOYMENTS, LEASES, PDBS, PODS, POOLS, SESSIONS, NotFound
from whatsam_operator.errors import StalePlan
from whatsam_operator.planning import stream_replaced
from whatsam_operator.planning.confirmation import Confirmation, confirm
from whatsam_operator.planning.decisions import (
    AdoptState,
    ApplyBudget,
    ApplyDeployment,
    Assign,
    Decision,
    DeleteLease,
    DestroyExpiredState,
    Finalize,
    ForgetMigration,
    LookUpState,
    MarkPod,
    NameSuccessor,
    RecordTakeover,
    RevokeLease,
    SetDeletionCost,
    SetFinalizers,
    SetPoolStatus,
    SetReplicas,
    SetStatus,
    Story,
    Tell,
)
from whatsam_operator.planning.moving import MoveReason
from whatsam_operator.planning.pools import FIRST_TO_GO
from whatsam_operator.planning.rebalancing import DAY
from whatsam_operator.planning.snapshot import BootKey, Key
from whatsam_operator.services.clock import Clock
from whatsam_operator.services.index import Index
from whatsam_operator.services.knowledge import Knowledge
from whatsam_operator.services.leases import LeaseReader
from whatsam_operator.services.metrics import OperatorMetrics
from whatsam_operator.services.remains import RemainsService
from whatsam_operator.storage.kube import Kube

Json = dict[str, Any]
REMEMBERED_MOVES: Final = 8
"""Times of a session's last moves for the sake of balance: more than may come in a day."""
REMEMBERED_BOOTS: Final = 10_000
_KINDS = {"session": SESSIONS, "pool": POOLS, "pod": PODS}


class Writer:
    """One per term of leadership."""

    def __init__(
        self,
        *,
        kube: Kube,
        index: Index,
        leases: LeaseReader,
        remains: RemainsService,
        knowledge: Knowledge,
        metrics: OperatorMetrics,
        clock: Clock,
    ) -> None:
        self._kube = kube
        self._index = index
        self._leases = leases
        self._remains = remains
        self._knowledge = knowledge
        self._metrics = metrics
        self._clock = clock
        self._confirmed: set[BootKey] = set()
        """Boots whose end a fresh read has confirmed: an ended Lease never comes back to life."""

    async def carry_out(  # noqa: PLR0912 - one branch per kind of decision
        self, decision: Decision
    ) -> tuple[Story, ...]:
        """Do it, and return what is to be told.

        Raises `ClusterError`, `ObjectStoreError` or `OperatorError`; repeating is safe after each.
        """
        match decision:
            case Assign():
                await self._assign(decision)
            case SetStatus():
                await self._set_status(decision)
            case SetFinalizers():
                await self._set_finalizers(decision)
            case RecordTakeover():
                annotation = (stream_replaced.ANNOTATION, decision.annotation)
                target = decision.target
                stored = await self._kube.annotate(
                    SESSIONS, target.key, decision.resource_version, target.uid, annotation
                )
                self._echo(SESSIONS, stored)
            case LookUpState():
                await self._remains.look_up(decision)
            case NameSuccessor():
                await self._name_successor(decision)
            case ForgetMigration():
                forgotten = (names.ANNOTATION_MIGRATE_TO, None)
                target, version = decision.target, decision.resource_version
                stored = await self._kube.annotate(SESSIONS, target.key, version, target.uid, forgotten)
                self._echo(SESSIONS, stored)
            case AdoptState():
                await self._remains.adopt(decision)
            case DestroyExpiredState():
                await self._remains.destroy_expired(decision)
            case Finalize():
                return await self._remains.finalize(decision)
            case RevokeLease():
                await self._revoke(decision)
            case DeleteLease():
                await self._delete_lease(decision)
            case ApplyDeployment():
                self._echo(DEPLOYMENTS, await self._kube.apply(DEPLOYMENTS, decision.body, create=decision.create))
            case ApplyBudget():
                self._echo(PDBS, await self._kube.apply(PDBS, decision.body, create=decision.create))
            case SetDeletionCost():
                annotation = (names.ANNOTATION_POD_DELETION_COST, str(decision.cost))
                stored = await self._kube.annotate(PODS, decision.target.key, None, decision.target.uid, annotation)
                self._echo(PODS, stored)
            case MarkPod():
                await self._mark(decision)
            case SetReplicas():
                key, version = decision.target.key, decision.resource_version
                self._echo(POOLS, await self._kube.set_replicas(POOLS, key, version, decision.replicas))
            case SetPoolStatus():
                await self._set_pool_status(decision)
            case Tell():
                pass  # its stories are told by the caller, as those of every decision
            case _:
                raise TypeError(f"nobody knows how to carry out {type(decision).__name__}")
        return decision.stories

    async def refresh(self, decision: Decision) -> None:
        """Read the object of a failed decision again, so that the next plan does not start from the same mistake.

        Raises `ClusterError` when the API server cannot be asked: whether a write happened is not known then.
        """
        target = decision.target
        if target.kind == "lease":
            await self._leases.read()
            return
        kind = _KINDS[target.kind]
        if isinstance(decision, ApplyDeployment):
            kind = DEPLOYMENTS
        if isinstance(decision, ApplyBudget):
            kind = PDBS
        await self._read(kind, target.key)

    async def _read(self, kind: Any, key: Key) -> None:
        try:
            raw = await self._kube.get(kind, key)
        except NotFound:
            self._index.remove(kind, key, None)
            return
        self._echo(kind, raw, own=False)

    async def _assign(self, decision: Assign) -> None:
        if decision.previous is not None:
            await self._confirm_gone(decision.previous)
        status: Json = {
            "epoch": decision.epoch,
            "assignment": decision.assignment.to_wire(),
            "next": None,
            "pairing": None,
            "phase": decision.phase.value,
            "migrations": decision.migrations,
            "failedStarts": None if decision.failed_starts is None else decision.failed_starts.to_wire(),
            "conditions": [condition.to_wire() for condition in decision.conditions],
        }
        stored = await self._kube.patch_status(SESSIONS, decision.target.key, decision.resource_version, status)
        self._echo(SESSIONS, stored)
        self._metrics.assignments.labels(decision.taken_from.value).inc()

    async def _name_successor(self, decision: NameSuccessor) -> None:
        successor = decision.successor
        # A merge patch keeps what it does not name: the word of the one before must go.
        status: Json = {"next": None if successor is None else {"preparedAt": None, **successor.to_wire()}}
        stored = await self._kube.patch_status(SESSIONS, decision.target.key, decision.resource_version, status)
        if successor is not None and successor.reason == MoveReason.REBALANCE:
            self._remember_balanced(decision.target.key)
        self._echo(SESSIONS, stored)

    def _remember_balanced(self, key: Key) -> None:
        balanced, now = self._knowledge.balanced, self._clock().steady
        for other in [other for other, moves in balanced.items() if now - moves[-1] >= DAY]:
            del balanced[other]
        balanced[key] = (*balanced.get(key, ())[-REMEMBERED_MOVES:], now)

    async def _set_pool_status(self, decision: SetPoolStatus) -> None:
        scaling, key = decision.status.autoscaling, decision.target.key
        # A merge patch keeps what it does not name.
        remembered = None if scaling is None else {"busySince": None, **scaling.to_wire()}
        status: Json = {**decision.status.to_wire(), "autoscaling": remembered}
        self._knowledge.pool_written[key] = self._clock().steady
        self._echo(POOLS, await self._kube.patch_status(POOLS, key, decision.resource_version, status))

    async def _mark(self, decision: MarkPod) -> None:
        cordon = names.CORDON_SCALE_DOWN if decision.leaves else None
        cost = str(FIRST_TO_GO) if decision.leaves else None
        annotations = ((names.ANNOTATION_CORDON, cordon), (names.ANNOTATION_POD_DELETION_COST, cost))
        target, version = decision.target, decision.resource_version
        self._echo(PODS, await self._kube.annotate(PODS, target.key, version, target.uid, *annotations))

    async def _set_status(self, decision: SetStatus) -> None:
        if decision.previous is not None:
            await self._confirm_gone(decision.previous)
        status: Json = {
            "phase": decision.phase.value,
            "pairing": None,
            "observedGeneration": decision.observed_generation,
            "conditions": [condition.to_wire() for condition in decision.conditions],
        }
        if decision.failed_starts is not None:
            status["failedStarts"] = decision.failed_starts.to_wire()
        if decision.clear_assignment:
            status |= {"assignment": None, "next": None}
        stored = await self._kube.patch_status(SESSIONS, decision.target.key, decision.resource_version, status)
        self._echo(SESSIONS, stored)

    async def _set_finalizers(self, decision: SetFinalizers) -> None:
        kind, target = _KINDS[decision.target.kind], decision.target
        self._echo(
            kind, await self._kube.set_finalizers(kind, target.key, decision.resource_version, decision.finalizers)
        )

    async def _revoke(self, decision: RevokeLease) -> None:
        """Only if the Lease is still the one that was judged: its holder may have renewed it meanwhile."""
        if decision.braked:
            self._knowledge.last_braked[decision.pool] = self._clock().steady
        stored = await self._kube.revoke_lease(decision.target.key, decision.resource_version, decision.because)
        self._confirmed.add(decision.boot)
        self._leases.wrote(stored)
        self._metrics.workers_lost.labels(decision.proof.value).inc()

    async def _delete_lease(self, decision: DeleteLease) -> None:
        target = decision.target
        with contextlib.suppress(NotFound):
            await self._kube.delete_lease(target.key, target.uid, decision.resource_version)
        self._leases.forgot(decision.boot)

    async def _confirm_gone(self, boot: BootKey) -> None:
        """Read the Lease of the boot that is to lose its session: it must have ended, or not exist."""
        if boot in self._confirmed:
            return
        if len(self._confirmed) >= REMEMBERED_BOOTS:
            self._confirmed.clear()  # costs a read per boot that is asked for again
        missed = boot not in self._leases.book.leases
        match confirm(await self._fresh_lease(boot), missed=missed):
            case Confirmation.GONE:
                self._confirmed.add(boot)
            case Confirmation.HELD:
                self._leases.poke()
                raise StalePlan("the Lease of the last holder is held")
            case Confirmation.VANISHED:
                self._leases.poke()
                raise StalePlan("the Lease of the last holder was deleted meanwhile")

    async def _fresh_lease(self, boot: BootKey) -> LeaseRecord | None:
        """The Lease of a boot as it is now. A boot whose Lease is not in the book has no name: all are read."""
        known = self._leases.book.leases.get(boot)
        if known is None:
            if not await self._leases.read():
                raise StalePlan("the Leases cannot be read")
            found = self._leases.book.leases.get(boot)
            return None if found is None else found.record
        try:
            return LeaseRecord.from_wire(await self._kube.get(LEASES, (boot[0], known.record.name)))
        except NotFound:
            return None

    def _echo(self, kind: Any, stored: Json, *, own: bool = True) -> None:
        self._index.put(kind, stored, self._clock().steady, own=own)
