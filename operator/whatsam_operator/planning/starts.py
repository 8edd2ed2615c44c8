"""Sessions whose start ends with the loss of their worker, again and again: how long must the next start wait?

A session that kills its worker while it starts would otherwise be carried from worker to worker and take the sessions
of each down. Whoever is lost before it was up is under suspicion; who was up when its worker was lost is not, and is
given away at once. Waits grow per session and per pool, later starts are made one by one on a worker, so that the
innocent come up and are cleared, and in the end a person must look.

`observe` is called before each plan, `answer` for each session that may be given away. What is held against a session
is written into its status with the next decision about it, so that a new leader knows; what is held against a pool
lasts for one term of leadership.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Final
from zlib import crc32

from whatsam_core.lease import LeaseState
from whatsam_core.resources import ConditionType, DesiredState, FailedStarts, Phase, WhatsAppSession
from whatsam_operator.planning import conditions
from whatsam_operator.planning.boots import Boots, boot_of, pool_of
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.snapshot import BootKey, FailedStart, Key, Moment, Snapshot, Storms

SUSPECT_FROM: Final = 3
"""Failed starts in a row from which only one such session starts on a worker at a time."""
TRIES: Final = 6
"""Failed starts in a row after which the session is left to a person."""
FIRST_WAIT: Final = 2.0
LONGEST_WAIT: Final = 300.0
"""Seconds before the start after the second failed one in a row; doubled each time up to the last."""
POOL_FREE: Final = 2
"""Workers of a pool that may be lost with failed starts within `WINDOW` before the pool waits, too."""
POOL_LONGEST_WAIT: Final = 60.0
WINDOW: Final = 600.0
"""Seconds for which a pool remembers a worker that was lost with failed starts."""
PROVEN_AFTER: Final = 60.0
"""Seconds after its last failed start from which a session that is up is cleared."""
FORGET_AFTER: Final = 3600.0
"""Seconds after which a failed start is forgotten in any case."""


class Start(Enum):
    """May the session be given to a worker?"""

    NOW = "now"
    """Nothing speaks against it."""
    TRIAL = "trial"
    """Yes, on a worker where no other session under suspicion starts."""
    WAIT = "wait"
    """Later: its own wait or its pool's is not over."""
    STALL = "stall"
    """Only a person can help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """With words for people."""

    start: Start
    message: str = ""
    seconds: float = field(default=0.0, compare=False)
    """How long it still waits."""


def observe(before: Storms, snapshot: Snapshot, boots: Boots, now: Moment) -> Storms:
    """What is remembered of failed starts, with those that the snapshot shows for the first time."""
    known_before = {**_written(snapshot, now), **before.sessions}
    if not known_before and not before.pools and not _anybody_lost(snapshot):
        return before
    found = dict(_still_suspected(known_before, snapshot, now))
    pools: dict[Key, dict[BootKey, float]] = {
        pool: kept
        for pool, lost in before.pools.items()
        if (kept := {boot: at for boot, at in lost.items() if now.steady - at < WINDOW})
    }
    alive = {key for key, boot in boots.by_key.items() if not boot.judgement.verdict.gone}
    for session, boot in boots.rows:
        if boot is None or boot in alive or session.metadata.uid in snapshot.pending:
            continue
        if not _failed(session, boots, boot):
            continue
        known = found.get(session.metadata.uid)
        if known is not None and known.epoch == session.status.epoch:
            continue
        count = 1 if known is None else known.count + 1
        found[session.metadata.uid] = FailedStart(count, session.status.epoch, session.metadata.generation, now.steady)
        pools.setdefault(pool_of(session), {})[boot] = now.steady
    return Storms(found, pools)


def answer(session: WhatsAppSession, storms: Storms, now: Moment) -> Answer:
    """Whether the session, which nobody holds, may be given away now."""
    known = storms.sessions.get(session.metadata.uid)
    if _stalled_before(session) or (known is not None and known.count >= TRIES):
        return Answer(
            Start.STALL,
            f"its worker was lost {TRIES} times in a row while the session was starting: "
            "look at the connectors' logs, then change spec.desiredState to Stopped and back",
        )
    if known is None:
        return Answer(Start.NOW)
    own = wait_of(session.metadata.uid, known.count)
    of_pool = pool_wait(storms, pool_of(session))
    left = max(own, of_pool) - (now.steady - known.at)
    if left > 0:
        whose = "its worker was" if own >= of_pool else "workers of its pool were"
        text = f"{whose} lost while sessions were starting ({known.count} times in a row for this one): waiting before "
        return Answer(Start.WAIT, f"{text}the next start", left)
    return Answer(Start.TRIAL if known.count >= SUSPECT_FROM else Start.NOW)


def wait_of(uid: str, failures: int) -> float:
    """Seconds between the last of so many failed starts and the next one; each session has its own share of it."""
    if failures < 2:
        return 0.0  # the first loss says nothing about the session
    share = 0.5 + crc32(uid.encode()) / 2**32  # so that those that were lost together are not started together
    return min(FIRST_WAIT * 2.0 ** (failures - 2), LONGEST_WAIT) * share


def pool_wait(storms: Storms, pool: Key) -> float:
    """Seconds that sessions of the pool with a failed start wait at least."""
    lost = len(storms.pools.get(pool, {}))
    return 0.0 if lost <= POOL_FREE else min(2.0 ** (lost - POOL_FREE), POOL_LONGEST_WAIT)


def is_up(session: WhatsAppSession) -> bool:
    """Whether the session's start has succeeded under its present epoch, as far as its status shows."""
    status = session.status
    if status.is_true(ConditionType.CONNECTED) or status.phase in (Phase.CONNECTED, Phase.PAIRING):
        return True
    since = status.assignment.since if status.assignment is not None else None
    return since is not None and status.last_connected_at is not None and status.last_connected_at >= since


def _anybody_lost(snapshot: Snapshot) -> bool:
    revoked = any(lease.record.state is LeaseState.REVOKED for lease in snapshot.leases.values())
    return revoked or bool(snapshot.missing)


def record(session: WhatsAppSession, storms: Storms, now: Moment) -> FailedStarts | None:
    """What the session's status shall say of its failed starts."""
    known = storms.sessions.get(session.metadata.uid)
    if known is None:
        return None
    at = now.wall - timedelta(seconds=max(0.0, now.steady - known.at))
    return FailedStarts(count=known.count, epoch=known.epoch, generation=known.generation, at=at)


def _written(snapshot: Snapshot, now: Moment) -> dict[str, FailedStart]:
    """What sessions' statuses say. It may be out of date: whoever is up since then is cleared as ever."""
    found: dict[str, FailedStart] = {}
    for session in snapshot.sessions.values():
        said = session.status.failed_starts
        if said is not None:
            ago = max(0.0, (now.wall - said.at).total_seconds())
            found[session.metadata.uid] = FailedStart(said.count, said.epoch, said.generation, now.steady - ago)
    return found


def _still_suspected(
    before: Mapping[str, FailedStart], snapshot: Snapshot, now: Moment
) -> Iterator[tuple[str, FailedStart]]:
    if not before:
        return
    for session in snapshot.sessions.values():
        known = before.get(session.metadata.uid)
        if known is None or now.steady - known.at >= FORGET_AFTER:
            continue
        proven = session.status.epoch != known.epoch and is_up(session) and now.steady - known.at >= PROVEN_AFTER
        changed = session.metadata.generation != known.generation  # somebody has acted
        if not (proven or changed or session.spec.desired_state is DesiredState.STOPPED):
            yield session.metadata.uid, known


def _failed(session: WhatsAppSession, boots: Boots, boot: BootKey) -> bool:
    """A worker that released its Lease went in an orderly way: what it had begun to start is no failure."""
    status = session.status
    if is_up(session) or (status.handover is not None and status.handover.epoch == status.epoch):
        return False
    stays_down = status.phase in (Phase.ERROR, Phase.LOGGED_OUT, Phase.DISCONNECTED)
    verdict = boots.judge(boot, pool_of(session)).verdict
    return not stays_down and verdict in (Verdict.REVOKED, Verdict.MISSING_EXPIRED)


def _stalled_before(session: WhatsAppSession) -> bool:
    """An earlier leader gave up, and nobody has changed the session since."""
    stall = session.status.condition(ConditionType.STALLED)
    return (
        stall is not None
        and stall.status == "True"
        and stall.reason == conditions.CRASH_LOOPING
        and stall.observed_generation == session.metadata.generation
    )


def trials(snapshot: Snapshot) -> Mapping[BootKey, int]:
    """How many sessions under suspicion start on each boot just now."""
    count: dict[BootKey, int] = {}
    suspects = {uid for uid, known in snapshot.storms.sessions.items() if known.count >= SUSPECT_FROM}
    if not suspects:
        return count
    for session in snapshot.sessions.values():
        if session.metadata.uid not in suspects:
            continue
        under_way = snapshot.pending.get(session.metadata.uid)
        boot = under_way or boot_of(session)
        if boot is not None and (under_way is not None or not is_up(session)):
            count[boot] = count.get(boot, 0) + 1
    return count
