"""When does a session of a worker that ends let go without a successor that is ready? Pure; asked by `worker`.

With one that is ready it lets go by itself, as in every planned move. Nobody may be there to take it, though, and the
kubelet's patience ends: a session that has let go in order is better off than one that is killed.
"""

from dataclasses import dataclass
from enum import Enum

from whatsam_connector.sessions.state import SessionState, Stage


class Leave(Enum):
    """What a session of a worker that ends is to do."""

    STAY = "stay"
    """Work on: a successor is preparing itself, or may still be named."""
    GO = "go"
    """Let go now, whoever takes it later."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds from the order to end."""

    named: float = 15.0
    """A successor is named within this, or there is none: time for a fresh pod to start, where the image is there."""
    last_call: float
    """From here on everybody goes: what is left of the grace period is needed to end in order."""


def leave(state: SessionState, *, successor: bool, waited: float, patience: Patience) -> Leave:
    """What this session does `waited` seconds after the order. `successor`: its object names one."""
    if waited >= patience.last_call or not (state.linked and state.secured) or state.stage is Stage.HALTED:
        return Leave.GO  # without a device, or stopped: nothing is connected that a successor could spare
    return Leave.STAY if successor or waited < patience.named else Leave.GO
