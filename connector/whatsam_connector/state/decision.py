"""From which state a session starts. Pure: the preparation (`prepare.py`) looks, asks `decide`, does, and asks again.

What makes it safe
- Whoever runs a session with a device stores a base under its own epoch *before* its engine starts. So the newest
  epoch in the store is the newest epoch that ran, and a local file is the newest state exactly when no later epoch
  is in the store.
- That holds while the machine runs: an engine need not wait for the disk at every change, so after a power cut a file
  may be whole and still older than what was stored. Then the store's newest base is taken, and repaired.
- A holder never has more sends than its credit that are not in its newest base. So a restore that is not proven
  clean is behind by a known number of steps at most, and the repair moves further than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from whatsam_connector.state.envelope import BaseHeader
from whatsam_connector.state.records import PrepareOutcome, RepairMode
from whatsam_core.sessions_state import BaseRef

CREDIT: Final = 32
"""Sends that may be missing in the newest base (K of the send credit)."""
STEPS: Final = 2 * CREDIT
"""Steps that a repair adds for one missing base: retries use counters too."""
MAX_GAP: Final = 8
"""Bases that may be missing before the age counts as unknown: 9 x 64 steps stay well below the jump limit."""


class Verdict(Enum):
    """What reading a base showed."""

    UNREAD = "not read yet"
    SOUND = "complete and genuine"
    DAMAGED = "cannot be used; kept"
    NEWER_ENGINE = "needs a newer engine"


@dataclass(frozen=True, slots=True)
class SeenBase:
    """A base in the store and what is known of it. `header` is set when it is sound or needs a newer engine."""

    ref: BaseRef
    verdict: Verdict = Verdict.UNREAD
    header: BaseHeader | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LocalState:
    """The file in this pod: under which epoch and boot it was prepared, and what is in it."""

    epoch: int
    boot: str
    tenant: str
    jid: str | None
    sound: bool
    machine_ran_on: bool = True
    """Whether the machine has been running since. After a power cut the file may lack what was written last."""


@dataclass(frozen=True, slots=True)
class LastHandover:
    """What the last holder recorded when it let go."""

    epoch: int
    seq: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What was assigned to this boot. `fresh`: pair anew, whatever state is kept."""

    tenant: str
    epoch: int
    boot: str
    jid: str | None
    handover: LastHandover | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Advance:
    """How the chosen state is repaired before it is used."""

    mode: RepairMode
    steps: int


@dataclass(frozen=True, slots=True)
class ReadBase:
    """The choice needs this base's content: read and check it, then ask again."""

    ref: BaseRef


@dataclass(frozen=True, slots=True)
class Plan:
    """The choice. `base` is the one to restore for RESTORED; `repair` None: exactly what the last holder left."""

    outcome: PrepareOutcome
    message: str
    base: BaseRef | None = None
    repair: Advance | None = None


def decide(claim: Claim, local: LocalState | None, bases: Sequence[SeenBase]) -> ReadBase | Plan:
    """Choose the newest complete state. `bases` newest first; the caller reads what is asked for and asks again."""
    newest = bases[0].ref if bases else None
    if newest is not None and _is_ahead(newest, claim):
        return Plan(
            PrepareOutcome.EPOCH_BEHIND,
            f"the store holds state of epoch {newest.epoch} by boot {newest.boot}; epoch {claim.epoch} was assigned",
        )
    if claim.fresh:
        return Plan(PrepareOutcome.FRESH, "a new pairing was asked for; the state in the store is kept")
    if local is not None and (plan := _local(claim, local, newest)) is not None:
        return plan
    return _from_store(claim, bases)


def same_device(one: str | None, other: str | None) -> bool:
    """Whether two addresses name one device; `user.agent:device@server` and `user:device@server` are the same."""
    return one is not None and other is not None and _device(one) == _device(other)


def _device(jid: str) -> tuple[str, str, str]:
    user, _, server = jid.partition("@")
    user, _, device = user.partition(":")
    return user.partition(".")[0], device or "0", server


def _is_ahead(newest: BaseRef, claim: Claim) -> bool:
    return newest.epoch > claim.epoch or (newest.epoch == claim.epoch and newest.boot != claim.boot)


def _local(claim: Claim, local: LocalState, newest: BaseRef | None) -> Plan | None:
    usable = (
        local.sound
        and local.tenant == claim.tenant
        and local.jid is not None
        and (claim.jid is None or same_device(local.jid, claim.jid))
        and (local.epoch < claim.epoch or (local.epoch, local.boot) == (claim.epoch, claim.boot))
    )
    if not usable:
        return None
    if newest is not None and (newest.epoch > local.epoch or not local.machine_ran_on):
        return None
    if newest is not None and newest.epoch == local.epoch and newest.boot != local.boot:
        return None
    if claim.handover is not None and claim.handover.epoch > local.epoch:
        return None
    if newest is None and (claim.epoch > local.epoch + 1 or not local.machine_ran_on):
        # Others may have run in between; what they stored is gone, so nothing says how far this file is behind.
        return Plan(
            PrepareOutcome.LOCAL,
            "the store lost the state; the local file is of unknown age, its Signal sessions are dropped",
            repair=Advance(RepairMode.DROP_SESSIONS, 0),
        )
    return Plan(PrepareOutcome.LOCAL, f"the local file of epoch {local.epoch} is the newest state")


def _from_store(claim: Claim, bases: Sequence[SeenBase]) -> ReadBase | Plan:
    for seen in bases:
        if seen.verdict is Verdict.UNREAD:
            return ReadBase(seen.ref)
        if seen.header is not None and seen.header.tenant != claim.tenant:
            return Plan(PrepareOutcome.FOREIGN_TENANT, "the state under this name belongs to another tenant")
        if seen.verdict is Verdict.NEWER_ENGINE:
            return Plan(PrepareOutcome.NEWER_ENGINE, seen.problem)
        if seen.verdict is Verdict.SOUND:
            repair, why = _repair_for(claim.handover, seen, bases)
            return Plan(PrepareOutcome.RESTORED, f"restored {seen.ref.key}: {why}", base=seen.ref, repair=repair)
    return _nothing_usable(claim, bases)


def _nothing_usable(claim: Claim, bases: Sequence[SeenBase]) -> Plan:
    if bases:
        return Plan(
            PrepareOutcome.DAMAGED, f"none of {len(bases)} stored states can be read; the newest: {bases[0].problem}"
        )
    if claim.jid is not None or (claim.handover is not None and claim.handover.seq > 0):
        return Plan(PrepareOutcome.MISSING, "a device is linked, but its state is neither in the store nor in this pod")
    return Plan(PrepareOutcome.FRESH, "no state and no device")


def _repair_for(handover: LastHandover | None, seen: SeenBase, bases: Sequence[SeenBase]) -> tuple[Advance | None, str]:
    ref, newest = seen.ref, bases[0].ref
    if (
        ref == newest
        and handover is not None
        and seen.header is not None
        and (handover.epoch, handover.seq, handover.sha256) == (ref.epoch, ref.seq, seen.header.sha256)
    ):
        return None, "exactly what the last holder handed over"
    last = (newest.epoch, newest.boot, newest.seq)
    if handover is not None and (handover.epoch, handover.seq) > (newest.epoch, newest.seq):
        # The store lost what was handed over. The boot is not in the handover; it is the epoch's only one.
        last = (handover.epoch, newest.boot, handover.seq)
    gap = last[2] - ref.seq
    if last[:2] != (ref.epoch, ref.boot) or gap > MAX_GAP:
        return Advance(RepairMode.DROP_SESSIONS, 0), "newer state is lost, so its age is unknown"
    return Advance(
        RepairMode.ADVANCE, STEPS * (gap + 1)
    ), "not proven clean" if gap == 0 else f"{gap} newer states are lost"
