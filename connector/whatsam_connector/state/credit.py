"""How many messages may leave before the store has the state that belongs to them. Pure; the outbox asks it.

Two rules make the repair after a lost worker a guarantee (`decision.py`): at most K sends are missing in the newest
base, and no answer leaves before the store has the ratchet key that came with the last inbound message.
Instants are CLOCK_MONOTONIC seconds.
"""

from collections.abc import Hashable
from enum import Enum

from whatsam_connector.state.decision import CREDIT


class CreditVerdict(Enum):
    """What to do with the next message."""

    SEND = "send it now"
    WAIT_FOR_REPLICA = "too many sends are not in the store yet: wait for `covered`"
    WAIT_FOR_INBOUND = "the last inbound message is not in the store yet: wait for `covered`"


class SendCredit:
    """The credit of one session in one epoch. Starts with nothing covered: the first base decides."""

    def __init__(self, limit: int = CREDIT) -> None:
        if limit < 1:
            raise ValueError("a session needs a credit of at least one send")
        self._limit = limit
        self._under_way: set[Hashable] = set()
        self._done: list[float] = []
        self._last_inbound: float | None = None
        self._covered: float | None = None

    @property
    def unreplicated(self) -> int:
        """Sends that the store may not have."""
        return len(self._under_way) + len(self._done)

    @property
    def room(self) -> int:
        """Sends that may still leave before the store must have more."""
        return max(0, self._limit - self.unreplicated)

    @property
    def running_short(self) -> bool:
        """Five eighths are used: time to ask for the store to catch up, so that nobody has to wait for it.

        Not earlier: a base is the whole database and costs more than a message. The rest lasts for longer than a store.
        """
        return 8 * self.unreplicated >= 5 * self._limit

    def sending(self, key: Hashable) -> None:
        """A message is about to be handed to the engine; from now on it may use a counter."""
        self._under_way.add(key)

    def settled(self, key: Hashable, at: float) -> None:
        """The engine answered for this message, or died: whatever it used was written before `at`."""
        if key in self._under_way:
            self._under_way.discard(key)
            self._done.append(at)

    def inbound(self, at: float) -> None:
        """An inbound message was seen at this instant; its ratchet key was written before."""
        self._last_inbound = at if self._last_inbound is None else max(self._last_inbound, at)

    def covered(self, instant: float) -> None:
        """The store has everything that was written before this instant. Older news than known changes nothing."""
        if self._covered is not None and instant <= self._covered:
            return
        self._covered = instant
        self._done = [at for at in self._done if at > instant]

    def may_send(self) -> CreditVerdict:
        """Whether one more message may be handed to the engine."""
        if self._last_inbound is not None and (self._covered is None or self._last_inbound > self._covered):
            return CreditVerdict.WAIT_FOR_INBOUND
        if self._covered is None or self.unreplicated >= self._limit:
            return CreditVerdict.WAIT_FOR_REPLICA
        return CreditVerdict.SEND
