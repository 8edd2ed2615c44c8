"""Pure: whether an ended container runs again, and after which wait. Called by `container_worker.py`.

The first restart follows at once, as on a real node; then the wait doubles from the initial value to the longest
(kubelet: 10 s and 300 s). Ten good minutes forgive. A container that could not even be started takes part in this:
without that a wrong command was tried 1,400 times in a minute.
"""

from dataclasses import dataclass
from enum import Enum

FORGIVEN_AFTER = 600.0
"""Seconds a container must have run for its earlier failures to be forgotten (kubelet: ten minutes)."""


class RestartPolicy(Enum):
    """`spec.restartPolicy` of the pod."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


@dataclass(frozen=True)
class BackoffLimits:
    """Seconds: the wait before the second restart, and the longest wait."""

    initial: float = 10.0
    longest: float = 300.0


@dataclass(frozen=True)
class Restart:
    """Run the container again after `wait` seconds; `next_wait` is what the restart after that will wait."""

    wait: float
    next_wait: float


def policy_for(pod_policy: RestartPolicy, *, init: bool) -> RestartPolicy:
    """The policy of one container: an init container that succeeded never runs again."""
    return RestartPolicy.ON_FAILURE if init and pod_policy is RestartPolicy.ALWAYS else pod_policy


def runs_again(policy: RestartPolicy, exit_code: int) -> bool:
    """Whether a container that ended with this code is to be restarted."""
    return policy is RestartPolicy.ALWAYS or (policy is RestartPolicy.ON_FAILURE and exit_code != 0)


def next_restart(waited: float, ran_seconds: float, limits: BackoffLimits) -> Restart:
    """The restart that follows; `waited` is `next_wait` of the one before, zero for a container's first restart."""
    wait = 0.0 if ran_seconds > FORGIVEN_AFTER else waited
    return Restart(wait, min(max(limits.initial, 2 * wait), limits.longest))
