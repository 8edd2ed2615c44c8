"""A session that its holder stopped by itself and that needs a new epoch there. Called for sessions that are held.

The holder lives and keeps the session; nobody else gets it. Two reasons: the object store already holds a newer epoch
(a restored cluster), or WhatsApp said that another connection replaced this one.
"""

from whatsam_core.resources import ConditionType, DesiredState, Phase, WhatsAppSession
from whatsam_operator.planning import conditions, stream_replaced
from whatsam_operator.planning.assigning import assign, unschedulable
from whatsam_operator.planning.boots import Boot, boot_of
from whatsam_operator.planning.case import Case
from whatsam_operator.planning.decisions import Decision, RecordTakeover, SetStatus, Story, TakenFrom
from whatsam_operator.planning.liveness import Verdict


def plan_restart(case: Case) -> list[Decision]:
    """A new epoch for the same boot, or nothing."""
    session = case.session
    if session.status.phase is Phase.CONNECTED:
        return []
    key = boot_of(session)
    boot = case.boots.by_key.get(key) if key is not None else None
    if boot is None or boot.judgement.verdict is not Verdict.ALIVE:
        return []
    if session.spec.desired_state is DesiredState.STOPPED:
        return []
    stored = session.status.replication.epoch if session.status.replication is not None else None
    behind = conditions.reason_of(session, ConditionType.RECONCILING, "True") == conditions.EPOCH_BEHIND
    if behind and stored is not None and stored >= session.status.epoch:
        story = Story("EpochRaised", f"the object store already holds epoch {stored}: starting again above it")
        return [assign(session, boot, case.now, taken_from=TakenFrom.SAME_HOLDER, stories=(story,))]
    if conditions.reason_of(session, ConditionType.CONNECTED, "False") == conditions.STREAM_REPLACED:
        return _replaced(case, boot)
    return []


def _replaced(case: Case, boot: Boot) -> list[Decision]:
    session, now = case.session, case.now
    if case.elder is not None:
        # Both ran, and WhatsApp has chosen: the younger one gives way until it is the only one. Its engine has ended.
        message = f"the session {'/'.join(case.elder.metadata.key)} uses the same device: delete one of them"
        refused = unschedulable(session, case.held, now, reason=conditions.DUPLICATE, message=message, stalled=True)
        return [] if refused is None else [refused]
    since = case.snapshot.sightings.get(replaced_sighting(session))
    waited = 0.0 if since is None else now.steady - since
    tries = stream_replaced.recorded(session.metadata.annotations.get(stream_replaced.ANNOTATION))
    epoch, duration = session.status.epoch, boot.lease.record.duration_seconds
    match stream_replaced.answer(tries, epoch, waited=waited, lease_duration=duration, now=now.wall):
        case stream_replaced.Answer.WAIT:
            return []
        case stream_replaced.Answer.RECORD:
            annotation = stream_replaced.with_try(tries, epoch, now.wall)
            version = session.metadata.resource_version
            return [RecordTakeover(target=case.target, resource_version=version, annotation=annotation)]
        case stream_replaced.Answer.START:
            text = "WhatsApp said that another connection replaced this one: trying again with a new epoch"
            story = Story(conditions.STREAM_REPLACED, text, warning=True)
            return [assign(session, boot, now, taken_from=TakenFrom.SAME_HOLDER, stories=(story,))]
        case stream_replaced.Answer.STALL:
            return _stall(case)


def _stall(case: Case) -> list[Decision]:
    session = case.session
    if conditions.reason_of(session, ConditionType.STALLED, "True") == conditions.STREAM_REPLACED:
        return []
    message = (
        f"replaced by another connection {stream_replaced.LIMIT} times within an hour: "
        "the same device seems to run elsewhere; stop it there"
    )
    return [
        SetStatus(
            target=case.target,
            stories=(Story(conditions.STREAM_REPLACED, message, warning=True),),
            resource_version=session.metadata.resource_version,
            phase=Phase.DISCONNECTED,
            conditions=conditions.replaced_too_often(session, message, case.now.wall),
            observed_generation=session.metadata.generation,
        )
    ]


def replaced_sighting(session: WhatsAppSession) -> str:
    """Under which name the operator remembers since when it sees this epoch replaced."""
    return f"replaced/{session.metadata.uid}/{session.status.epoch}"


def wanted_sightings(session: WhatsAppSession) -> list[str]:
    """What must be remembered about the session from when it is first seen."""
    if session.status.phase is Phase.CONNECTED:
        return []
    replaced = conditions.reason_of(session, ConditionType.CONNECTED, "False") == conditions.STREAM_REPLACED
    return [replaced_sighting(session)] if replaced else []
