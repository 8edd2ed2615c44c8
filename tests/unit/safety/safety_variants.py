"""Installations with one mistake each. The checker must catch every one of them, or it proves nothing.

A variant replaces a decision of the world, never code of production. Where two fences stand behind each other, the
variant takes both away: with one of them the promise holds, which is what the second one is for.
"""

from dataclasses import dataclass, replace

import safety_mistakes as mistakes
from safety_laws import Law
from safety_rules import Rules

from whatsam_connector.lease.verdict import Verdict


@dataclass(frozen=True)
class Variant:
    """One mistake, and what it breaks."""

    rules: Rules
    laws: frozenset[Law]
    """Any of these is what the mistake does; another law would be caught by accident."""
    mistake: str
    story: str = "anything"
    """The faults under which it shows soonest."""


_HOLDER = frozenset({Law.ONE_HOLDER, Law.HOLDER_ANSWERS, Law.HOLDER_WRITES})
_EARLY = frozenset({*_HOLDER, Law.EXPIRES_IN_TIME})
_STATE = frozenset({Law.NEWEST_STATE, Law.NO_USED_COUNTER})
_PROOF = frozenset({*_HOLDER, Law.PROOF_IS_TRUE})
_CLEAN = frozenset({Law.UNREPAIRED_IS_NEWEST, Law.NO_USED_COUNTER})
_COUNTER = frozenset({Law.NO_USED_COUNTER})

VARIANTS: dict[str, Variant] = {
    "assign-before-revoke": Variant(
        Rules(plan_sessions=mistakes.expired_is_gone, plan_losses=mistakes.revokes_later, confirm=mistakes.gone),
        _HOLDER,
        "a Lease that has expired is enough to assign its sessions; it is revoked beside that",
        story="back at the last moment",
    ),
    "lease-per-pod-name": Variant(
        Rules(
            boot_id=lambda pod, _number: pod,
            adopts_lease=True,
            admits_lease=mistakes.always,
            boot_plan=mistakes.plan_with(lambda session, me: session.status.assignment.boot_id == me.boot_id),
        ),
        _HOLDER,
        "the Lease and the assignment name a pod by its name; whoever comes up under that name goes on with both",
        story="pods replaced",
    ),
    "boot-id-ignored": Variant(
        Rules(boot_plan=mistakes.plan_with(lambda session, me: session.status.assignment.pod_uid == me.pod_uid)),
        _HOLDER,
        "a restarted container goes on with what its predecessor in the same pod was assigned",
        story="restarts in place",
    ),
    "epoch-reset": Variant(
        Rules(decided=mistakes.with_epoch(lambda _epoch: 1), admits_epoch=mistakes.always),
        frozenset({Law.EPOCH_GROWS}),
        "a new assignment starts counting anew, and the schema lets it",
    ),
    "epoch-not-raised": Variant(
        Rules(decided=mistakes.with_epoch(lambda epoch: epoch - 1)),
        frozenset({Law.EPOCH_GROWS}),
        "a new assignment keeps the epoch of the one before",
    ),
    "renewal-without-resourceVersion": Variant(
        Rules(renewal=lambda record: replace(record, resource_version=""), admits_lease=mistakes.always),
        _HOLDER,
        "a holder writes its renewal over whatever is there, also over its revocation",
        story="back too late",
    ),
    "conflict-overcome": Variant(
        Rules(
            judge_read_back=mistakes.overcomes_conflict,
            judge_own_write=lambda _age, _t: Verdict.RENEWED,
            admits_lease=mistakes.always,
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
        Rules(holds=mistakes.trusts_its_flag, supervisor_timer=mistakes.never),
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
        Rules(failed_read=mistakes.failed_read_ages),
        frozenset({Law.EXPIRES_IN_TIME}),
        "a read that failed counts as one that showed the same record",
        story="API server away",
    ),
    "takers-own-duration": Variant(
        Rules(gather=mistakes.own_duration),
        _EARLY,
        "the operator waits its own Lease duration, not the record's",
        story="back at the last moment",
    ),
    "renew-time-believed": Variant(
        Rules(observe=mistakes.believes_renew_time),
        _EARLY,
        "expiry is computed from the times in the records, which were written by clocks of their own",
    ),
    "vanished-pod-is-proof": Variant(
        Rules(gather=mistakes.vanished_pod_is_proof),
        _PROOF,
        "a pod object that was force-deleted counts as a dead process",
        story="pods replaced",
    ),
    "unknown-end-is-proof": Variant(
        Rules(gather=mistakes.unknown_end_is_proof),
        _PROOF,
        "a kubelet that lost track of a container is believed",
        story="restarts in place",
    ),
    "former-end-is-proof": Variant(
        Rules(gather=mistakes.former_end_is_proof),
        _PROOF,
        "the end of an earlier run of the container proves this one's",
        story="restarts in place",
    ),
    "elders-report-is-proof": Variant(
        Rules(gather=mistakes.elders_report_is_proof),
        _PROOF,
        "a late report about an earlier run, whose clock was ahead, proves the end of the run that lives",
        story="restarts in place",
    ),
    "missing-lease-is-proof": Variant(
        Rules(plan_sessions=mistakes.missing_is_proof, confirm=mistakes.gone),
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
        Rules(election_step=mistakes.takes_at_once),
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
        Rules(
            holder_holds=mistakes.always, status_precondition=mistakes.without_version, admits_status=mistakes.always
        ),
        frozenset({Law.HOLDER_WRITES}),
        "nobody asks whether the writer of a status holds the session",
        story="back too late",
    ),
    "base-of-an-old-boot-accepted": Variant(
        Rules(newest_first=mistakes.by_arrival),
        _STATE,
        "the base that arrived last is restored, whatever epoch and boot wrote it",
        story="state behind",
    ),
    "epoch-behind-the-store": Variant(
        Rules(decide=mistakes.looks_below_its_epoch),
        _STATE,
        "a restored cluster assigns an epoch that has run before, and the worker takes what lies below it",
        story="restored from a backup",
    ),
    "file-wins": Variant(
        Rules(decide=mistakes.file_wins),
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
    "successor-starts-before-handover": Variant(
        Rules(boot_plan=mistakes.plan_with(mistakes.starts_when_ready), decide=mistakes.any_boot_of_the_epoch),
        _HOLDER,
        "a successor that is ready starts, instead of waiting for the assignment",
        story="planned moves",
    ),
    "assigned-before-handover": Variant(
        Rules(plan_sessions=mistakes.assigns_when_ready),
        _HOLDER,
        "the operator gives the session away when the successor is ready, not when the holder has let go",
        story="planned moves",
    ),
    "handover-of-an-older-epoch": Variant(
        Rules(plan_sessions=mistakes.old_handover_counts),
        _HOLDER,
        "what a holder of an earlier epoch wrote when it let go counts for the one that holds the session now",
        story="planned moves",
    ),
    "handover-before-the-end": Variant(
        Rules(step=mistakes.hands_over_at_once),
        frozenset({*_HOLDER, *_STATE, Law.UNREPAIRED_IS_NEWEST}),
        "a holder writes its handover while its engine is still ending",
        story="planned moves",
    ),
    "handover-without-flush": Variant(
        Rules(stores_before_it_lets_go=False),
        _CLEAN,
        "a handover names the last base that was stored, whatever the engine has written since",
        story="planned moves",
    ),
    "handover-not-believed": Variant(
        Rules(plan_sessions=mistakes.no_handover_counts),
        frozenset({Law.ALWAYS_HELD, Law.RECOVERS}),
        "the operator waits for the Lease of a holder that has let go and lives",
        story="planned moves",
    ),
    "shelf-instead-of-the-store": Variant(
        Rules(listed=mistakes.only_the_shelf, handed_over=mistakes.shelf_is_the_handover),
        _CLEAN,
        "a successor goes on from what it read while the holder still wrote",
        story="planned moves",
    ),
    "next-kept-after-the-assignment": Variant(
        Rules(takes_next_back=False, may_let_go=mistakes.any_ready_one),
        frozenset({Law.LETS_GO_FOR_ONE_READY}),
        "an assignment keeps the successor of the epoch before, for which the new holder lets go at once",
        story="moves disturbed",
    ),
    "lets-go-for-one-that-is-not-ready": Variant(
        Rules(may_let_go=mistakes.lets_go_when_named),
        frozenset({Law.LETS_GO_FOR_ONE_READY}),
        "a holder lets go when a successor is named, not when it has prepared itself",
        story="planned moves",
    ),
    "next-of-a-dead-boot-trusted": Variant(
        Rules(plan_sessions=mistakes.trusts_a_dead_successor),
        frozenset({Law.GIVEN_TO_THE_LIVING}),
        "whoever is named as the successor gets the session, alive or not",
        story="moves and clocks",
    ),
    "successor-of-a-pod": Variant(
        Rules(
            is_wanted=lambda session, me: session.status.next is not None and session.status.next.pod_uid == me.pod_uid
        ),
        frozenset({Law.HOLDER_WRITES}),
        "a container that has restarted says that it is ready in the place of the one before",
        story="planned moves",
    ),
    "declared-without-resourceVersion": Variant(
        Rules(declared_precondition=mistakes.without_version, admits_successor=mistakes.always),
        frozenset({Law.HOLDER_WRITES, Law.LETS_GO_FOR_ONE_READY}),
        "the word of a successor is written over whatever the operator has written meanwhile",
        story="planned moves",
    ),
    "stale-view-starts-again": Variant(
        Rules(learns_what_it_has_read=False),
        frozenset({Law.ENDS_ONCE, Law.UNREPAIRED_IS_NEWEST, *_HOLDER}),
        "a worker that has read that a session is another's starts it again, because its watch does not show that yet",
        story="moves disturbed",
    ),
    "rollout-to-old-pods": Variant(
        Rules(plan_sessions=mistakes.blind_for_rollouts),
        frozenset({Law.MOVES_TO_STAY}),
        "a session whose worker goes moves to one that the same rollout replaces, and so once more",
        story="planned moves",
    ),
}

ONE_FENCE_LESS: dict[str, Rules] = {
    "renewal without resourceVersion, before the policy": Rules(
        renewal=lambda record: replace(record, resource_version="")
    ),
    "no policy about Leases, behind the resourceVersion": Rules(admits_lease=mistakes.always),
    "no policy about statuses, behind the writer's own check": Rules(admits_status=mistakes.always),
    "an assignment that the plan alone has judged": Rules(confirm=mistakes.gone),
    "a worker that believes its flag, behind the kernel's timers": Rules(holds=mistakes.trusts_its_flag),
}
"""Installations that have lost one of two fences: the promises hold."""
