"""How long a worker that ends may take to give its sessions away. Pure; called where its pod is rendered.

A worker with S sessions, of which a successor starts N at a time, needs: the time until a successor is named (it may be
a pod that has yet to start), ceil(S / N) rounds of a move, the time in which those for whom nobody came store their
last state, and the end of the process itself.
"""

from math import ceil
from typing import Final

from whatsam_core.resources import PoolSpec

NAMED: Final = 15
"""Until a successor is named: the connector waits so long for one (`assignments.leaving.Patience`)."""
ROUND: Final = 4
"""One round of a move: a state read, an engine loaded, let go, started. On two busy cores; 2 s otherwise."""
LAST_CALL: Final = 15
"""Before the end everybody lets go, with a successor or without one (`lifecycle.LAST_CALL`)."""
END: Final = 10
"""Engines confirmed dead, the Lease released, connections closed."""


def of_pod(spec: PoolSpec) -> int:
    """`terminationGracePeriodSeconds`: what the pool says, else what its sessions need."""
    chosen = spec.template.termination_grace_period_seconds
    if chosen is not None:
        return chosen
    return NAMED + ceil(spec.sessions_per_worker / spec.failover.max_concurrent_starts) * ROUND + LAST_CALL + END


def of_connector(spec: PoolSpec) -> int:
    """`WHATSAM_SHUTDOWN_GRACE`: seconds from SIGTERM until engines that still live are killed."""
    whole = of_pod(spec)
    return max(whole - END, whole // 2)
