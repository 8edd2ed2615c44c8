"""The promise behind choice, repair, credit and start base together: no message key is ever used twice.

A world of pods, files and a store in which workers die at any moment, PUTs fail or arrive late, bases are damaged and
the store is emptied. Whoever starts must start beyond every counter that anybody used, or drop its sessions.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from test_connector_state_decision import JID, header

from whatsam_connector.shipper.retention import superseded
from whatsam_connector.state.decision import (
    CREDIT,
    Advance,
    Claim,
    LastHandover,
    LocalState,
    Plan,
    ReadBase,
    SeenBase,
    Verdict,
    decide,
)
from whatsam_connector.state.envelope import BaseHeader
from whatsam_connector.state.records import PrepareOutcome, RepairMode
from whatsam_core.sessions_state import BaseRef, base_key


@dataclass
class Stored:
    counter: int
    damaged: bool = False


@dataclass
class File:
    epoch: int
    boot: str
    counter: int


@dataclass
class Running:
    pod: str
    epoch: int
    boot: str
    counter: int
    seq: int
    unreplicated: int = 0
    in_flight: "tuple[BaseRef, int, int] | None" = None
    """A PUT: where to, which counter, how many sends came after the copy."""


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0
        self.free = 0
        """The first counter that nobody has used."""
        self.store: dict[BaseRef, Stored] = {}
        self.late: list[tuple[BaseRef, int]] = []
        self.files: dict[str, File] = {}
        self.running: Running | None = Running("a", 0, "b0", 0, 0)
        self.handover: LastHandover | None = None
        self._put(1)

    def _place(self, epoch: int, boot: str, seq: int) -> BaseRef:
        return BaseRef(epoch, seq, boot, base_key("p/", epoch, boot, seq))

    def _put(self, seq: int) -> None:
        assert self.running is not None
        holder = self.running
        self.store[self._place(holder.epoch, holder.boot, seq)] = Stored(holder.counter)
        holder.seq = seq

    @precondition(lambda self: self.running is None)
    @rule(pod=st.sampled_from("abc"), start_base=st.booleans(), skipped=st.integers(0, 2))
    def start(self, pod: str, start_base: bool, skipped: int) -> None:
        self.epoch += 1 + skipped
        boot = f"b{self.epoch}"
        file = self.files.get(pod)
        local = None if file is None else LocalState(file.epoch, file.boot, "t", JID, True)
        claim = Claim("t", self.epoch, boot, JID, self.handover)
        bases = [SeenBase(ref) for ref in sorted(self.store, reverse=True)]
        while isinstance(plan := decide(claim, local, bases), ReadBase):
            bases = [self._read(seen) if seen.ref == plan.ref else seen for seen in bases]
        if plan.outcome in (PrepareOutcome.MISSING, PrepareOutcome.DAMAGED):
            assert not any(not stored.damaged for stored in self.store.values())
            return
        counter = self._counter_of(plan, file)
        self.files[pod] = File(self.epoch, boot, counter)
        if start_base:
            self.running = Running(pod, self.epoch, boot, counter, 0)
            self._put(1)

    def _read(self, seen: SeenBase) -> SeenBase:
        if self.store[seen.ref].damaged:
            return SeenBase(seen.ref, Verdict.DAMAGED, None, "broken")
        return SeenBase(seen.ref, Verdict.SOUND, header_of(seen.ref, self.store[seen.ref].counter))

    def _counter_of(self, plan: Plan, file: File | None) -> int:
        if plan.outcome is PrepareOutcome.LOCAL:
            assert file is not None
            counter = file.counter
        else:
            assert plan.base is not None
            counter = self.store[plan.base].counter
        return self._repaired(counter, plan.repair)

    def _repaired(self, counter: int, advance: Advance | None) -> int:
        if advance is not None and advance.mode is RepairMode.DROP_SESSIONS:
            return self.free  # a new session: new keys, no counter of the old one
        return counter + (advance.steps if advance is not None else 0)

    @precondition(lambda self: self.running is not None and self.running.unreplicated < CREDIT)
    @rule(count=st.integers(1, CREDIT), retries=st.integers(0, 1))
    def send(self, count: int, retries: int) -> None:
        holder = self.running
        assert holder is not None
        for _ in range(min(count, CREDIT - holder.unreplicated)):
            holder.unreplicated += 1
            holder.counter += 1 + retries
            if holder.in_flight is not None:
                ref, counter, after = holder.in_flight
                holder.in_flight = (ref, counter, after + 1)
        self.free = max(self.free, holder.counter)
        self.files[holder.pod] = File(holder.epoch, holder.boot, holder.counter)

    @precondition(lambda self: self.running is not None and self.running.in_flight is None)
    @rule(bases=st.integers(1, 3))
    def work(self, bases: int) -> None:
        """As much as the credit allows, several times."""
        for _ in range(bases):
            self.send(CREDIT, 1)
            self.copy()
            self.put_ends("stored")

    @precondition(lambda self: self.running is not None)
    @rule(pod=st.sampled_from("abc"), also_the_store=st.booleans())
    def die_after_work_and_lose_everything_newer(self, pod: str, also_the_store: bool) -> None:
        """The rarest accidents together: worker, its file, and what it stored."""
        holder = self.running
        assert holder is not None
        if holder.in_flight is None:
            self.work(1)
        self.die("never happened")
        self.lose_pod(holder.pod)
        if also_the_store:
            self.empty_store()
        else:
            for ref, stored in self.store.items():
                stored.damaged = stored.damaged or ref.epoch == holder.epoch
        self.start(pod, True, 0)

    @precondition(lambda self: self.running is not None and self.running.in_flight is None)
    @rule()
    def copy(self) -> None:
        holder = self.running
        assert holder is not None
        holder.seq += 1
        holder.in_flight = (self._place(holder.epoch, holder.boot, holder.seq), holder.counter, 0)

    @precondition(lambda self: self.running is not None and self.running.in_flight is not None)
    @rule(end=st.sampled_from(["stored", "stored", "lost", "late", "stored, no answer"]))
    def put_ends(self, end: str) -> None:
        holder = self.running
        assert holder is not None
        assert holder.in_flight is not None
        ref, counter, after = holder.in_flight
        holder.in_flight = None
        if end.startswith("stored"):
            self.store[ref] = Stored(counter)
        if end == "stored":
            holder.unreplicated = after
            self._clean_up(holder)
        elif end == "late":
            self.late.append((ref, counter))

    def _clean_up(self, holder: Running) -> None:
        gone = superseded(
            self.store,
            [],
            epoch=holder.epoch,
            boot=holder.boot,
            stored=holder.seq,
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for ref in gone:
            del self.store[ref]

    @precondition(lambda self: self.late)
    @rule()
    def late_put_arrives(self) -> None:
        ref, counter = self.late.pop()
        self.store.setdefault(ref, Stored(counter))

    @precondition(lambda self: self.running is not None)
    @rule(put=st.sampled_from(["never happened", "arrives late"]))
    def die(self, put: str) -> None:
        holder = self.running
        assert holder is not None
        if holder.in_flight is not None and put == "arrives late":
            self.late.append(holder.in_flight[:2])
        self.running = None

    @precondition(lambda self: self.running is not None and self.running.in_flight is None)
    @rule()
    def hand_over(self) -> None:
        holder = self.running
        assert holder is not None
        self._put(holder.seq + 1)
        self.handover = LastHandover(holder.epoch, holder.seq, sha(holder.counter))
        self.running = None

    @rule(pod=st.sampled_from("abc"))
    def lose_pod(self, pod: str) -> None:
        if self.running is None or self.running.pod != pod:
            self.files.pop(pod, None)

    @precondition(lambda self: self.running is None and self.store)
    @rule(count=st.integers(1, 3))
    def damage(self, count: int) -> None:
        for ref in sorted(self.store, reverse=True)[:count]:
            self.store[ref].damaged = True

    @precondition(lambda self: self.running is None)
    @rule()
    def empty_store(self) -> None:
        self.store.clear()
        self.late.clear()

    @invariant()
    def no_counter_is_used_twice(self) -> None:
        if self.running is not None:
            assert self.running.counter >= self.free


def sha(counter: int) -> str:
    return f"sha {counter}"


def header_of(ref: BaseRef, counter: int) -> BaseHeader:
    return header(ref).model_copy(update={"sha256": sha(counter)})


World.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestWorld = World.TestCase
