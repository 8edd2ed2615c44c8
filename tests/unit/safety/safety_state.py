"""A session's auth state on one boot: the preparation before an engine may start, and the shipping while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safety_store import Database, Stored
from safety_wire import Failure, Link

from whatsam_connector.state.decision import Claim, LocalState, Plan, ReadBase, SeenBase, Verdict
from whatsam_connector.state.envelope import BaseHeader
from whatsam_connector.state.records import STARTABLE, PrepareOutcome, RepairMode
from whatsam_core.resources.session import Handover, WhatsAppSession
from whatsam_core.sessions_state import BaseRef

if TYPE_CHECKING:
    from safety_boot import Boot
    from safety_session import Runner

STORE_TIMEOUT = 5.0
TENANT = "acme"


@dataclass
class LocalFile:
    """A session's file in a pod: under which claim it was prepared, and what is in it."""

    epoch: int
    boot: str
    content: Database
    origin: int
    """The epoch whose state it went on from."""


class Choice:
    """Look, decide, read. What has been read by a successor that waits lies on the pod's shelf."""

    def __init__(self, boot: "Boot", session: WhatsAppSession, epoch: int, *, rehearsing: bool) -> None:
        self._boot = boot
        self._world = boot.world
        self._link = boot.store_link
        self._name = session.metadata.name
        self._uid = session.metadata.uid
        self._jid = session.status.jid or ""
        self._rehearsing = rehearsing
        self._shelved = boot.pod.shelf.get(self._uid)
        handover = None if rehearsing else session.status.handover
        self._claim = Claim(
            tenant=TENANT,
            epoch=epoch,
            boot=boot.boot_id,
            jid=self._jid,
            handover=self._world.rules.handed_over(handover, self._shelved),
        )
        self._bases: list[SeenBase] = []
        self._read: dict[str, Stored] = {}

    def begin(self) -> None:
        """Ask for the list."""
        store = self._world.store
        self._link.call(lambda: store.list(self._name), self._seen, timeout=STORE_TIMEOUT)

    def _use(self, plan: Plan, file: LocalFile | None) -> None:
        """The choice is made."""
        raise TypeError("a choice is a rehearsal or a preparation")

    def _failed(self, outcome: PrepareOutcome) -> None:
        """There is no choice."""
        raise TypeError("a choice is a rehearsal or a preparation")

    def _seen(self, found: Any) -> None:
        if isinstance(found, Failure):
            self._failed(PrepareOutcome.UNREACHABLE)
            return
        rules = self._world.rules
        self._bases = [SeenBase(stored.ref) for stored in rules.newest_first(rules.listed(found, self._shelved))]
        self._decide()

    def _decide(self) -> None:
        file = self._boot.pod.files.get(self._uid)
        local = None if file is None else LocalState(file.epoch, file.boot, TENANT, self._jid, True)
        plan = self._world.rules.decide(self._claim, local, self._bases)
        if not isinstance(plan, ReadBase):
            self._use(plan, file)
        elif self._shelved is not None and self._shelved.ref == plan.ref:
            self._have(plan.ref, self._shelved)
        else:
            ref, store = plan.ref, self._world.store
            self._link.call(
                lambda: store.get(self._name, ref.key), lambda found: self._have(ref, found), timeout=STORE_TIMEOUT
            )

    def _have(self, ref: BaseRef, found: Any) -> None:
        if isinstance(found, Failure):
            self._failed(PrepareOutcome.UNREACHABLE)
            return
        self._read[ref.key] = found
        if self._rehearsing:
            self._boot.pod.shelf[self._uid] = found
        seen = SeenBase(ref, Verdict.SOUND, header(ref, found.content, self._jid))
        self._bases = [seen if other.ref == ref else other for other in self._bases]
        self._decide()


class Rehearsal(Choice):
    """What a successor does while somebody else holds the session: it claims nothing and puts nothing in place."""

    def __init__(self, boot: "Boot", session: WhatsAppSession, done: Callable[[bool], None]) -> None:
        super().__init__(boot, session, session.status.epoch + 1, rehearsing=True)
        self._done = done

    def _use(self, plan: Plan, file: LocalFile | None) -> None:
        newest = self._bases[0].ref if self._bases else None
        self._done(plan.outcome in STARTABLE and plan.base in (None, newest))

    def _failed(self, outcome: PrepareOutcome) -> None:
        self._done(False)


class Preparation(Choice):
    """Choose, put in place, store the start base. `done` gets the outcome; every failure is one."""

    def __init__(self, runner: "Runner", done: Callable[[PrepareOutcome, int | None], None]) -> None:
        super().__init__(runner.boot, runner.writer.session, runner.epoch, rehearsing=False)
        self._runner = runner
        self._done = done

    def _failed(self, outcome: PrepareOutcome) -> None:
        self._done(outcome, None)

    def _use(self, plan: Plan, file: LocalFile | None) -> None:
        epoch = self._bases[0].ref.epoch if self._bases else None
        if plan.outcome not in STARTABLE:
            self._done(plan.outcome, epoch)
            return
        if plan.base is not None:
            content, origin = self._read[plan.base.key].content, plan.base.epoch
        elif file is not None:
            content, origin = file.content, file.origin if file.epoch == self._claim.epoch else file.epoch
        else:
            self._done(PrepareOutcome.MISSING, epoch)
            return
        advance = plan.repair
        if advance is not None and advance.mode is RepairMode.DROP_SESSIONS:
            content = Database(self._world.new_chain(), 0)
        elif advance is not None:
            content = content.after(self._world.rules.repair_steps(advance.steps))
        else:
            self._world.witness.unrepaired(self._name, content.chain, content.counter, self._claim.boot)
        self._boot.pod.shelf.pop(self._uid, None)
        self._world.witness.note(f"prepared {plan.outcome.name}", f"{self._name} {self._claim.boot}: {plan.message}")
        file = LocalFile(self._claim.epoch, self._claim.boot, content, origin)
        self._runner.boot.pod.files[self._runner.uid] = file
        shipper = Shipper(self._runner)
        shipper.next_seq = self._runner.boot.least_seq.get((self._runner.uid, self._claim.epoch), 1)
        self._runner.shipper = shipper
        if self._world.rules.start_base:
            shipper.store(lambda stored: self._claimed(plan.outcome, epoch, stored=stored))
        else:
            self._runner.credit.covered(self._runner.boot.process.steady())
            self._done(plan.outcome, epoch)

    def _claimed(self, outcome: PrepareOutcome, epoch: int | None, *, stored: bool) -> None:
        self._done(outcome if stored else PrepareOutcome.UNREACHABLE, epoch)


class Shipper:
    """Stores what changed, under one claim. It belongs to the container: it goes on while the supervisor hangs."""

    def __init__(self, runner: "Runner") -> None:
        boot = runner.boot
        self._runner = runner
        self._world = boot.world
        self._process = boot.shipping
        self._link = Link(boot.shipping, self._world.store)
        boot.shipper_links.append(self._link)
        self._file = boot.pod.files[runner.uid]
        for tell in self._world.before_first_base[:]:
            tell(boot, self._link)
        self.next_seq = 1
        self._stored: tuple[int, Database] | None = None
        self._busy = False
        self._count = 0
        self._ended = False

    def look_for_ever(self) -> None:
        """Look whether the file has changed, again and again."""
        if self._ended:
            return
        if not self._busy and (self._stored is None or self._stored[1] != self._file.content):
            self.store(lambda _stored: None)
        elif not self._busy:
            self._tell_covered(self._process.steady())
        self._process.later(self._world.schedule.chance.uniform(0.4, 1.2), self.look_for_ever)

    def store(self, done: Callable[[bool], None]) -> None:
        """Put a copy of the file into the store under the next number."""
        content, seq, began = self._file.content, self.next_seq, self._process.steady()
        runner = self._runner
        self.next_seq = seq + 1
        runner.boot.least_seq[runner.uid, runner.epoch] = self.next_seq
        self._busy = True
        put = lambda: self._world.store.put(runner.session_name, runner.epoch, runner.boot.boot_id, seq, content)  # noqa: E731

        def answer(result: Any) -> None:
            self._busy = False
            if isinstance(result, Failure):
                done(False)
                return
            self._stored = (seq, content)
            self._count += 1
            self._tell_covered(began)
            self._clean_up()
            done(True)

        self._link.call(put, answer, timeout=STORE_TIMEOUT)

    def release(self, done: Callable[[Handover | None], None]) -> None:
        """The final state, and then nothing more."""
        if self._busy:
            self._process.later(0.1, lambda: self.release(done))
            return
        trusting = not self._world.rules.stores_before_it_lets_go
        if self._stored is not None and (trusting or self._stored[1] == self._file.content):
            self._ended = True
            seq, content = self._stored
            done(Handover(epoch=self._runner.epoch, seq=seq, sha256=content.sha256))
            return
        self.store(lambda stored: self.release(done) if stored else done(None))

    def end(self) -> None:
        """Stop looking."""
        self._ended = True

    def _tell_covered(self, instant: float) -> None:
        self._runner.boot.process.deliver(lambda: self._runner.credit.covered(instant))

    def _clean_up(self) -> None:
        runner, store, name = self._runner, self._world.store, self._runner.session_name

        def listed(found: Any) -> None:
            if isinstance(found, Failure):
                return
            gone = self._world.rules.superseded(
                [stored.ref for stored in found],
                [],
                epoch=runner.epoch,
                boot=runner.boot.boot_id,
                stored=self._count,
                now=runner.boot.machine.wall(),
            )
            keys = [ref.key for ref in gone]
            if keys:
                self._link.call(lambda: store.delete(name, keys), lambda _: None, timeout=STORE_TIMEOUT)

        if self._count % 4 == 1:
            self._link.call(lambda: store.list(name), listed, timeout=STORE_TIMEOUT)


def header(ref: BaseRef, content: Database, jid: str) -> BaseHeader:
    """What the header of such a base would say."""
    return BaseHeader.model_construct(
        tenant=TENANT, session="ns/s", jid=jid, epoch=ref.epoch, boot=ref.boot, seq=ref.seq, sha256=content.sha256
    )
