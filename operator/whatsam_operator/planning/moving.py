"""Planned moves: shall a session that its holder could keep go to another worker, and who prepares itself for it?

Called by `running` for sessions that are held. Nothing is taken from anybody here: a successor is named, prepares
itself and says so, and then the holder lets go by itself; only a handover makes the session free.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, StrEnum

from whatsam_core import names
from whatsam_core.resources import ConditionType, DesiredState, Phase, Successor
from whatsam_operator.planning import conditions
from whatsam_operator.planning.boots import Boot, boot_of, pool_of, successor_of
from whatsam_operator.planning.case import Case
from whatsam_operator.planning.decisions import Decision, ForgetMigration, NameSuccessor, Story, Tell
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.placement import NoPlace

PREPARATION = timedelta(seconds=30)
"""A successor that is not ready by then may be replaced by another one, should there be one."""
BEHIND = "Behind"
"""Reason of `Replicated` for a state that does not reach the store."""


class MoveReason(StrEnum):
    """Why a session moves on purpose; shown in `status.next.reason`."""

    DRAIN = "Drain"
    """Its worker ends (eviction, rollout, scale-down, node shutdown), or was told to give all sessions away."""
    MIGRATE = "Migrate"
    """Somebody named the worker that shall have it."""
    REBALANCE = "Rebalance"
    """Its worker is busier than others."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The session shall leave its worker."""

    reason: MoveReason
    to_pod: str | None = None
    """The only pod that it may go to."""


class Verb(Enum):
    """What to do about a session that is held, as far as moves go."""

    STAY = "stay"
    """Nobody wants it elsewhere."""
    TAKE_BACK = "take back"
    """Nobody wants it elsewhere any more: its successor need not prepare itself."""
    WAIT = "wait"
    """Its successor prepares itself, or its holder is letting go."""
    NAME = "name"
    """Name a successor: the first, or one in the place of one that does not serve."""
    NOWHERE = "nowhere"
    """No worker can take it now: the next plan looks again; its holder goes on."""


def plan_move(case: Case) -> list[Decision]:
    """The next step of a planned move, or nothing."""
    held = case.boots.by_key.get(boot_of(case.session) or ("", ""))
    if held is None or held.judgement.verdict not in (Verdict.ALIVE, Verdict.DRAINING):
        return []  # it may be lost: whoever prepares itself for its sessions will be needed
    asked = case.session.metadata.annotations.get(names.ANNOTATION_MIGRATE_TO)
    concerned = asked is not None or case.balance is not None or case.session.status.next is not None
    if not concerned and not _gives_away(held):
        return []  # nearly all of them, in nearly every plan
    if asked is not None and (void := _void(case, asked)) is not None:
        return [void]
    wish = wish_of(case, held)
    verb, place = next_step(case, wish)
    if verb is Verb.NAME and place is not None and wish is not None:
        return [_name(case, wish, place)]
    if verb is Verb.TAKE_BACK:
        return [_unname(case, Story("MoveCancelled", "stays where it is"))]
    return _nowhere(case, held, wish) if verb is Verb.NOWHERE else []


def next_step(case: Case, wish: Wish | None) -> tuple[Verb, Boot | None]:
    """What to do, and for `NAME` the boot. It counts the session there."""
    named = case.session.status.next
    if wish is None:
        return (Verb.STAY if named is None else Verb.TAKE_BACK), None
    late = named is not None and named.prepared_at is None and case.now.wall - named.since >= PREPARATION
    serves = named is not None and _serves(case, named, wish)
    if serves and not late:
        return Verb.WAIT, None
    holder = case.session.status.assignment
    place = case.floor.place(
        pool_of(case.session),
        prefer_pod=None,
        engine=case.engine,
        avoid_pod=None if holder is None else holder.pod_uid,
        tenant=case.session.spec.tenant,
        egress=case.egress,
        only_pod=wish.to_pod,
        stay=wish.reason is not MoveReason.MIGRATE,
        who=case.session.metadata.key,
    )
    if isinstance(place, NoPlace):
        return (Verb.WAIT if serves else Verb.NOWHERE), None
    if late and serves and named is not None and place.lease.record.boot_id == named.boot_id:
        return Verb.WAIT, None  # nobody is better than the one that is late
    return Verb.NAME, place


def wish_of(case: Case, held: Boot) -> Wish | None:
    """Whether somebody wants the session elsewhere, and it may go there on purpose."""
    if not _movable(case):
        return None
    if _ends(held):
        return Wish(MoveReason.DRAIN)
    if conditions.reason_of(case.session, ConditionType.REPLICATED, "False") == BEHIND:
        return None  # there is time: it moves when the store has its state again
    if (asked := case.session.metadata.annotations.get(names.ANNOTATION_MIGRATE_TO)) is not None:
        return Wish(MoveReason.MIGRATE, asked)
    return Wish(MoveReason.DRAIN) if _gives_away(held) else _for_balance(case)


def _ends(held: Boot) -> bool:
    """Whether the worker goes."""
    return held.judgement.verdict is Verdict.DRAINING or (held.pod is not None and held.pod.deleting)


def _gives_away(held: Boot) -> bool:
    """Whether the worker is to have no sessions any more."""
    return _ends(held) or (held.pod is not None and held.pod.draining)


def _for_balance(case: Case) -> Wish | None:
    """A move of the last round that is under way, or one of a round that is due now."""
    named = case.session.status.next
    if named is not None and named.reason == MoveReason.REBALANCE:
        return Wish(MoveReason.REBALANCE, named.worker)
    boot = None if case.balance is None else case.boots.by_key.get(case.balance)
    return None if boot is None else Wish(MoveReason.REBALANCE, boot.lease.record.pod_name)


def _movable(case: Case) -> bool:
    """Whether something is connected, or will be, that a preparation can spare an interruption."""
    session, status = case.session, case.session.status
    runs = not session.metadata.deleting and session.spec.desired_state is not DesiredState.STOPPED
    return runs and status.jid is not None and status.phase not in (Phase.LOGGED_OUT, Phase.ERROR)


def _serves(case: Case, named: Successor, wish: Wish | None) -> bool:
    """Whether the named successor can still be the one."""
    key = successor_of(case.session)
    boot = None if key is None else case.floor.reserved(key, case.engine)
    if boot is None or boot.pod is None:
        return False
    if wish is not None and wish.to_pod is not None and named.worker != wish.to_pod:
        return False
    if named.prepared_at is not None:
        return True
    asked_for = wish is not None and wish.reason is MoveReason.MIGRATE
    return not boot.pod.cordoned and (asked_for or not case.floor.is_outdated(boot))


def _nowhere(case: Case, held: Boot, wish: Wish | None) -> list[Decision]:
    story = Story("MoveWaits", f"no worker can take it now: it stays with {held.lease.record.pod_name}")
    if case.session.status.next is not None:  # one that does not serve
        return [_unname(case, story)]
    asked_for = wish is not None and wish.reason is MoveReason.MIGRATE
    return [Tell(target=case.target, stories=(story,))] if asked_for else []


def _void(case: Case, asked: str) -> ForgetMigration | None:
    """What a wish for a certain worker comes to, once it is fulfilled or cannot be."""
    status, namespace = case.session.status, case.session.metadata.namespace
    target = next((pod for pod in case.snapshot.pods.values() if (pod.namespace, pod.name) == (namespace, asked)), None)
    if status.assignment is not None and status.assignment.worker == asked:
        return _forget(case)
    if target is None or (target.namespace, target.pool) != pool_of(case.session):
        return _forget(case, f"cannot move to {asked}: the pool has no such pod")
    if target.deleting or target.cordoned:
        return _forget(case, f"cannot move to {asked}: it {'ends' if target.deleting else 'is cordoned'}")
    if status.jid is None:
        return _forget(case, f"cannot move to {asked}: no device is linked yet")
    return None


def _forget(case: Case, problem: str | None = None) -> ForgetMigration:
    stories = () if problem is None else (Story("MigrationRefused", problem, warning=True),)
    return ForgetMigration(target=case.target, stories=stories, resource_version=case.session.metadata.resource_version)


def _name(case: Case, wish: Wish, boot: Boot) -> NameSuccessor:
    record, reason = boot.lease.record, wish.reason.value
    return NameSuccessor(
        target=case.target,
        stories=(Story("Moving", f"{record.pod_name} prepares itself to take the session over ({reason})"),),
        resource_version=case.session.metadata.resource_version,
        successor=Successor(
            worker=record.pod_name,
            podUID=record.pod_uid,
            boot_id=record.boot_id,
            reason=reason,
            since=case.now.wall,
        ),
    )


def _unname(case: Case, story: Story) -> NameSuccessor:
    version = case.session.metadata.resource_version
    return NameSuccessor(target=case.target, stories=(story,), resource_version=version, successor=None)
