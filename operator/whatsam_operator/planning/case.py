"""One session in one plan: everything that a decision about it may look at."""

from dataclasses import dataclass

from whatsam_core.resources import WhatsAppSession
from whatsam_operator.planning.boots import Boots, boot_of, pool_of
from whatsam_operator.planning.candidates import egress_of
from whatsam_operator.planning.decisions import Target
from whatsam_operator.planning.holder import Holding
from whatsam_operator.planning.placement import Floor
from whatsam_operator.planning.snapshot import BootKey, Moment, Snapshot


@dataclass(slots=True, kw_only=True)
class Case:
    """Made by the planner for each session, handed to `running` or `deletion`."""

    session: WhatsAppSession
    held: Holding
    elder: WhatsAppSession | None
    """Another session with the same device, which has the right to it."""
    snapshot: Snapshot
    boots: Boots
    floor: Floor
    now: Moment
    balance: BootKey | None = None
    """The boot to which the session should go for the sake of balance."""

    @property
    def engine(self) -> str:
        """Engine version of the last holder, as far as it is known."""
        key = boot_of(self.session)
        boot = self.boots.by_key.get(key) if key is not None else None
        return "" if boot is None else boot.lease.record.engine_version

    @property
    def egress(self) -> str | None:
        """The outgoing address that WhatsApp last saw the session from, as far as it is known."""
        holder, pool = self.session.status.assignment, self.snapshot.pools.get(pool_of(self.session))
        pod = self.snapshot.pods.get(holder.pod_uid) if holder is not None else None
        if pod is None or pool is None:
            return None
        return egress_of(pool.spec.egress_topology_key, self.snapshot.nodes.get(pod.node))

    @property
    def target(self) -> Target:
        """The session as the object of a decision."""
        return Target("session", self.session.metadata.key, self.session.metadata.uid)
