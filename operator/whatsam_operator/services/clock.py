"""The operator's two clocks. Given to whoever needs time, so that tests have time of their own."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from whatsam_operator.planning.snapshot import Moment

Clock = Callable[[], Moment]


def now() -> Moment:
    """CLOCK_BOOTTIME counts suspension: a machine that slept knows that its leadership is over."""
    return Moment(steady=time.clock_gettime(time.CLOCK_BOOTTIME), wall=datetime.now(UTC))
