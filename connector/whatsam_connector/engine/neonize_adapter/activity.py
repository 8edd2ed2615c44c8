"""Tells when neonize has no more events to hand over.

Events wait in a channel inside Go (up to 100) that nobody can look into, so the end of the queue shows only as silence:
no handler runs and none has run for a moment. The channel feeds the next event as soon as a handler returns.
"""

import contextlib
import threading
import time
from collections.abc import Generator

QUIET_SECONDS = 0.25
"""Silence that counts as empty; an event that is waiting comes within a millisecond on an idle machine."""


class HandlerActivity:
    """Counts the running handlers of one session."""

    def __init__(self) -> None:
        self._running = 0
        self._last_end = time.monotonic()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def handling(self) -> Generator[None]:
        """Around every handler."""
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._last_end = time.monotonic()
                self._changed.notify_all()

    def wait_until_quiet(self) -> None:
        """Return after QUIET_SECONDS without a handler; the caller has closed the connection before."""
        quiet_since = time.monotonic()
        with self._changed:
            while True:
                quiet_since = max(quiet_since, self._last_end)
                left = quiet_since + QUIET_SECONDS - time.monotonic()
                if not self._running and left <= 0:
                    return
                self._changed.wait(left if left > 0 else None)
