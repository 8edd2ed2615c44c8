"""The whole installation in one process: what there is, and one run of it from a seed.

`run(seed)` builds a world, lets faults happen to it, then lets it rest and looks whether everything runs again. The
witness ends the run at the moment in which a law is broken. Nothing depends on anything but seed and rules.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from safety_api import ApiServer
from safety_boot import Boot
from safety_callers import Caller
from safety_clock import START, Machine, Schedule
from safety_engine import Engine, WhatsApp
from safety_faults import Faults
from safety_keeper import NAMESPACE, POOL
from safety_laws import Broken, Law, Witness
from safety_operator import Operator
from safety_pod import Pod
from safety_rules import Rules
from safety_state import TENANT
from safety_store import Database, ObjectStore
from safety_stories import story_of
from safety_wire import Link

from whatsam_connector.http.holding import Address
from whatsam_core import names
from whatsam_core.resources import WhatsAppSession, WorkerPool
from whatsam_operator.planning.election import ElectionTimings
from whatsam_operator.planning.views import DeploymentView

SOON = 45.0
"""Real seconds; a request may take 20 of them, and one that got no answer is made again."""
CALM = 120.0
"""Real seconds after the last fault until everything must run: two Leases of the longest kind, and some starts."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    seed: int
    broken: Broken | None
    counts: dict[str, int]
    story: list[str] = field(repr=False)
    events: int = 0


class World:
    """Everything, on one schedule."""

    def __init__(self, seed: int, rules: Rules, *, story: str | None = None, keep_story: bool = False) -> None:
        self.seed = seed
        self.rules = rules
        self.schedule = Schedule(seed)
        self.chance = chance = self.schedule.chance
        self.story = story_of(chance, story)
        self.witness = Witness(self.schedule, keep_story)
        self.api = ApiServer(self.schedule, self.witness, rules)
        self.store = ObjectStore(self.schedule)
        self.whatsapp = WhatsApp()
        self.timings = chance.choice(self.story.clocks)
        self.traffic = chance.choice(((0.8, 2.5), (4.0, 15.0)))
        """Seconds between two turns of an outbox."""
        self.election = ElectionTimings()
        self.read_period = chance.choice((0.5, 1.0, 2.0))
        self.before_write: list[Callable[[Link], None]] = []
        """Faults that wait for the moment in which a leader has decided to write."""
        self.before_first_base: list[Callable[[Boot, Link], None]] = []
        """Faults that wait for the moment in which a state is about to be stored under a new claim."""
        self._boot_numbers = itertools.count(1)
        self._chains = itertools.count(2)
        self._pod_numbers = itertools.count(1)
        self._operator_numbers = itertools.count(1)
        self._models: dict[tuple[str, str], WhatsAppSession] = {}
        self.template = 1
        """Which template new pods are made from."""
        self.pool = self._make_pool()
        self.pods: list[Pod] = []
        self.operators: list[Operator] = []
        self.api.on_move.append(self._held_in_time)
        for number in range(chance.choice((1, 1, 2))):
            self._make_session(f"s{number}")
        for number in range(chance.choice((2, 2, 3))):
            self.add_pod(f"w{number}")
        for _ in range(2):
            self.add_operator()
        Caller(self).begin()

    # --- what there is ------------------------------------------------------------------------------------------------

    def machine(self) -> Machine:
        """A machine whose clock is up to a tenth too fast or too slow, and whose time of day may be anything."""
        # What may go wrong with the clocks is what lies between the hard fence and the Lease's end.
        narrow = self.timings.hard_fence * 1.2 > self.timings.lease_duration
        rate = 1.0 if narrow else self.chance.choice((1.0, self.chance.uniform(0.94, 1.08)))
        machine = Machine(self.schedule, rate)
        machine.wall_offset = self.chance.choice((0.0, self.chance.uniform(-300.0, 300.0)))
        return machine

    def add_pod(self, name: str) -> Pod:
        """What the Deployment makes; a name may come again, a UID never does."""
        pod = Pod(self, name, f"uid-{name}-{next(self._pod_numbers)}", self.machine())
        self.pods.append(pod)
        self.schedule.after(self.chance.uniform(0.0, 2.0), pod.start)
        return pod

    def deployment(self) -> DeploymentView:
        """As the operator sees it; there is no delay in this, for a delay would only be a rollout that begins later."""
        return DeploymentView(
            namespace=NAMESPACE,
            name=POOL,
            uid="uid-deployment",
            resource_version="1",
            owner_uid=self.pool.metadata.uid,
            fingerprint=None,
            replicas=3,
            status_replicas=3,
            ready_replicas=3,
            template_annotations={names.ANNOTATION_TEMPLATE: str(self.template)},
        )

    def add_operator(self) -> Operator:
        """Another operator process."""
        operator = Operator(self, f"operator-{next(self._operator_numbers)}", self.machine())
        self.operators.append(operator)
        self.schedule.after(self.chance.uniform(0.0, 2.0), operator.begin)
        return operator

    def next_boot(self) -> int:
        """Number of the next boot."""
        return next(self._boot_numbers)

    def new_chain(self) -> int:
        """A new Signal session: a chain that nobody has used."""
        return next(self._chains)

    def model(self, raw: "dict[str, object]") -> WhatsAppSession:
        """The parsed session; each version is parsed once."""
        metadata = raw["metadata"]
        key = (metadata["name"], metadata["resourceVersion"])  # type: ignore[index]  # JSON
        if key not in self._models:
            self._models[key] = WhatsAppSession.from_wire(raw)
        return self._models[key]

    def _make_pool(self) -> WorkerPool:
        duration = round(self.timings.lease_duration)
        return WorkerPool.from_wire(
            {
                "metadata": {"name": POOL, "namespace": NAMESPACE, "uid": "uid-pool", "resourceVersion": "1"},
                "spec": {"replicas": 3, "sessionsPerWorker": 5, "failover": {"leaseDuration": duration}},
            }
        )

    def _make_session(self, name: str) -> None:
        """A session that was paired and stopped long ago: it has a device, and a state in the store."""
        self.store.put(name, 1, "b0", 1, Database(1, 0))
        self.api.put_session(
            {
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "uid": f"uid-{name}",
                    "generation": 1,
                    "creationTimestamp": START.isoformat(),
                    "finalizers": [names.FINALIZER_OPERATOR],
                },
                "spec": {"tenant": TENANT},
                "status": {"epoch": 1, "jid": f"4915100000{name[1:]}:7@s.whatsapp.net", "phase": "Disconnected"},
            }
        )

    def want(self, name: str, desired: str) -> None:
        """The owner writes `spec.desiredState`."""
        self._edit(name, {}, {"desiredState": desired})

    def delete(self, name: str, policy: str) -> None:
        """The owner deletes the session."""
        asked = (START + timedelta(seconds=self.schedule.now)).isoformat()
        self._edit(name, {"deletionTimestamp": asked}, {"deletionPolicy": policy})

    def migrate(self, name: str, pod: str) -> None:
        """Somebody wants the session on that pod."""
        if (raw := self.api.sessions.get(name)) is not None:
            annotations = {**raw["metadata"].get("annotations", {}), names.ANNOTATION_MIGRATE_TO: pod}
            self._edit(name, {"annotations": annotations}, {})

    def _edit(self, name: str, metadata: dict[str, object], spec: dict[str, object]) -> None:
        if (raw := self.api.sessions.get(name)) is not None:
            generation = raw["metadata"]["generation"] + (1 if spec else 0)
            changed = {**raw["metadata"], "generation": generation, **metadata}
            self.api.put_session({**raw, "metadata": changed, "spec": {**raw["spec"], **spec}})

    def _held_in_time(self, step: str, stored: dict[str, Any]) -> None:
        """Who has let go for a successor that lives is replaced by it soon, if nothing else is wrong."""
        if step != "handed over" or not self.story.calm:
            return
        name, epoch = stored["metadata"]["name"], stored["status"]["epoch"]
        self.schedule.after(SOON, lambda: self._still_held(name, epoch))

    def _still_held(self, name: str, epoch: int) -> None:
        raw = self.api.sessions.get(name)
        if raw is None or "deletionTimestamp" in raw["metadata"] or raw["spec"].get("desiredState") == "Stopped":
            return
        named = (raw["status"].get("next") or {}).get("bootId")
        lives = any(pod.living is not None and pod.living.boot_id == named for pod in self.pods if not pod.ends)
        if raw["status"]["epoch"] == epoch and lives:
            raise self.witness.broken(Law.ALWAYS_HELD, f"{name}: handed over for {named}, and nobody got it")

    def witness_call(self, boot: Boot, address: Address) -> None:
        """A boot has taken a forwarded call."""
        self.witness.counts["calls taken"] += 1
        for name, raw in self.api.sessions.items():
            holder = (raw["status"].get("assignment") or {}).get("bootId")
            if raw["metadata"]["uid"] == address.uid and holder != boot.boot_id:
                raise self.witness.broken(
                    Law.HOLDER_ANSWERS, f"{name}: {boot.boot_id} takes a call, {holder} holds the session"
                )

    # --- a run --------------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Faults, rest, and the look at what is left."""
        events = 0
        faults = Faults(self, self.story)
        try:
            faults.plan()
            while self.schedule.now < faults.until:
                events += self.schedule.run(faults.until)
            faults.heal()
            events += self.schedule.run(faults.until + self.chance.choice((1.0, 1.0, 25.0)))
            calm_until = faults.until + CALM
            while self._not_recovered() and self.schedule.now < calm_until:
                events += self.schedule.run(self.schedule.now + 2.0)
            if (problem := self._not_recovered()) is not None:
                raise self.witness.broken(Law.RECOVERS, problem)
        except Broken as broken:
            return Outcome(self.seed, broken, dict(self.witness.counts), self.witness.story, events)
        return Outcome(self.seed, None, dict(self.witness.counts), self.witness.story, events)

    def _not_recovered(self) -> str | None:
        """Which session does not run on the boot that it is assigned to."""
        for name, raw in self.api.sessions.items():
            engine = self.witness.speaker(name)
            holder = (raw["status"].get("assignment") or {}).get("bootId")
            if not isinstance(engine, Engine) or not engine.connected or engine.runner.boot.boot_id != holder:
                return f"{name}: assigned to {holder}, runs on {engine}, phase {raw['status'].get('phase')}"
        return None


def run(seed: int, rules: Rules | None = None, *, story: str | None = None, keep_story: bool = False) -> Outcome:
    """One run. The same seed, rules and story give the same outcome; without a story the seed chooses one."""
    return World(seed, rules or Rules(), story=story, keep_story=keep_story).run()
