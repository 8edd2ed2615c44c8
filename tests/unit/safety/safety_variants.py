"""Installations with one mistake each. The checker must catch every one of them, or it proves nothing.

A variant replaces a decision of the world, never code of production. Where two fences stand behind each other, the
variant takes both away: with one of them the promise holds, which is what the second one is for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from safety_laws import Law
from safety_rules import Rules
from safety_store import Stored

from whatsam_connector.assignments import plan as assignments
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.lease.verdict import Attempt, Verdict
from whatsam_connector.state import decision
from whatsam_core.lease import LeaseRecord, LeaseTimings
from whatsam_operator.planning import boots, election, liveness, losses, planner
from whatsam_operator.planning.confirmation import Confirmation
from whatsam_operator.planning.decisions import Assign, Decision, RevokeLease
from whatsam_operator.planning.lease_book import LeaseBook, ReadLease
from whatsam_operator.planning.snapshot import Moment, Snapshot
from whatsam_operator.planning.views import ContainerView


@dataclass(frozen=True)
class Variant:
    """One mistake, and what it breaks."""

    rules: Rules
    laws: frozenset[Law]
    """Any of these is what the mistake does; another law would be caught by accident."""
    mistake: str
    story: str = "anything"
    """The faults under which it shows soonest."""


# --- the operator -----------------------------------------------------------------------------------------------------


def _judged(found: boots.Boots, judge: Callable[[boots.Boot], liveness.Judgement | None]) -> boots.Boots:
    """The boots with other judgements, where `judge` has one."""
    return replace(
        found,
        by_key={key: replace(boot, judgement=judge(boot) or boot.judgement) for key, boot in found.by_key.items()},
    )


def _revokes_later(found: boots.Boots, *arguments: Any, **known: Any) -> list[Decision]:
    """Revocations after the assignments: of what has stood still for some seconds more than its duration."""
    planned = losses.plan_losses(found, *arguments, **known)
    return [one for one in planned if not isinstance(one, RevokeLease) or _is_long_over(found.by_key[one.boot], one)]


def _is_long_over(boot: boots.Boot, one: RevokeLease) -> bool:
    late = boot.lease.unchanged >= boot.lease.record.duration_seconds + 3.0
    return late or one.proof is not liveness.Verdict.EXPIRED


def _expired_is_gone(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    gone = liveness.Judgement(liveness.Verdict.REVOKED, "expired")
    believed = _judged(found, lambda boot: gone if boot.judgement.verdict is liveness.Verdict.EXPIRED else None)
    return planner.plan_sessions(snapshot, believed, now)


def _own_duration(snapshot: Snapshot) -> boots.Boots:
    mine = round(LeaseTimings().lease_duration)
    leases = {
        key: replace(lease, record=replace(lease.record, duration_seconds=mine))
        for key, lease in snapshot.leases.items()
    }
    return boots.gather(replace(snapshot, leases=leases))


def _vanished_pod_is_proof(snapshot: Snapshot) -> boots.Boots:
    dead = liveness.Judgement(liveness.Verdict.PROVEN_DEAD, "its pod is gone")
    return _judged(
        boots.gather(snapshot), lambda boot: dead if boot.pod is None and not boot.judgement.verdict.gone else None
    )


def _unknown_end_is_proof(snapshot: Snapshot) -> boots.Boots:
    def known(container: ContainerView | None) -> ContainerView | None:
        if container is None or container.terminated is None:
            return container
        return replace(container, terminated=replace(container.terminated, reason="Error"))

    pods = {uid: replace(pod, container=known(pod.container)) for uid, pod in snapshot.pods.items()}
    return boots.gather(replace(snapshot, pods=pods))


def _former_end_is_proof(snapshot: Snapshot) -> boots.Boots:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    leases = {
        key: replace(lease, record=replace(lease.record, acquired_at=long_ago))
        for key, lease in snapshot.leases.items()
    }
    return boots.gather(replace(snapshot, leases=leases))


def _elders_report_is_proof(snapshot: Snapshot) -> boots.Boots:
    """As it was until this world showed it: nobody asked which boot of a pod a report is about."""
    leases = {key: replace(lease, created_at=None) for key, lease in snapshot.leases.items()}
    return boots.gather(replace(snapshot, leases=leases))


def _missing_is_proof(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    return planner.plan_sessions(snapshot, replace(found, missing=dict.fromkeys(found.missing, 1000000000.0)), now)


def _failed_read_ages(book: LeaseBook, known: dict[str, Any]) -> LeaseBook:
    again = [ReadLease(lease.record, lease.revoked_because) for lease in book.leases.values()]
    return book if book.read_at is None else book.observe(again, **known)


def _believes_renew_time(book: LeaseBook, found: Iterable[ReadLease], **known: Any) -> LeaseBook:
    """The times in the records, which holders wrote by clocks of their own, instead of the operator's own clock."""
    seen = book.observe(list(found), **known)
    newest = max((lease.record.renewed_at for lease in seen.leases.values()), default=None)
    if newest is None:
        return seen
    return replace(
        seen,
        leases={
            key: replace(lease, unchanged=(newest - lease.record.renewed_at).total_seconds())
            for key, lease in seen.leases.items()
        },
    )


def _with_epoch(epoch: Callable[[int], int]) -> Callable[[Sequence[Decision]], Sequence[Decision]]:
    return lambda planned: [replace(one, epoch=epoch(one.epoch)) if isinstance(one, Assign) else one for one in planned]


def _gone(_found: LeaseRecord | None, *, missed: bool) -> Confirmation:
    return Confirmation.GONE


def _takes_at_once(known: election.Candidacy | None, me: str, now: float) -> election.Step:
    wise = election.step(known, me, now)
    return election.Step.TAKE if wise is election.Step.WAIT else wise


# --- the connector ----------------------------------------------------------------------------------------------------


def _plan_with(is_ours: Callable[[Any, assignments.Me], bool]) -> Callable[..., list[assignments.Decision]]:
    """`assignments.plan` for whoever recognizes its sessions in another way."""

    def plan(
        objects: Iterable[Any], running: dict[str, int], me: assignments.Me, *, draining: bool
    ) -> list[assignments.Decision]:
        seen = []
        for session in objects:
            status = session.status
            if status.assignment is not None and is_ours(session, me):
                mine = status.assignment.model_copy(update={"pod_uid": me.pod_uid, "boot_id": me.boot_id})
                seen.append(session.model_copy(update={"status": status.model_copy(update={"assignment": mine})}))
            else:
                seen.append(session)
        return assignments.plan(seen, running, me, draining=draining)

    return plan


def _overcomes_conflict(found: LeaseRecord | None, attempts: Sequence[Attempt]) -> tuple[Verdict, Attempt | None]:
    return (Verdict.REVOKED, None) if found is None else (Verdict.RENEWED, attempts[-1])


def _trusts_its_flag(tenure: Tenure, _now: float) -> bool:
    return not (tenure.fenced or tenure.revoked) and tenure.renewed_at is not None


def _by_arrival(found: Iterable[Stored]) -> list[Stored]:
    return sorted(found, key=lambda stored: stored.at, reverse=True)


def _file_wins(claim: decision.Claim, local: decision.LocalState | None, bases: Sequence[decision.SeenBase]) -> Any:
    if local is not None:
        bases = [seen for seen in bases if seen.ref.epoch < local.epoch]
    return decision.decide(claim, local, bases)


def _looks_below_its_epoch(
    claim: decision.Claim, local: decision.LocalState | None, bases: Sequence[decision.SeenBase]
) -> Any:
    mine = (claim.epoch, claim.boot)
    return decision.decide(
        claim,
        local,
        [seen for seen in bases if seen.ref.epoch < claim.epoch or (seen.ref.epoch, seen.ref.boot) == mine],
    )


def _always(*_: Any, **__: Any) -> bool:
    return True


def _never(*_: Any) -> None:
    return None


def _without_version(patch: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in patch["metadata"].items() if key != "resourceVersion"}
    return {**patch, "metadata": metadata}


_HOLDER = frozenset({Law.ONE_HOLDER, Law.HOLDER_ANSWERS, Law.HOLDER_WRITES})
_EARLY = frozenset({*_HOLDER, Law.EXPIRES_IN_TIME})
_STATE = frozenset({Law.NEWEST_STATE, Law.NO_USED_COUNTER})
_PROOF = frozenset({*_HOLDER, Law.PROOF_IS_TRUE})
_COUNTER = frozenset({Law.NO_USED_COUNTER})

VARIANTS: dict[str, Variant] = {
    "assign-before-revoke": Variant(
        Rules(plan_sessions=_expired_is_gone, plan_losses=_revokes_later, confirm=_gone),
        _HOLDER,
        "a Lease that has expired is enough to assign its sessions; it is revoked beside that",
        story="back at the last moment",
    ),
    "lease-per-pod-name": Variant(
        Rules(
            boot_id=lambda pod, _number: pod,
            adopts_lease=True,
            admits_lease=_always,
            boot_plan=_plan_with(lambda session, me: session.status.assignment.boot_id == me.boot_id),
        ),
        _HOLDER,
        "the Lease and the assignment name a pod by its name; whoever comes up under that name goes on with both",
        story="pods replaced",
    ),
    "boot-id-ignored": Variant(
        Rules(boot_plan=_plan_with(lambda session, me: session.status.assignment.pod_uid == me.pod_uid)),
        _HOLDER,
        "a restarted container goes on with what its predecessor in the same pod was assigned",
        story="restarts in place",
    ),
    "epoch-reset": Variant(
        Rules(decided=_with_epoch(lambda _epoch: 1), admits_epoch=_always),
        frozenset({Law.EPOCH_GROWS}),
        "a new assignment starts counting anew, and the schema lets it",
    ),
    "epoch-not-raised": Variant(
        Rules(decided=_with_epoch(lambda epoch: epoch - 1)),
        frozenset({Law.EPOCH_GROWS}),
        "a new assignment keeps the epoch of the one before",
    ),
    "renewal-without-resourceVersion": Variant(
        Rules(renewal=lambda record: replace(record, resource_version=""), admits_lease=_always),
        _HOLDER,
        "a holder writes its renewal over whatever is there, also over its revocation",
        story="back too late",
    ),
    "conflict-overcome": Variant(
        Rules(
            judge_read_back=_overcomes_conflict, judge_own_write=lambda _age, _t: Verdict.RENEWED, admits_lease=_always
        ),
        _HOLDER,
        "a holder whose renewal met a conflict reads the Lease and goes on, whoever wrote it",
        story="back too late",
    ),
    "revocation-without-resourceVersion": Variant(
        Rules(revoke_version=lambda _version: None),
        _EARLY,
        "the operator revokes a Lease that its holder has renewed since it was read",
        story="back at the last moment",
    ),
    "supervisor-timer-only": Variant(
        Rules(engine_timers=False),
        _HOLDER,
        "only the supervisor fences itself; engines trust it to kill them",
        story="frozen supervisor",
    ),
    "fence-counts-from-the-answer": Variant(
        Rules(renewal_counts_from=lambda _started, answered: answered),
        _HOLDER,
        "the fences count from when a renewal was answered, not from when it was sent",
        story="frozen supervisor",
    ),
    "flag-instead-of-clock": Variant(
        Rules(holds=_trusts_its_flag, supervisor_timer=_never),
        frozenset({Law.HOLDER_ANSWERS}),
        "a worker believes its own flag: after a freeze it takes a call before any timer had its turn",
        story="frozen supervisor",
    ),
    "released-too-early": Variant(
        Rules(releases_first=True),
        _HOLDER,
        "a draining worker releases its Lease before its engines are dead",
        story="pods replaced",
    ),
    "failed-reads-age": Variant(
        Rules(failed_read=_failed_read_ages),
        frozenset({Law.EXPIRES_IN_TIME}),
        "a read that failed counts as one that showed the same record",
        story="API server away",
    ),
    "takers-own-duration": Variant(
        Rules(gather=_own_duration),
        _EARLY,
        "the operator waits its own Lease duration, not the record's",
        story="back at the last moment",
    ),
    "renew-time-believed": Variant(
        Rules(observe=_believes_renew_time),
        _EARLY,
        "expiry is computed from the times in the records, which were written by clocks of their own",
    ),
    "vanished-pod-is-proof": Variant(
        Rules(gather=_vanished_pod_is_proof),
        _PROOF,
        "a pod object that was force-deleted counts as a dead process",
        story="pods replaced",
    ),
    "unknown-end-is-proof": Variant(
        Rules(gather=_unknown_end_is_proof),
        _PROOF,
        "a kubelet that lost track of a container is believed",
        story="restarts in place",
    ),
    "former-end-is-proof": Variant(
        Rules(gather=_former_end_is_proof),
        _PROOF,
        "the end of an earlier run of the container proves this one's",
        story="restarts in place",
    ),
    "elders-report-is-proof": Variant(
        Rules(gather=_elders_report_is_proof),
        _PROOF,
        "a late report about an earlier run, whose clock was ahead, proves the end of the run that lives",
        story="restarts in place",
    ),
    "missing-lease-is-proof": Variant(
        Rules(plan_sessions=_missing_is_proof, confirm=_gone),
        _HOLDER,
        "no Lease means no holder, at once",
        story="Leases touched",
    ),
    "leader-without-deadline": Variant(
        Rules(may_write=lambda renewed_at, _now, _timings: renewed_at is not None),
        frozenset({Law.ONE_LEADER}),
        "whoever was elected once leads until it hears otherwise",
        story="leaders",
    ),
    "candidate-without-patience": Variant(
        Rules(election_step=_takes_at_once),
        frozenset({Law.ONE_LEADER}),
        "a candidate takes the Lease when it sees it",
        story="leaders",
    ),
    "assignment-without-resourceVersion": Variant(
        Rules(assign_version=lambda _version: None),
        frozenset({Law.EPOCH_GROWS, *_HOLDER}),
        "an assignment is written over whatever another operator has written meanwhile",
        story="leaders",
    ),
    "status-without-pod-check": Variant(
        Rules(holder_holds=_always, status_precondition=_without_version, admits_status=_always),
        frozenset({Law.HOLDER_WRITES}),
        "nobody asks whether the writer of a status holds the session",
        story="back too late",
    ),
    "base-of-an-old-boot-accepted": Variant(
        Rules(newest_first=_by_arrival),
        _STATE,
        "the base that arrived last is restored, whatever epoch and boot wrote it",
        story="state behind",
    ),
    "epoch-behind-the-store": Variant(
        Rules(decide=_looks_below_its_epoch),
        _STATE,
        "a restored cluster assigns an epoch that has run before, and the worker takes what lies below it",
        story="restored from a backup",
    ),
    "file-wins": Variant(
        Rules(decide=_file_wins),
        _STATE,
        "the file in the pod is used although another epoch ran since",
        story="restarts in place",
    ),
    "no-start-base": Variant(
        Rules(start_base=False),
        _STATE,
        "an engine starts before its state is stored under the new epoch",
        story="state behind",
    ),
    "no-repair": Variant(
        Rules(repair_steps=lambda _steps: 0),
        _COUNTER,
        "a restored state is used as it is, though it may be behind",
        story="state behind",
    ),
    "no-send-credit": Variant(
        Rules(credit=10**9),
        _COUNTER,
        "a session goes on sending although the store does not follow",
        story="state behind",
    ),
}
