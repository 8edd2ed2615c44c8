"""What only this process knows, between two plans: answers of the object store, assignments under way, sightings."""

from dataclasses import dataclass, field

from whatsam_operator.planning.ownership import UNKNOWN, Standing
from whatsam_operator.planning.snapshot import BootKey, Key, StateKnowledge, Storms


@dataclass(slots=True)
class Knowledge:
    """One per term of leadership; a new leader starts with none and finds out again."""

    states: dict[str, StateKnowledge] = field(default_factory=dict[str, StateKnowledge])
    """By session UID: what the object store said about a state left behind."""
    pending: dict[str, BootKey] = field(default_factory=dict[str, BootKey])
    """By session UID: the boot that an assignment under way names."""
    naming: dict[str, BootKey] = field(default_factory=dict[str, BootKey])
    """By session UID: the boot that is being named as its successor."""
    sightings: dict[str, float] = field(default_factory=dict[str, float])
    storms: Storms = field(default_factory=Storms)
    """Failed starts."""
    balanced: dict[Key, tuple[float, ...]] = field(default_factory=dict[Key, tuple[float, ...]])
    """By session: steady times of its last moves for the sake of balance, oldest first."""
    store: Standing = UNKNOWN
    """Whether the object store is this cluster's."""
    last_braked: dict[Key, float] = field(default_factory=dict[Key, float])
    pool_written: dict[Key, float] = field(default_factory=dict[Key, float])
    """By pool: steady time at which its status was written last."""

    def forget_sessions_but(self, alive: set[str]) -> None:
        """Drop what is known of sessions that are gone."""
        for uid in [uid for uid in self.states if uid not in alive]:
            del self.states[uid]
