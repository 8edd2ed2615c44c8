"""Which sessions share an engine process, and when: the planning behind `EnginePool`. Pure; times are arguments.

A cohort is made when its process gets its sessions, all at once, and only shrinks from then on. So there are three
questions: who starts together now (`gather`), who comes back together after a process has ended
(`aftermath`), and which processes shall become one or at least fewer (`merge`, `deal`).
"""

import enum
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from whatsam_connector.supervision.exits import BLAMED, ExitReason


@dataclass(frozen=True, kw_only=True)
class CohortTimings:
    """The clocks of the pool, in seconds, each with its reason."""

    window: float = 0.3
    """A session that is ready waits so long for others: beyond it, it would feel the wait, and few more would come."""
    longest_window: float = 1.5
    """While others keep coming, the first one waits no longer than this."""
    lull: float = 1.2
    """While more are expected, the newest one waits so long for the next: a busy core makes pauses of a second."""
    patience: float = 5.0
    """And the first one waits so long for all of them. Sessions of a lost worker are assigned 10 to 20 a second; every
    process that is started meanwhile takes half a second of a core from that."""
    planned_window: float = 0.15
    """Sessions of a planned move come together, a few at a time: they are away while they wait for each other."""
    longest_planned: float = 0.5
    stream: int = 5
    """So many that became ready within `stream_memory` come from a lost worker: more are expected."""
    stream_memory: float = 3.0
    believed: float = 60.0
    """Who is on its way for so long and does not come is waited for no more."""
    reunion: float = 3.0
    """Sessions that belong together wait so long for the last of them; a start must not depend on one that is lost."""
    memory: float = 600.0
    """A session that was in two crashes within this is under suspicion until it has been quiet for as long."""
    quarantine: float = 3600.0
    """A session that crashed a process of its own stays alone for so long."""
    settled: float = 60.0
    """Connected for so long, a session may be moved to another process."""
    unconnected: float = 120.0
    """A session that has no connection for so long keeps its process from being replaced no more."""
    paired_settled: float = 300.0
    """After a pairing, history and app-state keys come within minutes; the process is left alone for so long."""
    rest: float = 600.0
    """At most one planned reconnect per session in this time."""


# --- who starts together now ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waiting:
    """A session that is ready to start."""

    uid: str
    since: float
    alone: bool
    """Needs a process of its own: a pairing, or one that is debugged."""
    planned: bool = False
    """Comes by a planned move: a process waits for it, and it for nobody but those that come with it."""


@dataclass(frozen=True)
class Group:
    """Sessions that shall come back in one process and nobody else with them."""

    uids: frozenset[str]


@dataclass(frozen=True)
class Departure:
    """What may start now, and when to look again if nobody comes meanwhile (None: no need)."""

    batches: tuple[tuple[str, ...], ...]
    look_again: float | None


@dataclass(frozen=True)
class Outlook:
    """What is known of sessions that are not ready yet."""

    coming: Mapping[str, float]
    """Those that will ask for a place with others as soon as their files are there, since when."""
    lately: Sequence[float]
    """When the last ones became ready; those that have started since count, too."""
    planned: bool = True
    """More are to come by planned moves."""

    def more(self, now: float, elsewhere: Container[str], timings: CohortTimings) -> bool:
        """Whether more are expected. `elsewhere`: sessions that would not join strangers."""
        awaited = (since for uid, since in self.coming.items() if uid not in elsewhere)
        if any(now - since < timings.believed for since in awaited):
            return True
        return sum(now - ready < timings.stream_memory for ready in self.lately) >= timings.stream


UNKNOWN = Outlook({}, ())


def gather(
    waiting: Sequence[Waiting],
    groups: Iterable[Group],
    now: float,
    size: int,
    timings: CohortTimings,
    *,
    outlook: Outlook = UNKNOWN,
) -> Departure:
    """Who starts at `now`, in processes of at most `size` sessions.

    `groups`: those that still miss somebody who has not started. A session is in one group at most.
    `outlook`: whether more will come.
    """
    batches: list[tuple[str, ...]] = [(session.uid,) for session in waiting if session.alone]
    looks: list[float] = []
    group_of = {uid: group for group in groups for uid in group.uids}
    together = [session for session in waiting if not session.alone]
    strangers = [session for session in together if session.uid not in group_of]
    planned = [session for session in strangers if session.planned]
    free = [session for session in strangers if not session.planned]
    present: dict[Group, list[Waiting]] = {}
    for session in together:
        if (group := group_of.get(session.uid)) is not None:
            present.setdefault(group, []).append(session)
    for group, members in present.items():
        deadline = min(member.since for member in members) + timings.reunion
        if len(members) == len(group.uids) or now >= deadline:
            batches += _chunks([member.uid for member in members], size)
        else:
            looks.append(deadline)
    while len(free) >= size:
        batches.append(tuple(session.uid for session in free[:size]))
        free = free[size:]
    if free:
        deadline = _departure(free, outlook.more(now, group_of, timings), timings)
        if now >= deadline:
            batches.append(tuple(session.uid for session in free))
        else:
            looks.append(deadline)
    if planned:
        deadline = _soon(planned, timings) if outlook.planned else now
        if now >= deadline:
            batches += _chunks([session.uid for session in planned], size)
        else:
            looks.append(deadline)
    return Departure(tuple(batches), min(looks, default=None))


def _soon(planned: Sequence[Waiting], timings: CohortTimings) -> float:
    """When those that come by a planned move start."""
    oldest, newest = min(session.since for session in planned), max(session.since for session in planned)
    return min(newest + timings.planned_window, oldest + timings.longest_planned)


def _departure(free: Sequence[Waiting], more: bool, timings: CohortTimings) -> float:
    """When these start, should they not be joined by enough others before."""
    oldest, newest = min(session.since for session in free), max(session.since for session in free)
    if more:
        return min(newest + timings.lull, oldest + timings.patience)
    return min(newest + timings.window, oldest + timings.longest_window)


def _chunks(uids: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(uids[at : at + size]) for at in range(0, len(uids), size)]


# --- who comes back together ------------------------------------------------------------------------------------------


class Outcome(enum.Enum):
    """What the end of a process means for the sessions that it took with it."""

    NOTHING = "nothing"
    """They left, or the end says nothing against them: they start like any other."""
    REUNITE = "reunite"
    """The first time: all of them come back in one process, at once."""
    SPLIT = "split"
    """Again: one of them may be the reason. Two halves; the half without it lives."""
    ISOLATE = "isolate"
    """One was alone in its process: it is the reason. It stays alone for a while."""


@dataclass(frozen=True)
class Suspicion:
    """What is held against a session."""

    crashes: int
    """Crashes that it was in, none of them `memory` seconds after the one before."""
    last: float
    alone: bool = False
    """The last one hit nobody else."""

    def holds(self, now: float, timings: CohortTimings) -> bool:
        """Whether it still counts."""
        return now - self.last < (timings.quarantine if self.alone else timings.memory)


@dataclass(frozen=True)
class Aftermath:
    """Who comes back with whom, and what is held against whom from now on."""

    outcome: Outcome
    groups: tuple[Group, ...]
    suspicions: Mapping[str, Suspicion]
    """Of the sessions that the process took with it; those of others stay as they are."""


def aftermath(
    members: Sequence[str],
    reason: ExitReason,
    suspicions: Mapping[str, Suspicion],
    now: float,
    timings: CohortTimings,
    *,
    culprit: str | None = None,
) -> Aftermath:
    """What follows from the end of a process at `now`.

    `members`: the sessions that had not left, in the order of their start. `culprit`: the process was killed because
    this one session did not leave in time; then nothing is held against the others.
    """
    if culprit is not None:
        others = frozenset(members) - {culprit}
        held = {culprit: _worse(suspicions.get(culprit), now, timings)} if culprit in members else {}
        return Aftermath(Outcome.REUNITE, (Group(others),) if others else (), held)
    if reason not in BLAMED or not members:
        return Aftermath(Outcome.NOTHING, (), {})
    known = [held for uid in members if (held := suspicions.get(uid)) is not None and held.holds(now, timings)]
    after = {uid: _worse(suspicions.get(uid), now, timings, alone=len(members) == 1) for uid in members}
    if len(members) == 1:
        return Aftermath(Outcome.ISOLATE, (Group(frozenset(members)),), after)
    if not known:
        return Aftermath(Outcome.REUNITE, (Group(frozenset(members)),), after)
    middle = (len(members) + 1) // 2
    halves = (Group(frozenset(members[:middle])), Group(frozenset(members[middle:])))
    return Aftermath(Outcome.SPLIT, halves, after)


def _worse(before: Suspicion | None, now: float, timings: CohortTimings, *, alone: bool = False) -> Suspicion:
    counted = before.crashes if before is not None and before.holds(now, timings) else 0
    return Suspicion(counted + 1, now, alone)


# --- which processes become fewer -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cohort:
    """A process that runs, as `merge` sees it."""

    key: int
    size: int
    """Sessions that have not left."""
    movable: bool
    """All of them are connected and settled, none is busy, suspected or was moved lately."""
    dealt: bool = False
    """Somebody in it has been dealt anew before (`deal`)."""


def merge(cohorts: Iterable[Cohort], size: int) -> tuple[int, ...]:
    """Keys of the processes whose sessions shall share a new one; none when it is not worth it.

    A process cannot take sessions in, so everybody who takes part reconnects. Hence the rule of a binary counter: the
    new one is at least twice as large as the largest that goes into it. A session is then moved at most log2(`size`)
    times in its life, and few processes are left: below twice the least number plus log2(`size`).
    """
    candidates = sorted(
        (cohort for cohort in cohorts if cohort.movable and cohort.size), key=lambda cohort: cohort.size
    )
    chosen: list[Cohort] = []
    total = 0
    for cohort in candidates:
        if total + cohort.size > size:
            break
        chosen.append(cohort)
        total += cohort.size
    while len(chosen) > 1:
        if total >= 2 * chosen[-1].size:
            return tuple(cohort.key for cohort in chosen)
        total -= chosen.pop().size
    return ()


def deal(cohorts: Iterable[Cohort], size: int) -> tuple[int, ...]:
    """Keys of the processes whose sessions shall be dealt into as few new ones as they need; none when `merge` does.

    Sessions of a worker that was restarted may come in pieces that make no merge: 45, 30 and 25 when 50 fit into a
    process, or 63, 27 and 8 when all would. So everybody may be moved once in its life beside the merges, if that saves
    more processes than a merge now.
    """
    known = list(cohorts)
    candidates = sorted(
        (cohort for cohort in known if cohort.movable and cohort.size and not cohort.dealt),
        key=lambda cohort: cohort.size,
    )
    saved = max(len(merge(known, size)) - 1, 0)
    chosen: Sequence[Cohort] = ()
    total = 0
    for number, cohort in enumerate(candidates, start=1):
        total += cohort.size
        if number - -(-total // size) > saved:
            saved, chosen = number - -(-total // size), candidates[:number]
    return tuple(cohort.key for cohort in chosen)
