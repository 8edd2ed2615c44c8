"""One term of an operator: it knows, reads the Leases, plans, and carries the plan out. A new term starts with nothing.

The counterpart of production's `LeaseReader`, `Reconciler` and `Writer`; every decision is asked of the rules. The
index is production's own.
"""

from typing import TYPE_CHECKING, Any

from safety_laws import Law
from safety_wire import Conflict, Failure, Missing, Unreachable, Watch

from whatsam_core import names
from whatsam_core.resources import Successor, WorkerPool
from whatsam_core.storage.cluster import PODS, SESSIONS
from whatsam_operator.planning import decisions as to_do
from whatsam_operator.planning.confirmation import Confirmation
from whatsam_operator.planning.decisions import Assign, Decision, DeleteLease, NameSuccessor, RevokeLease, SetStatus
from whatsam_operator.planning.lease_book import LeaseBook
from whatsam_operator.planning.moving import MoveReason
from whatsam_operator.planning.planner import named_boots, sightings
from whatsam_operator.planning.snapshot import BootKey, Moment, Snapshot
from whatsam_operator.services.index import Index
from whatsam_operator.services.knowledge import Knowledge

if TYPE_CHECKING:
    from safety_operator import Operator

WRITE_TIMEOUT = 3.0
READ_TIMEOUT = 5.0
TICK = 5.0
QUIET = 3.0


class Term:
    """Everything that an operator knows and does while it leads; a new term starts with nothing."""

    def __init__(self, operator: "Operator") -> None:
        self._operator = operator
        self.world = operator.world
        self.process = operator.process
        self.link = operator.link
        self.index = Index(self._changed)
        self.book = LeaseBook.empty()
        self._knowledge = Knowledge()
        self._under_way: set[tuple[str, ...]] = set()
        self._not_before: dict[tuple[str, ...], float] = {}
        self._confirmed: set[BootKey] = set()
        self._planned = False
        self._read_at = 0.0
        """Real time at which the last read that succeeded was sent."""
        self._reading = False
        self._read_again = False
        self._watch = Watch(self.link, self._watched)

    @property
    def current(self) -> bool:
        """Whether the term is not over."""
        return self._operator.term is self and self.process.alive

    def later(self, seconds: float, work: Any) -> None:
        """A timer that ends with the term."""
        self.process.later(seconds, lambda: work() if self.current else None)

    # --- what is known ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """First know everything, then act."""
        self.world.api.watches.append(("", self._watch))
        self._fill()

    def _fill(self) -> None:
        api, sent_at = self.world.api, self.process.steady()

        def answer(result: Any) -> None:
            if not self.current:
                return
            if isinstance(result, Failure):
                self.later(1.0, self._fill)
                return
            self._take_lists(result, sent_at)
            self._read_leases()
            self.later(TICK, self._tick)
            self.later(15.0, self._resync)

        self.link.call(lambda: (list(api.sessions.values()), list(api.pods.values())), answer, timeout=READ_TIMEOUT)

    def _resync(self) -> None:
        api, sent_at = self.world.api, self.process.steady()

        def answer(result: Any) -> None:
            if self.current and not isinstance(result, Failure):
                self._take_lists(result, sent_at)

        self.link.call(lambda: (list(api.sessions.values()), list(api.pods.values())), answer, timeout=READ_TIMEOUT)
        self.later(15.0, self._resync)

    def _take_lists(self, result: Any, sent_at: float) -> None:
        sessions, pods = result
        self.index.replace(SESSIONS, sessions, sent_at)
        self.index.replace(PODS, pods, sent_at)

    def _watched(self, news: Any) -> None:
        if not self.current:
            return
        kind, thing = news
        now = self.process.steady()
        if kind == "session":
            self.index.put(SESSIONS, thing, now)
        elif kind == "session gone":
            metadata = thing["metadata"]
            self.index.remove(SESSIONS, (metadata["namespace"], metadata["name"]), metadata["uid"])
        elif kind == "pod":
            self.index.put(PODS, thing, now)
        elif kind == "pod gone":
            metadata = thing["metadata"]
            self.index.remove(PODS, (metadata["namespace"], metadata["name"]), metadata["uid"])
        else:
            self._poke()

    def _poke(self) -> None:
        if self._reading:
            self._read_again = True
        else:
            self._read_leases(by_the_way=True)

    def _read_leases(self, *, by_the_way: bool = False) -> None:
        if self._reading:
            if not by_the_way:
                self.later(0.1, self._read_leases)
            return
        self._reading = True
        sent_at, period = self.process.steady(), self.world.read_period
        really_sent_at = self.world.schedule.now
        rules, api = self.world.rules, self.world.api

        def answer(found: Any) -> None:
            self._reading = False
            if not self.current:
                return
            now = self.process.steady()
            known = {"named": self._named(), "sent_at": sent_at, "answered_at": now, "longest_gap": period * 2.5}
            before = self.book
            if isinstance(found, Failure):
                self.book = rules.failed_read(before, known)
            else:
                self.book = rules.observe(before, found, **known)
                self._read_at = really_sent_at
            if before.read_at is None or self.book.differs(before, quiet_for=QUIET):
                self._changed()
            if self._read_again:
                self._read_again = False
                self._read_leases(by_the_way=True)

        self.link.call(api.list_leases, answer, timeout=3.0)
        if not by_the_way:
            self.later(period, self._read_leases)

    def _named(self) -> set[BootKey]:
        return named_boots(self.index.sessions.values())

    # --- planning -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._changed()
        self.later(TICK, self._tick)

    def _changed(self) -> None:
        if not self._planned:
            self._planned = True
            self.later(0.01, self._step)

    def _step(self) -> None:
        self._planned = False
        if self.book.read_at is None:
            return
        rules = self.world.rules
        now = Moment(self.process.steady(), self.process.machine.wall())
        snapshot = self._snapshot()
        self._knowledge.sightings = sightings(snapshot, now)
        boots = rules.gather(snapshot)
        pools = sorted({*snapshot.pools, *(boot.pool for boot in boots.by_key.values())})
        planned = rules.plan_losses(boots, pools, pool_uids={}, last_braked=self._knowledge.last_braked, now=now.steady)
        planned += rules.plan_sessions(snapshot, boots, now)
        for decision in rules.decided(planned):
            if decision.slot in self._under_way or self._not_before.get(decision.slot, 0.0) > now.steady:
                continue
            self._start(decision)

    def _snapshot(self) -> Snapshot:
        pool: WorkerPool = self.world.pool
        return Snapshot(
            sessions=dict(self.index.sessions),
            pools={pool.metadata.key: pool},
            pods={pod.uid: pod for pod in self.index.pods.values()},
            leases=self.book.leases,
            missing=self.book.missing,
            deployments={pool.metadata.key: self.world.deployment()},
            pending=dict(self._knowledge.pending),
            naming=dict(self._knowledge.naming),
            sightings=dict(self._knowledge.sightings),
            last_braked=dict(self._knowledge.last_braked),
        )

    # --- acting -------------------------------------------------------------------------------------------------------

    def _start(self, decision: Decision) -> None:
        if isinstance(decision, Assign):
            self._knowledge.pending[decision.target.uid] = (decision.target.key[0], decision.assignment.boot_id)
            self._witness_living(decision)
        if isinstance(decision, NameSuccessor) and decision.successor is not None:
            self._knowledge.naming[decision.target.uid] = (decision.target.key[0], decision.successor.boot_id)
            self._witness_rollout(decision.target.key[1], decision.successor)
        self._under_way.add(decision.slot)
        match decision:
            case Assign() | SetStatus():
                self._confirm(decision, decision.previous)
            case RevokeLease():
                self._revoke(decision)
            case DeleteLease():
                self._write(
                    decision, lambda: self.world.api.delete_lease(decision.target.key[1]), lambda _: None, lease=True
                )
            case to_do.RecordTakeover():
                annotations = {"whatsam.io/stream-replaced": decision.annotation}
                patch = {"metadata": {"resourceVersion": decision.resource_version, "annotations": annotations}}
                self._patch(decision, patch)
            case NameSuccessor():
                named = decision.successor
                following = None if named is None else {"preparedAt": None, **named.to_wire()}
                patch = {"metadata": {"resourceVersion": decision.resource_version}, "status": {"next": following}}
                self._patch(decision, patch)
            case to_do.ForgetMigration():
                annotations = {names.ANNOTATION_MIGRATE_TO: None}
                patch = {"metadata": {"resourceVersion": decision.resource_version, "annotations": annotations}}
                self._patch(decision, patch)
            case to_do.Finalize():
                key, uid = decision.target.key, decision.target.uid
                self._write(
                    decision,
                    lambda: self.world.api.finalize(key[1], uid),
                    lambda _: self.index.remove(SESSIONS, key, uid),
                )
            case _:
                self._finish(decision)  # stories, finalizers and pools are not part of this world

    def _confirm(self, decision: Assign | SetStatus, previous: BootKey | None) -> None:
        if previous is None or previous in self._confirmed:
            self._write_status(decision)
            return
        known, api = self.book.leases.get(previous), self.world.api
        name = f"default-{previous[1]}" if known is None else known.record.name

        def answer(found: Any) -> None:
            if isinstance(found, Failure) and not isinstance(found, Missing):
                self._failed(decision, found)
                return
            record = None if isinstance(found, Missing) else found.record
            if self.world.rules.confirm(record, missed=known is None) is not Confirmation.GONE:
                self._poke()
                self._failed(decision, Conflict("stale plan"))
                return
            self._confirmed.add(previous)
            self._write_status(decision)

        self.link.call(
            lambda: api.read_lease(name), lambda found: self._if_current(answer, found), timeout=READ_TIMEOUT
        )

    def _write_status(self, decision: Assign | SetStatus) -> None:
        conditions = [condition.to_wire() for condition in decision.conditions]
        status: dict[str, Any] = {"phase": decision.phase.value, "pairing": None, "conditions": conditions}
        if isinstance(decision, Assign):
            status |= {
                "epoch": decision.epoch,
                "assignment": decision.assignment.to_wire(),
                "migrations": decision.migrations,
            }
            if self.world.rules.takes_next_back:
                status["next"] = None
        elif decision.clear_assignment:
            status |= {"assignment": None, "next": None}
        metadata = {"resourceVersion": self.world.rules.assign_version(decision.resource_version)}
        self._patch(decision, {"metadata": metadata, "status": status})

    def _patch(self, decision: Decision, patch: dict[str, Any]) -> None:
        api, name = self.world.api, decision.target.key[1]
        self._write(
            decision,
            lambda: api.patch_session(name, patch, None),
            lambda stored: self.index.put(SESSIONS, stored, self.process.steady()),
        )

    def _revoke(self, decision: RevokeLease) -> None:
        if decision.braked:
            self._knowledge.last_braked[decision.pool] = self.process.steady()
        api, name = self.world.api, decision.target.key[1]
        version = self.world.rules.revoke_version(decision.resource_version)

        def revoked(stored: Any) -> None:
            self._confirmed.add(decision.boot)
            self.book = self.book.wrote(stored)
            self._changed()

        self._write(decision, lambda: api.revoke_lease(name, version, decision.because), revoked, lease=True)

    def _write(self, decision: Decision, work: Any, done: Any, *, lease: bool = False) -> None:
        if not self._operator.leads:
            self._finish(decision)
            return
        self._witness_leader()
        for tell in self.world.before_write:
            tell(self.link)

        def answer(result: Any) -> None:
            if isinstance(result, Failure):
                self._failed(decision, result, lease=lease)
                return
            done(result)
            self._finish(decision)

        self.link.call(work, lambda result: self._if_current(answer, result), timeout=WRITE_TIMEOUT)

    def _witness_leader(self) -> None:
        others = [one for one in self.world.operators if one is not self._operator and one.process.alive and one.leads]
        if others:
            raise self.world.witness.broken(Law.ONE_LEADER, f"{self._operator.name} and {others[0].name} may write")

    def _witness_living(self, decision: Assign) -> None:
        over = self.world.api.lease_over.get(decision.assignment.boot_id)
        if over is not None and over < self._read_at:
            where = decision.assignment
            text = f"{decision.target.key[1]} is given to {where.worker}/{where.boot_id}, whose Lease is over"
            raise self.world.witness.broken(Law.GIVEN_TO_THE_LIVING, text)

    def _witness_rollout(self, session: str, named: Successor) -> None:
        pod = next((pod for pod in self.world.pods if pod.uid == named.pod_uid), None)
        if pod is not None and named.reason == MoveReason.DRAIN and pod.template != self.world.template:
            raise self.world.witness.broken(Law.MOVES_TO_STAY, f"{session} shall move to {pod.name}, which goes next")

    def _if_current(self, answer: Any, result: Any) -> None:
        if self.current:
            answer(result)

    def _failed(self, decision: Decision, failure: Failure, *, lease: bool = False) -> None:
        """Find out what is true now; until then the slot stays taken."""
        self._not_before[decision.slot] = self.process.steady() + (0.0 if isinstance(failure, Conflict) else 0.25)
        if lease:
            self._finish(decision)
            self._poke()
            return
        api, name = self.world.api, decision.target.key[1]

        def answer(found: Any) -> None:
            if isinstance(found, Unreachable):
                self.later(0.5, lambda: self._failed(decision, failure))
                return
            if not isinstance(found, Failure):
                self.index.put(SESSIONS, found, self.process.steady())
            self._finish(decision)

        self.link.call(lambda: api.session(name), lambda found: self._if_current(answer, found), timeout=READ_TIMEOUT)

    def _finish(self, decision: Decision) -> None:
        self._under_way.discard(decision.slot)
        if isinstance(decision, Assign):
            self._knowledge.pending.pop(decision.target.uid, None)
        if isinstance(decision, NameSuccessor):
            self._knowledge.naming.pop(decision.target.uid, None)
        if isinstance(decision, (Assign, SetStatus, RevokeLease, NameSuccessor)):
            self._changed()
