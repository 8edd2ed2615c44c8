"""Which faults come together in a run, and which clocks they race.

Durations are drawn near the clocks that they race: just before and just after a fence, a Lease, a leader's deadline.
"""

import random
from dataclasses import dataclass
from enum import Enum

from whatsam_core.lease import LeaseTimings

NARROW = LeaseTimings(request_timeout=4.0, hard_fence=14.5)
"""Little time between the hard fence and the Lease's end; only for clocks that run right."""
CLOCKS = (
    LeaseTimings(),
    LeaseTimings(),
    LeaseTimings().scaled(2.0),
    LeaseTimings(renew_period=3.0, soft_fence=9.0),
    LeaseTimings(request_timeout=6.0),
    NARROW,
)
"""Clocks that production accepts."""


class Near(Enum):
    """Which clock the durations of a story race."""

    ANY = "any"
    FENCE = "fence"
    EXPIRY = "expiry"
    LEADER = "leader"
    OUTAGE = "outage"


@dataclass(frozen=True)
class Story:
    """Kinds of faults that belong together, and the clock that they race."""

    kinds: tuple[str, ...]
    near: Near = Near.ANY
    clocks: tuple[LeaseTimings, ...] = CLOCKS
    calm: bool = False
    """Servers and leaders are well: what is handed over for somebody who lives must be taken up soon."""


KINDS = (
    "freeze_supervisor",
    "freeze_engine",
    "freeze_container",
    "freeze_shipper",
    "suspend_machine",
    "kill_supervisor",
    "kill_engine",
    "kill_container",
    "cut_off_worker",
    "slow_worker",
    "slow_store",
    "slow_leader",
    "lose_answers",
    "race_a_write",
    "freeze_behind_a_slow_answer",
    "late_base",
    "lose_worker_at_a_start",
    "lose_leader_at_a_write",
    "stall_watch",
    "cut_off_leader",
    "freeze_leader",
    "kill_leader",
    "end_leader",
    "api_away",
    "store_away",
    "force_delete_pod",
    "drain_pod",
    "lose_track",
    "set_wall_clock",
    "restart_with_clock_set_back",
    "delete_lease",
    "touch_lease",
    "foreign_login",
    "stop_and_start",
    "restore_cluster",
    "migrate",
    "give_away",
    "roll_out",
    "disturb_a_move",
    "delete_session",
)
"""Every kind of fault: the names of its methods in `Faults`."""

STORIES: dict[str, Story] = {
    "anything": Story(()),
    "back at the last moment": Story(("race_a_write", "race_a_write", "cut_off_worker", "slow_leader"), Near.EXPIRY),
    "back too late": Story(("cut_off_worker", "cut_off_worker", "cut_off_worker", "stall_watch"), Near.OUTAGE),
    "frozen supervisor": Story(
        ("freeze_supervisor", "freeze_behind_a_slow_answer", "freeze_behind_a_slow_answer"),
        Near.OUTAGE,
        (LeaseTimings(), NARROW),
    ),
    "restarts in place": Story(
        (
            "kill_container",
            "kill_supervisor",
            "stall_watch",
            "lose_track",
            "restart_with_clock_set_back",
            "restart_with_clock_set_back",
        )
    ),
    "pods replaced": Story(("force_delete_pod", "drain_pod", "freeze_engine", "lose_answers")),
    "API server away": Story(("api_away", "lose_answers"), Near.OUTAGE),
    "leaders": Story(
        (
            "lose_leader_at_a_write",
            "lose_leader_at_a_write",
            "cut_off_leader",
            "freeze_leader",
            "kill_leader",
            "end_leader",
            "kill_container",
            "kill_container",
            "race_a_write",
        ),
        Near.LEADER,
    ),
    "Leases touched": Story(("delete_lease", "touch_lease", "lose_answers", "slow_worker", "stall_watch")),
    "state behind": Story(
        (
            "slow_store",
            "store_away",
            "kill_container",
            "late_base",
            "late_base",
            "lose_worker_at_a_start",
            "force_delete_pod",
        )
    ),
    "restored from a backup": Story(
        ("restore_cluster", "restore_cluster", "kill_container", "drain_pod", "slow_store")
    ),
    "planned moves": Story(
        ("migrate", "migrate", "give_away", "roll_out", "drain_pod", "lose_successor", "lose_successor"), calm=True
    ),
    "moves disturbed": Story(("disturb_a_move", "disturb_a_move", "migrate", "roll_out", "give_away", "drain_pod")),
    "moves and clocks": Story(("disturb_a_move", "disturb_a_move", "freeze_container", "stall_watch"), Near.EXPIRY),
    "stopped and started": Story(("stop_and_start", "foreign_login", "drain_pod", "kill_container", "stall_watch")),
}
"""Half of all runs have one of these; the others have any faults."""


def story_of(chance: random.Random, name: str | None) -> Story:
    """The story of that name, or one that the seed chooses."""
    return STORIES[name or chance.choice(("anything", chance.choice(tuple(STORIES))))]
