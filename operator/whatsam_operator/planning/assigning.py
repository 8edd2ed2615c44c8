"""Making an assignment, and saying why there is none. Called by the modules that decide that a session may move."""

from whatsam_core.resources import Assignment, ConditionType, Phase, WhatsAppSession
from whatsam_operator.planning import conditions
from whatsam_operator.planning.boots import Boot, boot_of
from whatsam_operator.planning.decisions import Assign, SetStatus, Story, TakenFrom, Target
from whatsam_operator.planning.holder import Hold, Holding
from whatsam_operator.planning.snapshot import Moment

_TAKEN_FROM = {Hold.FREE: TakenFrom.NOBODY, Hold.HANDED_OVER: TakenFrom.HANDED_OVER, Hold.LOST: TakenFrom.LOST}


def session_target(session: WhatsAppSession) -> Target:
    """The session as the object of a decision."""
    return Target("session", session.metadata.key, session.metadata.uid)


def next_epoch(session: WhatsAppSession) -> int:
    """Greater than every epoch that the object or the object store has seen."""
    stored = session.status.replication.epoch if session.status.replication is not None else None
    return max(session.status.epoch, stored or 0) + 1


def assign(
    session: WhatsAppSession, boot: Boot, now: Moment, *, taken_from: TakenFrom, stories: tuple[Story, ...]
) -> Assign:
    """Give the session to the boot under the next epoch."""
    record, status, epoch = boot.lease.record, session.status, next_epoch(session)
    moved = status.assignment is not None and status.assignment.pod_uid != record.pod_uid
    return Assign(
        target=session_target(session),
        stories=stories,
        resource_version=session.metadata.resource_version,
        taken_from=taken_from,
        previous=boot_of(session) if taken_from is TakenFrom.LOST else None,
        epoch=epoch,
        assignment=Assignment(
            worker=record.pod_name,
            podUID=record.pod_uid,
            boot_id=record.boot_id,
            endpoint=record.endpoint,
            since=now.wall,
        ),
        phase=Phase.RECONNECTING if status.jid else Phase.INITIALIZING,
        conditions=conditions.assigned(session, record.pod_name, epoch, now.wall),
        migrations=status.migrations + (1 if moved else 0),
    )


def assign_free(session: WhatsAppSession, held: Holding, boot: Boot, now: Moment) -> Assign:
    """Give a session that nobody holds (any more) to the boot, and tell what happened to the holder before."""
    return assign(
        session,
        boot,
        now,
        taken_from=_TAKEN_FROM[held.hold],
        stories=_stories(session, held, boot, next_epoch(session)),
    )


def release(
    session: WhatsAppSession,
    held: Holding,
    *,
    phase: Phase,
    wanted: tuple[conditions.Condition, ...],
    stories: tuple[Story, ...] = (),
    force: bool = False,
) -> SetStatus | None:
    """Say that nobody holds the session, and why; None when the object says so already.

    `force` takes it from a holder that lives: only for a session that nobody will get afterwards.
    """
    status = session.status
    clear = held.hold is not Hold.FREE
    unchanged = (
        not clear
        and status.phase is phase
        and status.pairing is None
        and status.observed_generation == session.metadata.generation
        and conditions.same(status.conditions, wanted)
    )
    if unchanged:
        return None
    scheduled = (conditions.reason_of(session, conditions.ConditionType.SCHEDULED, "False"), status.assignment is None)
    news = next((item for item in wanted if item.type is conditions.ConditionType.SCHEDULED), None)
    told = stories if news is None or scheduled != (news.reason, True) else ()
    lost = (_lost(held),) if held.hold is Hold.LOST else ()
    return SetStatus(
        target=session_target(session),
        stories=(*lost, *told),
        resource_version=session.metadata.resource_version,
        clear_assignment=clear,
        previous=boot_of(session) if held.hold is Hold.LOST and not force else None,
        phase=phase,
        conditions=wanted,
        observed_generation=session.metadata.generation,
    )


def unschedulable(
    session: WhatsAppSession, held: Holding, now: Moment, *, reason: str, message: str, stalled: bool = False
) -> SetStatus | None:
    """Nobody can or may take the session: phase Pending (Error when only a person can help)."""
    return release(
        session,
        held,
        phase=Phase.ERROR if stalled else Phase.PENDING,
        wanted=conditions.unschedulable(session, reason, message, now.wall, stalled=stalled),
        stories=(Story("Unschedulable" if not stalled else reason, message, warning=True),),
    )


def not_yet(session: WhatsAppSession, held: Holding, now: Moment, *, reason: str, message: str) -> SetStatus | None:
    """The session gets a worker in some seconds. Written only for one that would go on saying that it is connected.

    What is known of its last holder stays: the next one is chosen by it.
    """
    if not session.status.is_true(ConditionType.CONNECTED) and session.status.phase is not Phase.CONNECTED:
        return None
    return SetStatus(
        target=session_target(session),
        resource_version=session.metadata.resource_version,
        previous=boot_of(session) if held.hold is Hold.LOST else None,
        phase=Phase.RECONNECTING,
        conditions=conditions.unschedulable(session, reason, message, now.wall),
        observed_generation=session.metadata.generation,
    )


def _stories(session: WhatsAppSession, held: Holding, boot: Boot, epoch: int) -> tuple[Story, ...]:
    worker = boot.lease.record.pod_name
    if held.hold is Hold.FREE:
        return (Story("Assigned", f"assigned to {worker} (epoch {epoch})"),)
    if held.hold is Hold.LOST:
        return (_lost(held), Story("Reassigned", f"moved from {held.worker} to {worker} (epoch {epoch})"))
    return (Story("Reassigned", f"{held.worker} handed it over: moved to {worker} (epoch {epoch})"),)


def _lost(held: Holding) -> Story:
    return Story("WorkerLost", f"lost worker {held.worker}: {held.because}", warning=True)
