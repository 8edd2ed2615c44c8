"""The witness: what must never happen, whatever else does. It sees real time and everything; nobody asks it anything.

Each law has a name; a run ends with the first one that is broken.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from safety_clock import Schedule


class Law(Enum):
    """What is promised."""

    ONE_HOLDER = "no two engines that may speak for one session at one moment"
    EPOCH_GROWS = "every assignment has an epoch that was never used, and the epoch never goes back"
    NO_USED_COUNTER = "no Signal counter of a chain is used twice"
    NEWEST_STATE = "a session goes on from the state of the epoch that ran last"
    HOLDER_WRITES = (
        "only the boot that holds a session under its epoch, or is named as its successor, writes its status"
    )
    HOLDER_ANSWERS = "a forwarded call is taken only by the boot that the session is assigned to"
    ONE_LEADER = "no two operators may write at one moment"
    EXPIRES_IN_TIME = "a Lease expires after its whole duration of an API server that answers, never earlier"
    PROOF_IS_TRUE = "a boot that is revoked because its end was proven has ended"
    UNREPAIRED_IS_NEWEST = "a state that is used as it is, without a repair, is the one in which the last engine ended"
    ENDS_ONCE = "an epoch that was handed over never runs again"
    LETS_GO_FOR_ONE_READY = (
        "a holder lets go for another one only after that one has said, in this epoch, that it is ready"
    )
    GIVEN_TO_THE_LIVING = "nobody is given a session after the leader could read that his Lease is over"
    MOVES_TO_STAY = "what moves because its worker goes does not go to one that the same rollout replaces"
    ALWAYS_HELD = (
        "while nothing else is wrong, a session that was handed over for a living successor has an engine soon"
    )
    RECOVERS = "when all faults are over, every session runs again"


class Broken(Exception):
    """A law was broken. Its text ends with what happened before."""

    def __init__(self, law: Law, text: str) -> None:
        super().__init__(f"{law.name} ({law.value}): {text}")
        self.law = law


@dataclass
class Witness:
    """All that counts."""

    clock: Schedule
    keep_story: bool = False
    story: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    """What has happened how often: a run in which nothing happens proves nothing."""
    living: set[str] = field(default_factory=set[str])
    """Boots whose container has not ended."""
    _speaking: dict[str, object] = field(default_factory=dict[str, object])
    _epochs: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    _spent: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    _ran: dict[str, int] = field(default_factory=dict[str, int])
    """The highest epoch of each session that had an engine."""
    _ready: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """Sessions and epochs in which a successor has said that it is ready."""
    _handed_over: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    def note(self, what: str, about: str = "") -> None:
        """Something happened."""
        self.counts[what] += 1
        if self.keep_story:
            self.story.append(f"{self.clock.now:8.3f}  {what:24} {about}")

    def broken(self, law: Law, text: str) -> Broken:
        """The end of the run."""
        self.note("BROKEN", f"{law.name}: {text}")
        return Broken(law, f"{text} (at {self.clock.now:.3f} s)")

    def engine_may_speak(self, session: str, engine: object, epoch: int, origin: int) -> None:
        """From now on until `engine_ended` it may log in and send. `origin`: the epoch whose state it goes on from."""
        other = self._speaking.get(session)
        if other is not None:
            raise self.broken(Law.ONE_HOLDER, f"{session}: {other} lives, and {engine} starts")
        if (session, epoch) in self._handed_over:
            raise self.broken(Law.ENDS_ONCE, f"{session}: {engine} starts, and this epoch was handed over")
        newest = self._ran.get(session, 0)
        if epoch < newest:
            raise self.broken(Law.NEWEST_STATE, f"{session}: {engine} speaks, and {newest} has run")
        if origin < newest < epoch:
            raise self.broken(
                Law.NEWEST_STATE, f"{session}: {engine} has the state of epoch {origin}; {newest} has run"
            )
        self._speaking[session] = engine
        self._ran[session] = max(newest, epoch)
        self.note("engine starts", f"{session} {engine}")

    def engine_ended(self, session: str, engine: object) -> None:
        """It is dead."""
        if self._speaking.get(session) is engine:
            del self._speaking[session]
            self.note("engine ends", f"{session} {engine}")

    def speaker(self, session: str) -> object | None:
        """The engine that may speak now."""
        return self._speaking.get(session)

    def assigned(self, session: str, before: int, after: int) -> None:
        """The stored object names a holder anew."""
        used = self._epochs.setdefault(session, {before})
        if after <= before or after in used:
            raise self.broken(Law.EPOCH_GROWS, f"{session}: assigned under epoch {after} after {before}")
        used.add(after)

    def restored(self, session: str) -> None:
        """Its object is a backup's: epochs that were used may come again, and no state of theirs may be used."""
        self._epochs.pop(session, None)
        self._ready = {one for one in self._ready if one[0] != session}
        self._handed_over = {one for one in self._handed_over if one[0] != session}

    # --- planned moves ------------------------------------------------------------------------------------------------

    def declared(self, session: str, epoch: int) -> None:
        """The stored object says that a successor is ready."""
        self._ready.add((session, epoch))
        self.note("successor ready", f"{session} epoch {epoch}")

    def lets_go(self, session: str, epoch: int, boot: str) -> None:
        """A worker that stays ends a session so that another one gets it."""
        self.note("makes way", f"{session} {boot} epoch {epoch}")
        if (session, epoch) not in self._ready:
            raise self.broken(Law.LETS_GO_FOR_ONE_READY, f"{session}: {boot} lets go of epoch {epoch} for nobody")

    def handed_over(self, session: str, epoch: int) -> None:
        """The stored object says that this epoch has ended."""
        self._handed_over.add((session, epoch))
        self.note("handed over", f"{session} epoch {epoch}")

    def unrepaired(self, session: str, chain: int, counter: int, by: object) -> None:
        """A state is about to be used as it is."""
        self.counts["unrepaired"] += 1
        if counter < self._spent.get((session, chain), 0):
            raise self.broken(
                Law.UNREPAIRED_IS_NEWEST,
                f"{session}: {by} goes on from counter {counter} of chain {chain}, and later ones were used",
            )

    def sent(self, session: str, chain: int, counter: int, by: object) -> None:
        """A message left under this counter of this chain."""
        spent = self._spent.get((session, chain), 0)
        if counter <= spent:
            raise self.broken(
                Law.NO_USED_COUNTER, f"{session}: {by} uses counter {counter} of chain {chain}; {spent} was used"
            )
        self._spent[session, chain] = counter
        self.counts["sent"] += 1
