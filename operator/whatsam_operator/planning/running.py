"""What to do about one session that is not being deleted. Called by the planner for each."""

from dataclasses import replace

from whatsam_core import names
from whatsam_core.resources import DesiredState, Phase
from whatsam_operator.planning import adoption, conditions, starts
from whatsam_operator.planning.assigning import assign_free, not_yet, release, unschedulable
from whatsam_operator.planning.boots import pool_of, successor_of
from whatsam_operator.planning.case import Case
from whatsam_operator.planning.decisions import (
    AdoptState,
    Assign,
    Decision,
    DestroyExpiredState,
    LookUpState,
    SetFinalizers,
    SetStatus,
    Story,
)
from whatsam_operator.planning.holder import Hold
from whatsam_operator.planning.moving import plan_move
from whatsam_operator.planning.placement import NoPlace
from whatsam_operator.planning.restarts import plan_restart
from whatsam_operator.planning.telling import plan_telling


def plan_running(case: Case) -> list[Decision]:
    """The next step for the session."""
    session = case.session
    if names.FINALIZER_OPERATOR not in session.metadata.finalizers:
        finalizers = (*session.metadata.finalizers, names.FINALIZER_OPERATOR)
        version = session.metadata.resource_version
        return [SetFinalizers(target=case.target, resource_version=version, finalizers=finalizers)]
    store = case.snapshot.store
    if case.held.hold is Hold.HELD:
        # Whoever runs goes on; a new epoch or a new worker would go on from what another cluster may be writing.
        moved = [] if store.refused else plan_restart(case) or plan_move(case)
        return moved or plan_telling(case)
    if store.refused or not store.known:
        return _store_first(case)
    if case.elder is not None:
        other = "/".join(case.elder.metadata.key)
        message = f"the session {other} uses the same device: delete one of them"
        return _refuse(case, conditions.DUPLICATE, message, stalled=True)
    in_the_way = _state_first(case) if adoption.never_ran(case.session) else None
    if in_the_way is not None:
        return in_the_way
    return _stop(case) if session.spec.desired_state is DesiredState.STOPPED else _start(case)


def _start(case: Case) -> list[Decision]:
    holder = case.session.status.assignment
    # The pod of the last holder has the newest state as a local file: a boot that lives there needs no restore.
    prefer = None if holder is None else holder.pod_uid
    start = starts.answer(case.session, case.snapshot.storms, case.now)
    if start.start is starts.Start.STALL:
        return _held_against(case, _refuse(case, conditions.CRASH_LOOPING, start.message, stalled=True))
    if start.start is starts.Start.WAIT:
        return _held_against(case, _refuse(case, conditions.START_BACK_OFF, start.message))
    ready = successor_of(case.session) if start.start is starts.Start.NOW else None
    if ready is not None and (prepared := case.floor.reserved(ready, case.engine)) is not None:
        # It was named while the session had a holder: whether that one let go or was lost, the place is kept.
        return _held_against(case, [assign_free(case.session, case.held, prepared, case.now)])
    place = case.floor.place(
        pool_of(case.session),
        prefer_pod=prefer,
        engine=case.engine,
        tenant=case.session.spec.tenant,
        paired=case.session.status.jid is not None,
        egress=case.egress,
        suspect=start.start is starts.Start.TRIAL,
        who=case.session.metadata.key,
    )
    if isinstance(place, NoPlace):
        if place.refusal.brief:
            return _some(not_yet(case.session, case.held, case.now, reason=place.refusal.value, message=place.message))
        return _refuse(case, place.refusal.value, place.message)
    return _held_against(case, [assign_free(case.session, case.held, place, case.now)])


def _held_against(case: Case, decisions: list[Decision]) -> list[Decision]:
    """The same, and what is held against the session is written with it: the next leader must know."""
    said = starts.record(case.session, case.snapshot.storms, case.now)
    return [replace(one, failed_starts=said) if isinstance(one, (Assign, SetStatus)) else one for one in decisions]


def _stop(case: Case) -> list[Decision]:
    phase = case.session.status.phase
    shown = phase if phase is Phase.LOGGED_OUT or phase is Phase.ERROR else Phase.DISCONNECTED
    story = Story("Stopped", "stopped as spec.desiredState asks; the device stays linked")
    wanted = conditions.stopped(case.session, case.now.wall)
    return _some(release(case.session, case.held, phase=shown, wanted=wanted, stories=(story,)))


def _store_first(case: Case) -> list[Decision]:
    """Nothing is started while the object store is another cluster's, or may be."""
    refused = case.snapshot.store.refused
    if refused:
        return _refuse(case, conditions.FOREIGN_STORE, refused, stalled=True)
    message = "whether the object store is this cluster's is not known yet: it has not answered"
    if case.snapshot.store.away:
        return _refuse(case, conditions.STORE_UNREACHABLE, message)
    return _some(not_yet(case.session, case.held, case.now, reason=conditions.STORE_UNREACHABLE, message=message))


def _state_first(case: Case) -> list[Decision] | None:
    """What must happen about a state left behind before the session may run; None when nothing is in the way."""
    session = case.session
    found = adoption.provenance(session, case.snapshot.states.get(session.metadata.uid), case.now.wall)
    look = LookUpState(target=case.target)
    match found:
        case adoption.Provenance(adoption.Origin.ASK):
            return [look]
        case adoption.Provenance(adoption.Origin.UNKNOWN):
            message = "the object store does not answer: whether an earlier state exists is not known; trying again"
            # One decision per object and plan: say it first, ask again in the next.
            return _refuse(case, conditions.STORE_UNREACHABLE, message) or [look]
        case adoption.Provenance(adoption.Origin.EXPIRED, tombstone) if tombstone is not None:
            return [DestroyExpiredState(target=case.target, tombstone=tombstone)]
        case adoption.Provenance(adoption.Origin.ADOPT, tombstone) if tombstone is not None:
            story = Story("Adopted", "took over the auth state of the deleted session of the same name")
            version = session.metadata.resource_version
            return [AdoptState(target=case.target, stories=(story,), resource_version=version, tombstone=tombstone)]
        case adoption.Provenance(adoption.Origin.FOREIGN):
            message = "a deleted session of another tenant left its auth state under this name: choose another name"
            return _refuse(case, conditions.FOREIGN_STATE, message, stalled=True)
        case _:
            return None


def _refuse(case: Case, reason: str, message: str, *, stalled: bool = False) -> list[Decision]:
    return _some(unschedulable(case.session, case.held, case.now, reason=reason, message=message, stalled=stalled))


def _some(decision: SetStatus | None) -> list[Decision]:
    return [] if decision is None else [decision]
