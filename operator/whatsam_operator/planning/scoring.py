"""How well would a session sit on a worker? The lowest cost wins. Asked by placement.

The unit is one percent of a worker's places: a cost of 10 weighs as much as a tenth of its places being taken.
"""

from dataclasses import dataclass

from whatsam_operator.planning.candidates import Candidate
from whatsam_operator.planning.filters import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What counts how much. Each is multiplied with a percentage, except the last four, which are costs."""

    sessions: float = 1.0
    """Places taken: the measure of all others."""
    cpu: float = 0.5
    """CPU used. Half of a place's weight: samples are 10 s old and a session given away now shows up later."""
    memory: float = 0.5
    """Memory used."""
    tenant: float = 2.0
    """Places taken by the same tenant: one of them weighs as two of others, so that no worker's loss takes a whole
    tenant."""
    node: float = 0.25
    """Places taken on its node: among equal workers, the one on the emptier node."""
    hot: float = 500.0
    """Above a limit of CPU or memory: more than all other parts together, so that it is taken only when no other worker
    has a place. Rebalancing would move the session away again."""
    outdated: float = 800.0
    """A rollout will replace it: what comes to it has to move once more."""
    egress: float = -30.0
    """Behind the outgoing address that WhatsApp knows the session from: worth almost a third of the places."""
    sticky: float = -1000.0
    """The newest state lies there as a local file: nothing outweighs it."""


HOT_CPU = 80
HOT_MEMORY = 90
"""Percent from which a worker is too busy for more; the same from which rebalancing takes sessions away."""
WEIGHTS = Weights()


@dataclass(frozen=True, slots=True)
class Averages:
    """What stands in for a worker whose load is not known, so that it is neither better nor worse than others."""

    cpu: float = 0.0
    memory: float = 0.0


@dataclass(frozen=True, slots=True)
class Score:
    """The cost of one choice, part by part."""

    sessions: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    node: float = 0.0
    hot: float = 0.0
    outdated: float = 0.0
    tenant: float = 0.0
    egress: float = 0.0
    sticky: float = 0.0

    @property
    def total(self) -> float:
        """The cost."""
        worker = self.sessions + self.cpu + self.memory + self.node + self.hot + self.outdated
        return worker + self.tenant + self.egress + self.sticky


def base(candidate: Candidate, averages: Averages, weights: Weights = WEIGHTS) -> float:
    """The part of the cost that is the same for every session. It only grows while a plan gives sessions away."""
    return sum(_of_worker(candidate, averages, weights))


def own(candidate: Candidate, ask: Ask, weights: Weights = WEIGHTS) -> float:
    """The part of the cost that this session brings with it."""
    return sum(_of_session(candidate, ask, weights))


def score(candidate: Candidate, ask: Ask, averages: Averages, weights: Weights = WEIGHTS) -> Score:
    """The same sum with its parts, for people."""
    return Score(*_of_worker(candidate, averages, weights), *_of_session(candidate, ask, weights))


def _of_worker(candidate: Candidate, averages: Averages, weights: Weights) -> tuple[float, ...]:
    """Sessions, CPU, memory, node, hot, outdated: the order of `Score`."""
    load, node = candidate.boot.lease.record.load, candidate.node
    cpu = averages.cpu if load.cpu is None else load.cpu
    memory = averages.memory if load.memory is None else load.memory
    return (
        weights.sessions * 100 * candidate.sessions / candidate.limit,
        weights.cpu * cpu,
        weights.memory * memory,
        weights.node * 100 * node.sessions / max(node.places, 1),
        weights.hot if cpu >= HOT_CPU or memory >= HOT_MEMORY else 0.0,
        weights.outdated if candidate.outdated else 0.0,
    )


def _of_session(candidate: Candidate, ask: Ask, weights: Weights) -> tuple[float, ...]:
    """Tenant, egress, stickiness: the order of `Score`."""
    here = ask.prefer_pod is not None and candidate.boot.lease.record.pod_uid == ask.prefer_pod
    return (
        weights.tenant * 100 * candidate.tenants[ask.tenant] / candidate.limit,
        weights.egress if ask.egress is not None and candidate.egress == ask.egress else 0.0,
        weights.sticky if here else 0.0,
    )
