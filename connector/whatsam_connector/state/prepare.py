"""The I/O around `decide`: look at local file and store, restore, repair, and claim the epoch with a start base.

The start base is stored before the engine may start. It makes the newest epoch in the store the newest epoch that ran,
and it keeps two epochs in a row from starting at the same counters.
"""

import asyncio
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from whatsam_connector.shipper.retention import KEEP_EVIDENCE, KEEP_LOST_DEVICE, mark, marks_of
from whatsam_connector.state import data_keys
from whatsam_connector.state.bases import Lineage, RestoredBase, build, digest, read
from whatsam_connector.state.data_keys import DataKey
from whatsam_connector.state.decision import (
    STEPS,
    Advance,
    Claim,
    LocalState,
    Plan,
    ReadBase,
    SeenBase,
    Verdict,
    decide,
)
from whatsam_connector.state.envelope import BaseHeader, read_header
from whatsam_connector.state.errors import (
    BaseDamaged,
    DataKeyUnusable,
    EngineTooOld,
    FormatError,
    RingKeyMissing,
    StateError,
    StateTooNew,
)
from whatsam_connector.state.keyring import KeyRing
from whatsam_connector.state.local_files import Meta, SessionFiles, machine_boot
from whatsam_connector.state.records import (
    STARTABLE,
    Prepared,
    PrepareOutcome,
    Rehearsed,
    RepairMode,
    RepairReport,
    Replicated,
    SessionIdentity,
)
from whatsam_connector.state.repair.database import RepairOrder, repair
from whatsam_connector.state.shelf import Shelf
from whatsam_connector.state.snapshot import contents, open_reader, take
from whatsam_core.sessions_state import BaseRef, bases_of
from whatsam_core.storage.objects import ObjectMissing, ObjectStore, ObjectStoreError

SUPPORTED_SCHEMA: Final = 15
"""Newest schema of whatsmeow's store that the pinned engine reads; a test holds it against a real database."""


@dataclass(frozen=True)
class Environment:
    """What the preparation works with."""

    store: ObjectStore
    ring: KeyRing
    engine: str
    supported_schema: int = SUPPORTED_SCHEMA


@dataclass(frozen=True)
class Start:
    """From what the shipper goes on after a preparation that may start an engine."""

    lineage: Lineage
    key: DataKey
    next_seq: int
    stored: Replicated | None
    jid: str | None

    def with_key(self, key: DataKey) -> Self:
        """The same start with the data key that the store turned out to hold."""
        return replace(self, key=key, lineage=replace(self.lineage, data_key=key.value))


@dataclass(frozen=True)
class _Choice:
    """What `decide` chose, and what was read for it."""

    plan: Plan
    key: DataKey | None
    listed: list[str]
    store_epoch: int | None
    damaged: list[SeenBase]
    """Stored states that cannot be used, newest first."""

    @property
    def fell_back(self) -> bool:
        """Whether something newer than the chosen state had been stored."""
        repair = self.plan.repair
        return repair is not None and (repair.mode is RepairMode.DROP_SESSIONS or repair.steps > STEPS)


@dataclass
class Preparation:
    """One preparation of one session. Use once: `await Preparation(…).run()`, then `start` for STARTABLE outcomes.

    A successor that waits for its turn calls `rehearse` instead, and makes another one when the turn comes.
    """

    environment: Environment
    identity: SessionIdentity
    claim: Claim
    prefix: str
    files: SessionFiles
    least_seq: int = 1
    """First sequence number that this boot has not tried under this epoch; a number is never used twice."""
    shelf: Shelf | None = None
    """What a rehearsal has read, and where it leaves that."""
    rehearsing: bool = False
    start: Start | None = None
    _read: dict[str, RestoredBase] = field(default_factory=dict[str, RestoredBase])

    async def run(self) -> Prepared:
        """Raises nothing foreseen: every failure is an outcome."""
        try:
            chosen = await self._choose()
            return chosen if isinstance(chosen, Prepared) else await self._carry_out(chosen)
        except (ObjectStoreError, StateError) as error:
            return Prepared(*_foreseen(error))

    async def rehearse(self) -> Rehearsed:
        """Everything that `run` looks up, reads and checks, while somebody else holds the session.

        Nothing is claimed, repaired or put in place; what was read waits on the shelf.
        """
        self.rehearsing = True
        try:
            chosen = await self._choose()
        except (ObjectStoreError, StateError) as error:
            return Rehearsed(*_foreseen(error))
        if isinstance(chosen, Prepared):
            return Rehearsed(chosen.outcome, chosen.message)
        newest = next(iter(bases_of(chosen.listed)), None)
        if chosen.plan.base is not None and chosen.plan.base != newest:
            # Its holder has what is damaged in the store: it must not let go of it.
            return Rehearsed(PrepareOutcome.DAMAGED, f"the newest stored state cannot be used: {chosen.plan.message}")
        return Rehearsed(chosen.plan.outcome, chosen.plan.message)

    async def _choose(self) -> _Choice | Prepared:
        """The state to start from, read and checked; or why there is none."""
        listed = [item.key for item in await self.environment.store.list(self.prefix)]
        bases = [SeenBase(ref) for ref in bases_of(listed)]
        epoch = bases[0].ref.epoch if bases else None
        local = await asyncio.to_thread(self._local_state)
        key: DataKey | None = None
        while isinstance(plan := decide(self.claim, local, bases), ReadBase):
            key = key or await self._find_key()
            try:
                sealed, shelved = await self._fetch(plan.ref.key)
            except ObjectMissing:
                return Prepared(
                    PrepareOutcome.UNREACHABLE,
                    f"the store lists {plan.ref.key} and does not have it",
                    store_epoch=epoch,
                )
            seen = await asyncio.to_thread(self._judge, plan.ref, sealed, key)
            if shelved and self.shelf is not None and seen.verdict is Verdict.DAMAGED:
                await asyncio.to_thread(self.shelf.clear)  # the store's own word counts: ask it
                continue
            bases = [seen if other.ref == seen.ref else other for other in bases]
        if plan.outcome not in STARTABLE:
            return Prepared(plan.outcome, plan.message, store_epoch=epoch)
        key = key or await self._find_key()
        if key is not None and key.record.tenant != self.identity.tenant:
            return Prepared(PrepareOutcome.FOREIGN_TENANT, "the data key belongs to another tenant", store_epoch=epoch)
        damaged = [seen for seen in bases if seen.verdict is Verdict.DAMAGED]
        return _Choice(plan, key, listed, epoch, damaged)

    async def _carry_out(self, chosen: _Choice) -> Prepared:
        plan = chosen.plan
        await self._keep_evidence(chosen)
        report = await asyncio.to_thread(self._put_in_place, plan)
        start = await self._claim_epoch(plan, chosen.key, chosen.listed)
        self.start = start
        message = "; ".join([plan.message, *(f"kept, but not usable: {seen.problem}" for seen in chosen.damaged)])
        return Prepared(
            plan.outcome,
            message,
            self.files.database,
            start.jid,
            chosen.store_epoch,
            report,
            fell_back=chosen.fell_back,
        )

    async def _keep_evidence(self, chosen: _Choice) -> None:
        """No clean-up may delete what is damaged. Marked before anything newer is stored that could supersede it."""
        held = marks_of(chosen.listed)
        for seen in chosen.damaged:
            if not any(item.covers(seen.ref) and item.until >= KEEP_EVIDENCE for item in held):
                kept = mark(self.prefix, seen.ref, KEEP_EVIDENCE)
                await self.environment.store.put(kept.key, b"")

    async def _fetch(self, key: str) -> tuple[bytes, bool]:
        """An object, and whether it is from the shelf. Raises `ObjectMissing`."""
        kept = None if self.shelf is None else await asyncio.to_thread(self.shelf.get, key)
        if kept is not None:
            return kept, True
        sealed = await self.environment.store.get(key)
        if self.shelf is not None and self.rehearsing:
            await asyncio.to_thread(self.shelf.put, key, sealed)
        return sealed, False

    async def _find_key(self) -> DataKey | None:
        return await data_keys.find(self.environment.store, self.environment.ring, self.prefix)

    def _local_state(self) -> LocalState | None:
        meta = self.files.read_meta()
        if meta is None:
            return None
        jid, sound = None, False
        try:
            found = self.files.inspect()
            if found is not None:
                jid, sound = found.jid, found.schema_compat <= self.environment.supported_schema
        except BaseDamaged:
            sound = False
        return LocalState(meta.epoch, meta.boot, meta.tenant, jid, sound, meta.machine == machine_boot() != "")

    def _judge(self, ref: BaseRef, sealed: bytes, key: DataKey | None) -> SeenBase:
        header: BaseHeader | None = None
        try:
            header = _header(ref.key, sealed)
            if header is not None and header.tenant != self.identity.tenant:
                # Even a forged header of another tenant only leads to a refusal.
                return SeenBase(ref, Verdict.SOUND, header)
            if key is None:
                return SeenBase(ref, Verdict.DAMAGED, None, f"{ref.key}: the session's data key is gone")
            restored = read(ref.key, sealed, key.value, self.environment.supported_schema)
        except EngineTooOld as error:
            return SeenBase(ref, Verdict.NEWER_ENGINE, header, str(error))
        except BaseDamaged as error:
            return SeenBase(ref, Verdict.DAMAGED, None, str(error))
        self._read[ref.key] = restored
        return SeenBase(ref, Verdict.SOUND, restored.header)

    def _put_in_place(self, plan: Plan) -> RepairReport | None:
        report: RepairReport | None = None
        if plan.outcome is PrepareOutcome.FRESH:
            self.files.clear()
        elif plan.outcome is PrepareOutcome.LOCAL:
            if plan.repair is not None:
                report = self._repair(self.files.database, plan.repair, "local")
        elif plan.base is not None:
            reports: list[RepairReport] = []
            ref, advance = plan.base, plan.repair

            def change(copy: Path) -> None:
                if advance is not None:
                    reports.append(self._repair(copy, advance, f"{ref.epoch}-{ref.boot}-{ref.seq}"))

            self.files.install(self._read[ref.key].image, change)
            report = reports[0] if reports else None
        found = self.files.inspect()
        self.files.write_meta(
            Meta(
                tenant=self.identity.tenant,
                session=f"{self.identity.namespace}/{self.identity.name}",
                epoch=self.claim.epoch,
                boot=self.claim.boot,
                jid=found.jid if found else None,
                machine=machine_boot(),
            )
        )
        return report

    def _repair(self, path: Path, advance: Advance, source: str) -> RepairReport:
        order = RepairOrder(self.claim.epoch, self.claim.boot, source, advance.mode, advance.steps)
        return repair(path, order, at=datetime.now(UTC))

    async def _claim_epoch(self, plan: Plan, key: DataKey | None, listed: list[str]) -> Start:
        store, ring, now = self.environment.store, self.environment.ring, datetime.now(UTC)
        if key is None:
            key = await data_keys.create(store, ring, self.prefix, self.identity.tenant, now)
        else:
            key = await data_keys.rewrapped(store, ring, self.prefix, key, now)
        lineage = Lineage(
            tenant=self.identity.tenant,
            session=f"{self.identity.namespace}/{self.identity.name}",
            uid=self.identity.uid,
            prefix=self.prefix,
            epoch=self.claim.epoch,
            boot=self.claim.boot,
            engine=self.environment.engine,
            data_key=key.value,
        )
        known, held = bases_of(listed), marks_of(listed)
        own = [ref.seq for ref in known if (ref.epoch, ref.boot) == (lineage.epoch, lineage.boot)]
        start = Start(
            lineage=lineage,
            key=key,
            next_seq=max([self.least_seq, *(seq + 1 for seq in own)]),
            stored=None,
            jid=None,
        )
        if plan.outcome is not PrepareOutcome.FRESH:
            return await self._store_start_base(start)
        if known and not any(item.covers(known[0]) for item in held):
            # The state that a new pairing replaces: kept for the case that the log-out was an error.
            kept = mark(self.prefix, known[0], now + KEEP_LOST_DEVICE)
            await store.put(kept.key, b"")
        return start

    async def _store_start_base(self, start: Start) -> Start:
        covered, seq = time.monotonic(), start.next_seq
        # Counted before it is tried: when this PUT seems to fail, it may still arrive, so its number is gone.
        self.least_seq = seq + 1
        now = datetime.now(UTC)

        def work() -> tuple[str, bytes, str, str | None]:
            with closing(open_reader(self.files.database, engine_gone=True)) as reader:
                image = take(reader)
            what = contents(image, thorough=False)
            key, sealed = build(start.lineage, seq, image, what, now)
            return key, sealed, digest(image), what.jid

        key, sealed, sha256, jid = await asyncio.to_thread(work)
        await self.environment.store.put(key, sealed)
        return replace(start, next_seq=seq + 1, stored=Replicated(seq, now, covered, sha256), jid=jid)


def _header(key: str, sealed: bytes) -> BaseHeader | None:
    """None when a newer connector seems to have written it: only the seal tells whether that is so."""
    try:
        return read_header(key, sealed)
    except StateTooNew:
        return None


def _foreseen(error: ObjectStoreError | StateError) -> tuple[PrepareOutcome, str]:
    """What a failure of a preparation comes to. Raises the error again when nobody foresaw it."""
    match error:
        case ObjectStoreError():
            return PrepareOutcome.UNREACHABLE, f"the object store does not serve: {error}"
        case RingKeyMissing():
            return PrepareOutcome.KEY_MISSING, str(error)
        case EngineTooOld():
            return PrepareOutcome.NEWER_ENGINE, str(error)
        case DataKeyUnusable() | BaseDamaged() | FormatError():
            return PrepareOutcome.DAMAGED, str(error)
        case _:
            raise error
