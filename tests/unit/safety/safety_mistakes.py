"""Decisions with a mistake in them, in place of production's. `safety_variants` says what each one breaks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from safety_store import Stored

from whatsam_connector.assignments import plan as assignments
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.lease.verdict import Attempt, Verdict
from whatsam_connector.sessions import effects, inputs
from whatsam_connector.sessions.state import SessionState, Stage
from whatsam_connector.sessions.status_patch import Holder
from whatsam_connector.sessions.transitions import step
from whatsam_connector.state import decision
from whatsam_core.lease import LeaseRecord, LeaseTimings
from whatsam_core.resources.session import Handover, WhatsAppSession
from whatsam_operator.planning import boots, election, liveness, losses, planner
from whatsam_operator.planning.confirmation import Confirmation
from whatsam_operator.planning.decisions import Assign, Decision, RevokeLease
from whatsam_operator.planning.lease_book import LeaseBook, ReadLease
from whatsam_operator.planning.snapshot import Moment, Snapshot
from whatsam_operator.planning.views import ContainerView, Termination

# --- the operator -----------------------------------------------------------------------------------------------------


def _judged(found: boots.Boots, judge: Callable[[boots.Boot], liveness.Judgement | None]) -> boots.Boots:
    """The boots with other judgements, where `judge` has one."""
    return replace(
        found,
        by_key={key: replace(boot, judgement=judge(boot) or boot.judgement) for key, boot in found.by_key.items()},
    )


def revokes_later(found: boots.Boots, *arguments: Any, **known: Any) -> list[Decision]:
    """Revocations after the assignments: of what has stood still for some seconds more than its duration."""
    planned = losses.plan_losses(found, *arguments, **known)
    return [one for one in planned if not isinstance(one, RevokeLease) or _is_long_over(found.by_key[one.boot], one)]


def _is_long_over(boot: boots.Boot, one: RevokeLease) -> bool:
    late = boot.lease.unchanged >= boot.lease.record.duration_seconds + 3.0
    return late or one.proof is not liveness.Verdict.EXPIRED


def expired_is_gone(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    gone = liveness.Judgement(liveness.Verdict.REVOKED, "expired")
    believed = _judged(found, lambda boot: gone if boot.judgement.verdict is liveness.Verdict.EXPIRED else None)
    return planner.plan_sessions(snapshot, believed, now)


def own_duration(snapshot: Snapshot) -> boots.Boots:
    mine = round(LeaseTimings().lease_duration)
    leases = {
        key: replace(lease, record=replace(lease.record, duration_seconds=mine))
        for key, lease in snapshot.leases.items()
    }
    return boots.gather(replace(snapshot, leases=leases))


def vanished_pod_is_proof(snapshot: Snapshot) -> boots.Boots:
    dead = liveness.Judgement(liveness.Verdict.PROVEN_DEAD, "its pod is gone")
    return _judged(
        boots.gather(snapshot), lambda boot: dead if boot.pod is None and not boot.judgement.verdict.gone else None
    )


def unknown_end_is_proof(snapshot: Snapshot) -> boots.Boots:
    def known(container: ContainerView | None) -> ContainerView | None:
        if container is None or container.terminated is None:
            return container
        return replace(container, terminated=replace(container.terminated, reason="Error"))

    pods = {uid: replace(pod, container=known(pod.container)) for uid, pod in snapshot.pods.items()}
    return boots.gather(replace(snapshot, pods=pods))


def former_end_is_proof(snapshot: Snapshot) -> boots.Boots:
    def undated(run: Termination | None) -> Termination | None:
        return None if run is None else replace(run, started_at=None)

    def whenever(container: ContainerView | None) -> ContainerView | None:
        if container is None:
            return None
        last = undated(container.last_terminated)
        return replace(container, terminated=undated(container.terminated), last_terminated=last)

    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    leases = {
        key: replace(lease, record=replace(lease.record, acquired_at=long_ago), created_at=None)
        for key, lease in snapshot.leases.items()
    }
    pods = {uid: replace(pod, container=whenever(pod.container)) for uid, pod in snapshot.pods.items()}
    return boots.gather(replace(snapshot, leases=leases, pods=pods))


def elders_report_is_proof(snapshot: Snapshot) -> boots.Boots:
    """As it was until this world showed it: nobody asked which boot of a pod a report is about."""
    leases = {key: replace(lease, created_at=None) for key, lease in snapshot.leases.items()}
    return boots.gather(replace(snapshot, leases=leases))


def missing_is_proof(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    return planner.plan_sessions(snapshot, replace(found, missing=dict.fromkeys(found.missing, 1000000000.0)), now)


def failed_read_ages(book: LeaseBook, known: dict[str, Any]) -> LeaseBook:
    again = [ReadLease(lease.record, lease.revoked_because) for lease in book.leases.values()]
    return book if book.read_at is None else book.observe(again, **known)


def believes_renew_time(book: LeaseBook, found: Iterable[ReadLease], **known: Any) -> LeaseBook:
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


def with_epoch(epoch: Callable[[int], int]) -> Callable[[Sequence[Decision]], Sequence[Decision]]:
    return lambda planned: [replace(one, epoch=epoch(one.epoch)) if isinstance(one, Assign) else one for one in planned]


def gone(_found: LeaseRecord | None, *, missed: bool) -> Confirmation:
    return Confirmation.GONE


def takes_at_once(known: election.Candidacy | None, me: str, now: float) -> election.Step:
    wise = election.step(known, me, now)
    return election.Step.TAKE if wise is election.Step.WAIT else wise


# --- the connector ----------------------------------------------------------------------------------------------------


def assigns_when_ready(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    """The word of the successor is taken for that of the holder."""

    def hasty(session: WhatsAppSession) -> WhatsAppSession:
        named, status = session.status.next, session.status
        if named is None or named.prepared_at is None:
            return session
        return _with_handover(session, Handover(epoch=status.epoch, seq=0, sha256=""))

    return _plan_of(snapshot, now, hasty)


def old_handover_counts(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    def believed(session: WhatsAppSession) -> WhatsAppSession:
        status = session.status
        if status.handover is None:
            return session
        return _with_handover(session, status.handover.model_copy(update={"epoch": status.epoch}))

    return _plan_of(snapshot, now, believed)


def no_handover_counts(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    return _plan_of(snapshot, now, lambda session: _with_handover(session, None))


def _with_handover(session: WhatsAppSession, handover: Handover | None) -> WhatsAppSession:
    return session.model_copy(update={"status": session.status.model_copy(update={"handover": handover})})


def _plan_of(snapshot: Snapshot, now: Moment, seen: Callable[[WhatsAppSession], WhatsAppSession]) -> list[Decision]:
    changed = replace(snapshot, sessions={key: seen(session) for key, session in snapshot.sessions.items()})
    return planner.plan_sessions(changed, boots.gather(changed), now)


def trusts_a_dead_successor(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    """Whoever is named gets the session, alive or not."""
    return [_to_the_named(snapshot, one) for one in planner.plan_sessions(snapshot, found, now)]


def _to_the_named(snapshot: Snapshot, decision: Decision) -> Decision:
    named = snapshot.sessions[decision.target.key].status.next
    if not isinstance(decision, Assign) or named is None:
        return decision
    where = {"worker": named.worker, "pod_uid": named.pod_uid, "boot_id": named.boot_id}
    return replace(decision, assignment=decision.assignment.model_copy(update=where))


def blind_for_rollouts(snapshot: Snapshot, found: boots.Boots, now: Moment) -> list[Decision]:
    return planner.plan_sessions(replace(snapshot, deployments={}), found, now)


# --- the connector: planned moves -------------------------------------------------------------------------------------


def starts_when_ready(session: WhatsAppSession, me: assignments.Me) -> bool:
    """A successor takes its own word for an assignment."""
    named = session.status.next
    ready = named is not None and named.boot_id == me.boot_id and named.prepared_at is not None
    return ready or assignments.is_ours(session, me)


def lets_go_when_named(holder: Holder, session: WhatsAppSession) -> bool:
    return session.status.next is not None and session.status.next.boot_id != holder.boot_id and holder.holds(session)


def any_ready_one(holder: Holder, session: WhatsAppSession) -> bool:
    """Nobody asks in which epoch a successor said that it is ready, or who it is."""
    return session.status.next is not None and session.status.next.prepared_at is not None


def only_the_shelf(found: Iterable[Stored], shelved: Stored | None) -> Iterable[Stored]:
    return found if shelved is None else [shelved]


def shelf_is_the_handover(handover: Handover | None, shelved: Stored | None) -> decision.LastHandover | None:
    if handover is None:
        return None
    if shelved is None:
        return decision.LastHandover(handover.epoch, handover.seq, handover.sha256)
    return decision.LastHandover(shelved.ref.epoch, shelved.ref.seq, shelved.content.sha256)


def hands_over_at_once(state: SessionState, happened: Any, now: datetime, timings: Any) -> tuple[SessionState, Any]:
    """The handover is written while the engine is still ending."""
    if isinstance(happened, inputs.ReleaseEnded) and state.stage is Stage.ENDING:
        state = replace(state, stage=Stage.CLOSING)
    after, wanted = step(state, happened, now, timings)
    ending = after.stage is Stage.ENDING and state.stage is not Stage.ENDING
    if ending and after.stop is inputs.StopReason.HANDED_OVER:
        return after, (*wanted, effects.Release())
    return after, wanted


def plan_with(is_ours: Callable[[Any, assignments.Me], bool]) -> Callable[..., list[assignments.Decision]]:
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


def overcomes_conflict(found: LeaseRecord | None, attempts: Sequence[Attempt]) -> tuple[Verdict, Attempt | None]:
    return (Verdict.REVOKED, None) if found is None else (Verdict.RENEWED, attempts[-1])


def trusts_its_flag(tenure: Tenure, _now: float) -> bool:
    return not (tenure.fenced or tenure.revoked) and tenure.renewed_at is not None


def by_arrival(found: Iterable[Stored]) -> list[Stored]:
    return sorted(found, key=lambda stored: stored.at, reverse=True)


def file_wins(claim: decision.Claim, local: decision.LocalState | None, bases: Sequence[decision.SeenBase]) -> Any:
    if local is not None:
        bases = [seen for seen in bases if seen.ref.epoch < local.epoch]
    return decision.decide(claim, local, bases)


def looks_below_its_epoch(
    claim: decision.Claim, local: decision.LocalState | None, bases: Sequence[decision.SeenBase]
) -> Any:
    mine = (claim.epoch, claim.boot)
    return decision.decide(
        claim,
        local,
        [seen for seen in bases if seen.ref.epoch < claim.epoch or (seen.ref.epoch, seen.ref.boot) == mine],
    )


def any_boot_of_the_epoch(
    claim: decision.Claim, local: decision.LocalState | None, bases: Sequence[decision.SeenBase]
) -> Any:
    return decision.decide(replace(claim, boot=bases[0].ref.boot) if bases else claim, local, bases)


def always(*_: Any, **__: Any) -> bool:
    return True


def never(*_: Any) -> None:
    return None


def without_version(patch: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in patch["metadata"].items() if key != "resourceVersion"}
    return {**patch, "metadata": metadata}
