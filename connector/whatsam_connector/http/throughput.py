"""What the worker did in the last hour, for people who ask `/metrics` for JSON."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

_HOUR = 3600
_SLICE = 60
"""Seconds that share one set of counts: the memory does not depend on the traffic."""


class Throughput:
    """Counts of the last hour, by the minute."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._slices: deque[_Counts] = deque()
        self._sent = 0
        self._failed = 0
        self._received = 0

    def count(self, outcome: str) -> None:
        """One outgoing message was settled, or came closer to it."""
        now = self._now()
        if outcome == "sent":
            self._sent += 1
            now.sent += 1
        elif outcome == "failed":
            self._failed += 1
            now.failed += 1

    def received(self, number: int) -> None:
        """So many messages came in."""
        self._received += number
        self._now().received += number

    def answered(self, seconds: float) -> None:
        """One call to the worker's HTTP API was answered."""
        now = self._now()
        now.calls += 1
        now.call_seconds += seconds

    def messages(self) -> dict[str, int]:
        """Messages since the start, and sent in the last hour."""
        self._forget_old()
        return {
            "sent": self._sent,
            "received": self._received,
            "failed": self._failed,
            "lastHour": sum(one.sent for one in self._slices),
        }

    def performance(self) -> dict[str, Any]:
        """Of the last hour: milliseconds per call, share of failed messages, messages sent per minute."""
        self._forget_old()
        sent = sum(one.sent for one in self._slices)
        failed = sum(one.failed for one in self._slices)
        calls = sum(one.calls for one in self._slices)
        seconds = sum(one.call_seconds for one in self._slices)
        return {
            "avgResponseTime": round(1000 * seconds / calls, 1) if calls else None,
            "errorRate": round(failed / (sent + failed), 4) if sent + failed else 0.0,
            "throughput": round(sent / (_HOUR / 60), 3),
        }

    def _now(self) -> "_Counts":
        minute = int(self._monotonic() // _SLICE)
        if not self._slices or self._slices[-1].minute != minute:
            self._forget_old()
            self._slices.append(_Counts(minute))
        return self._slices[-1]

    def _forget_old(self) -> None:
        since = (self._monotonic() - _HOUR) // _SLICE
        while self._slices and self._slices[0].minute < since:
            self._slices.popleft()


class _Counts:
    __slots__ = ("call_seconds", "calls", "failed", "minute", "received", "sent")

    def __init__(self, minute: int) -> None:
        self.minute = minute
        self.sent = self.failed = self.received = self.calls = 0
        self.call_seconds = 0.0
