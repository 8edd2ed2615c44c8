"""The journal: written by connections, router and contacts; read through the control API.

"Two holders" means two logged-in connections of one device at the same moment. The newer's interval begins when its
login is accepted, the older's ends when `replaced` has been sent to it, so a takeover of a living connection always
overlaps. Everything is in memory and bounded; it starts empty with the process.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque

from whatsam_simulator.clock import Clock
from whatsam_simulator.journal.records import (
    CounterUse,
    EndReason,
    Holder,
    JournalSettings,
    JournalSummary,
    MessageEvent,
    MessageStep,
    Violation,
    ViolationKind,
)

MAX_ENTRIES = 200_000
"""Entries kept of each list; about 100 MB when all are full."""
MAX_CHAINS = 100_000
"""Chains whose counters are remembered; the one that was not used longest goes first."""


class Journal:
    """What was seen, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sequence = 0
        self.settings = JournalSettings()
        self.steps: Counter[MessageStep] = Counter()
        self.counted = 0
        self.holders: deque[Holder] = deque(maxlen=MAX_ENTRIES)
        self.messages: deque[MessageEvent] = deque(maxlen=MAX_ENTRIES)
        self.counters: deque[CounterUse] = deque(maxlen=MAX_ENTRIES)
        self.violations: deque[Violation] = deque(maxlen=MAX_ENTRIES)
        self._holding: dict[str, Holder] = {}
        self._open: dict[str, Holder] = {}
        self._replaced: dict[str, list[Violation]] = {}
        self._used: dict[tuple[str, str, str], dict[int, int]] = {}

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def clear(self) -> None:
        """Forgets messages, counters and violations; who holds which device stays."""
        for entries in (self.messages, self.counters, self.violations):
            entries.clear()
        self._used.clear()
        self.steps.clear()
        self.counted = 0

    def summary(self) -> JournalSummary:
        return JournalSummary(
            settings=self.settings,
            steps={str(step): count for step, count in self.steps.items()},
            counters=self.counted,
            violations=len(self.violations),
        )

    # holders

    def hold(self, device: str, connection: str) -> None:
        """A connection has logged in as a device."""
        now = self._clock.now()
        for older in self._holding.values():
            if older.device == device:
                violation = self.violation(
                    ViolationKind.TWO_HOLDERS,
                    device,
                    f"{connection} logged in while {older.connection} was connected",
                    connections=[older.connection, connection],
                )
                self._replaced.setdefault(older.connection, []).append(violation)
        holder = Holder(
            device=device,
            connection=connection,
            since=now.wall,
            since_monotonic=now.monotonic,
            last_heard_monotonic=now.monotonic,
        )
        self._holding[connection] = self._open[connection] = holder
        self.holders.append(holder)

    def heard(self, connection: str) -> None:
        """The client has sent a frame."""
        holder = self._open.get(connection)
        if holder is not None:
            holder.last_heard_monotonic = self._clock.monotonic()
        for violation in self._replaced.get(connection, ()):
            violation.older_spoke_after = True

    def release(self, connection: str, reason: EndReason) -> None:
        """The connection no longer holds its device; the first reason stays."""
        holder = self._holding.pop(connection, None)
        if holder is not None:
            now = self._clock.now()
            holder.until, holder.until_monotonic, holder.end = now.wall, now.monotonic, reason

    def closed(self, connection: str) -> None:
        """The socket is gone."""
        self.release(connection, EndReason.CLOSED)
        self._replaced.pop(connection, None)
        holder = self._open.pop(connection, None)
        if holder is not None:
            holder.closed_monotonic = self._clock.monotonic()

    # messages and counters

    def message(
        self,
        step: MessageStep,
        message_id: str,
        *,
        sender: str,
        receiver: str | None = None,
        chat: str | None = None,
        detail: str | None = None,
    ) -> None:
        self.steps[step] += 1
        if self.settings.keep == "counts":
            return
        now = self._clock.now()
        event = MessageEvent(
            sequence=self._next(),
            step=step,
            message_id=message_id,
            sender=sender,
            receiver=receiver,
            chat=chat,
            at=now.wall,
            at_monotonic=now.monotonic,
            detail=detail,
        )
        self.messages.append(event)

    def counter(
        self, *, receiver: str, sender: str, kind: str, chain: str, counter: int, message_id: str, ciphertext: bytes
    ) -> None:
        """A device has sent a ciphertext under this counter."""
        self.counted += 1
        if self.settings.keep == "counts":
            return
        now = self._clock.now()
        digest = int.from_bytes(hashlib.blake2b(ciphertext, digest_size=8).digest())
        key = receiver, sender, chain
        used = self._used.pop(key, {})
        self._used[key] = used
        before = used.get(counter)
        reused, repeated = before not in (None, digest), before == digest
        used.setdefault(counter, digest)
        if len(self._used) > MAX_CHAINS:
            del self._used[next(iter(self._used))]
        use = CounterUse(
            sequence=self._next(),
            receiver=receiver,
            sender=sender,
            kind=kind,
            chain=chain,
            counter=counter,
            message_id=message_id,
            at=now.wall,
            at_monotonic=now.monotonic,
            reused=reused,
            repeated=repeated,
        )
        self.counters.append(use)
        if reused:
            detail = f"{kind} {message_id} to {receiver}: counter {counter} of chain {chain[:16]} was used before"
            self.violation(ViolationKind.COUNTER_REUSED, sender, detail)

    def violation(
        self, kind: ViolationKind, device: str | None, detail: str, connections: list[str] | None = None
    ) -> Violation:
        now = self._clock.now()
        violation = Violation(
            sequence=self._next(),
            kind=kind,
            device=device,
            detail=detail,
            at=now.wall,
            at_monotonic=now.monotonic,
            connections=connections or [],
        )
        self.violations.append(violation)
        return violation
