"""One session in one plan: everything that a decision about it may look at."""

from dataclasses import dataclass

from whatsam_core.resources import WhatsAppSession
from whatsam_operator.planning.boots import Boots
from whatsam_operator.planning.decisions import Target
from whatsam_operator.planning.holder import Holding
from whatsam_operator.planning.placement import Floor
from whatsam_operator.planning.snapshot import Moment, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Made by the planner for each session, handed to `running` or `deletion`."""

    session: WhatsAppSession
    held: Holding
    elder: WhatsAppSession | None
    """Another session with the same device, which has the right to it."""
    engine: str
    """Engine version of the last holder, as far as it is known."""
    snapshot: Snapshot
    boots: Boots
    floor: Floor
    now: Moment

    @property
    def target(self) -> Target:
        """The session as the object of a decision."""
        return Target("session", self.session.metadata.key, self.session.metadata.uid)
