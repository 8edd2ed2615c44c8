"""Which sessions should move from busy workers to idle ones? Nothing is moved here: the answer is a list of wishes.

Called once per plan and pool. It comes to rest from any fleet: a worker gives sessions only above a high mark and
takes them only below a low one, by what its load will be then; the session that came last leaves last, so that one
that is heavy by itself ends up alone and stays; and no session is moved more than `MOST_IN_A_DAY` times a day.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from whatsam_core.resources import ConditionType, DesiredState, Rebalance, WhatsAppSession, WorkerPool
from whatsam_operator.planning.boots import Boots, pool_of
from whatsam_operator.planning.candidates import Candidate
from whatsam_operator.planning.filters import Ask, Filter
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.losses import Brake, brake
from whatsam_operator.planning.placement import Floor, Hall
from whatsam_operator.planning.scoring import base, own
from whatsam_operator.planning.snapshot import BootKey, Key, Moment, Snapshot

REST_ROUNDS: Final = 10
"""Rounds for which a session that was moved stays where it is."""
SHORTEST_ROUND: Final = 30.0
"""Seconds between two rounds at least: the load is measured every 10 s, and the moves must show in it."""
MOST_IN_A_DAY: Final = 3
"""Moves of one session for the sake of balance within `DAY`."""
DAY: Final = 86_400.0
SMALLEST_GAP: Final = 10
"""Percent between the two marks at least, whatever the pool says: without a gap sessions would go to and fro."""


class Pressure(StrEnum):
    """Why a worker gives sessions away."""

    SESSIONS = "Sessions"
    """Its places are nearly all taken."""
    CPU = "Cpu"
    MEMORY = "Memory"


@dataclass(frozen=True, slots=True)
class Move:
    """A session that should go from one worker to another."""

    session: Key
    from_boot: BootKey
    to_boot: BootKey
    reason: Pressure


class Pause(StrEnum):
    """Why nothing is moved now, although workers may be busy."""

    DISABLED = "spec.rebalance.enabled is false"
    LOSSES = "workers of the pool are lost or missing renewals: their sessions come first"
    INTERVAL = "the round before is not long enough ago"
    UNDER_WAY = "as many sessions as may move at a time are moving"


@dataclass(frozen=True, slots=True)
class Marks:
    """Percent at which a worker gives, and below which it takes."""

    sessions: int
    cpu: int
    memory: int
    low: int

    @classmethod
    def of(cls, spec: Rebalance) -> "Marks":
        """The pool's marks, with a gap between them."""
        low = min(spec.low_watermark, min(spec.high_watermark, spec.cpu_high_watermark) - SMALLEST_GAP)
        return cls(spec.high_watermark, spec.cpu_high_watermark, spec.high_watermark, max(low, 0))


@dataclass(slots=True)
class _Estimate:
    """What a worker's load will be after the moves of this round."""

    candidate: Candidate
    sessions: int
    cpu: float | None
    memory: float | None

    @classmethod
    def of(cls, candidate: Candidate) -> "_Estimate":
        load = candidate.boot.lease.record.load
        return cls(candidate, candidate.sessions, load.cpu, load.memory)

    @property
    def share(self) -> float:
        """Percent of its places that are taken."""
        return 100 * self.sessions / self.candidate.limit

    def pressure(self, marks: Marks) -> Pressure | None:
        """What it has too much of."""
        if self.cpu is not None and self.cpu > marks.cpu:
            return Pressure.CPU
        if self.memory is not None and self.memory > marks.memory:
            return Pressure.MEMORY
        return Pressure.SESSIONS if self.share > marks.sessions else None

    def parts(self) -> tuple[float, float]:
        """CPU and memory of one of its sessions, taken as equal."""
        count = max(self.sessions, 1)
        return (self.cpu or 0.0) / count, (self.memory or 0.0) / count

    def can_take(self, parts: tuple[float, float], low: int) -> bool:
        """Whether it stays at or below the low mark with one session more."""
        fits = 100 * (self.sessions + 1) <= low * self.candidate.limit
        cool = self.cpu is None or self.cpu + parts[0] <= low
        return fits and cool and (self.memory is None or self.memory + parts[1] <= low)

    def change(self, parts: tuple[float, float], sign: int) -> None:
        """Count a session more or less."""
        self.sessions += sign
        self.cpu = None if self.cpu is None else self.cpu + sign * parts[0]
        self.memory = None if self.memory is None else self.memory + sign * parts[1]


def moves(snapshot: Snapshot, boots: Boots, floor: Floor, pool: WorkerPool, now: Moment) -> list[Move]:
    """One round of moves for the pool, or nothing; see `pause` for why there may be none.

    The floor is only looked at: a move is counted there when its successor is named.
    """
    if pause(snapshot, boots, pool, now) is not None:
        return []
    return wished(snapshot, boots, floor.untouched(pool), now)


def pause(snapshot: Snapshot, boots: Boots, pool: WorkerPool, now: Moment) -> Pause | None:
    """Why the pool is left as it is now."""
    spec, key = pool.spec.rebalance, pool.metadata.key
    if not spec.enabled:
        return Pause.DISABLED
    mine = boots.present(key)
    unsure = any(boot.judgement.verdict not in (Verdict.ALIVE, Verdict.DRAINING) for boot in mine)
    if unsure or brake(mine) is Brake.ON:
        return Pause.LOSSES
    moved = ((snapshot.sessions.get(name), times) for name, times in snapshot.balanced.items() if times)
    last = max((times[-1] for session, times in moved if session is not None and pool_of(session) == key), default=None)
    if last is not None and now.steady - last < round_of(spec):
        return Pause.INTERVAL
    return Pause.UNDER_WAY if _under_way(boots, key) >= spec.max_moves else None


def wished(snapshot: Snapshot, boots: Boots, hall: Hall, now: Moment) -> list[Move]:
    """What a round would move, whether or not one is due; shown by `plan --explain`, too."""
    spec = hall.pool.spec.rebalance
    marks, rest = Marks.of(spec), REST_ROUNDS * round_of(spec)
    loads = {one.boot.key: _Estimate.of(one) for one in hall.candidates}
    for session, boot in boots.rows:
        if session.status.next is not None and boot in loads:
            loads[boot].change(loads[boot].parts(), -1)  # it leaves already
    givers = [one for one in loads.values() if one.pressure(marks) is not None]
    if not givers:
        return []
    of_boot: dict[BootKey, list[WhatsAppSession]] = {one.candidate.boot.key: [] for one in givers}
    for session, boot in boots.rows:
        if boot in of_boot and _may_move(session, snapshot.balanced.get(session.metadata.key, ()), now.steady, rest):
            of_boot[boot].append(session)
    room = spec.max_moves - _under_way(boots, hall.pool.metadata.key)
    found: list[Move] = []
    # The fullest gives first: with the limit on one round, the others wait for the next.
    for giver in sorted(givers, key=lambda one: (-one.share, one.candidate.boot.key)):
        for session in sorted(of_boot[giver.candidate.boot.key], key=_since):
            reason = giver.pressure(marks)
            if reason is None or giver.sessions <= 1 or len(found) >= room:
                break
            taker = _taker(hall, loads.values(), giver, session, marks)
            if taker is None:
                break  # what a worker can take does not depend on the session
            parts = giver.parts()
            giver.change(parts, -1)
            taker.change(parts, +1)
            taker.candidate.take(session.spec.tenant, paired=True)
            found.append(Move(session.metadata.key, giver.candidate.boot.key, taker.candidate.boot.key, reason))
    return found


def round_of(spec: Rebalance) -> float:
    """Seconds between two rounds."""
    return max(float(spec.interval), SHORTEST_ROUND)


def _taker(
    hall: Hall, loads: Iterable[_Estimate], giver: _Estimate, session: WhatsAppSession, marks: Marks
) -> _Estimate | None:
    record = giver.candidate.boot.lease.record
    ask = Ask(
        tenant=session.spec.tenant,
        engine=record.engine_version,
        avoid_pod=record.pod_uid,
        egress=giver.candidate.egress,
    )
    parts = giver.parts()
    # A move is no login storm: the brake on logins is for what is down.
    open_to = [
        one
        for one in loads
        if one.can_take(parts, marks.low) and hall.refusal(one.candidate, ask) in (None, Filter.LOGINS)
    ]
    return min(
        open_to,
        key=lambda one: (base(one.candidate, hall.averages) + own(one.candidate, ask), one.candidate.boot.key),
        default=None,
    )


def _may_move(session: WhatsAppSession, moved: Sequence[float], now: float, rest: float) -> bool:
    """Only what is connected and stored, and was not moved lately: others have enough to do."""
    status = session.status
    steady = (
        not session.metadata.deleting
        and session.spec.desired_state is DesiredState.RUNNING
        and status.jid is not None
        and status.next is None
        and status.is_true(ConditionType.CONNECTED)
        and not _behind(session)
    )
    if not steady or not moved:
        return steady
    return now - moved[-1] >= rest and sum(now - at < DAY for at in moved) < MOST_IN_A_DAY


def _behind(session: WhatsAppSession) -> bool:
    replicated = session.status.condition(ConditionType.REPLICATED)
    return replicated is not None and replicated.status == "False"


def _under_way(boots: Boots, pool: Key) -> int:
    """Sessions of the pool that move, for whatever reason."""
    return sum(session.status.next is not None and pool_of(session) == pool for session, _ in boots.rows)


def _since(session: WhatsAppSession) -> tuple[str, Key]:
    assignment = session.status.assignment
    return ("" if assignment is None else assignment.since.isoformat(), session.metadata.key)
