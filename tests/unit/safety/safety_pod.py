"""A connector pod and the kubelet that looks after it: one container, started again and again, reported late."""

from typing import TYPE_CHECKING, Any

from safety_boot import Boot
from safety_clock import Machine
from safety_engine import Engine
from safety_keeper import NAMESPACE, POOL
from safety_state import LocalFile
from safety_store import Stored

from whatsam_core import names

if TYPE_CHECKING:
    from safety_world import World

Json = dict[str, Any]


class Pod:
    """It has a folder that outlives its containers, and at most one container at a time."""

    def __init__(self, world: "World", name: str, uid: str, machine: Machine) -> None:
        self.world = world
        self.name = name
        self.uid = uid
        self.machine = machine
        self.files: dict[str, LocalFile] = {}
        self.shelf: dict[str, Stored] = {}
        """What was read for sessions that may come here."""
        self.template = world.template
        self.cordon = ""
        """What the annotation of that name says."""
        self.deleting = False
        self._ready = False
        self.boot: Boot | None = None
        self.gone = False
        """The object does not exist any more; the processes may."""
        self.ends = False
        """Nobody starts the container again."""
        self._engines: dict[str, list[Engine]] = {}
        self._boots = 0
        self._restarts = 0
        self._started = ""
        self._due = 0.0
        self.report_late = 0.0
        """Real seconds by which the kubelet's next report is late."""
        self._last: Json | None = None
        self._container: Json = {}
        self._write_object({"waiting": {}}, ready=False)

    @property
    def living(self) -> Boot | None:
        """The boot, if its supervisor lives."""
        return self.boot if self.boot is not None and self.boot.process.alive else None

    def engines_of(self, boot: Boot) -> list[Engine]:
        """Every engine that a boot has started."""
        return self._engines.setdefault(boot.boot_id, [])

    def start(self) -> None:
        """The kubelet starts the container."""
        if self.ends or (self.boot is not None and not self.boot.over):
            return
        self._boots += 1
        self.shelf.clear()
        self.boot = Boot(self, self.world.rules.boot_id(self.name, self.world.next_boot()))
        self.world.witness.living.add(self.boot.boot_id)
        self.world.witness.note("boot", f"{self.name} {self.boot.boot_id}")
        self._started = self._second()
        state = {"running": {"startedAt": self._started}}
        self.boot.process.later(self.world.schedule.chance.uniform(0.05, 1.0), self.boot.begin)
        self._report(state, ready=True)

    def supervisor_dies(self, boot: Boot) -> None:
        """Process 1 is gone. What it has started lives until the container is torn down."""
        if not boot.process.alive:
            return
        self.world.witness.note("supervisor dies", boot.boot_id)
        boot.process.die()
        self.world.schedule.after(self.world.schedule.chance.random() * 6.0, lambda: self.container_ends(boot, 137))

    def container_ends(self, boot: Boot, code: int) -> None:
        """Everything in it is dead; now the kubelet may say so."""
        if boot.over:
            return
        boot.over = True
        self.world.witness.living.discard(boot.boot_id)
        boot.process.die()
        for engine in self.engines_of(boot):
            engine.kill()
        boot.shipping.die()
        self.world.witness.note("container ends", f"{self.name} {boot.boot_id} ({code})")
        terminated = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "startedAt": self._started,
            "finishedAt": self._second(),
        }
        self._report({"terminated": terminated}, ready=False)
        self._last = {"terminated": terminated}
        self._restarts += 1
        self.world.schedule.after(self.world.schedule.chance.uniform(0.2, 4.0), self.start)

    def lose_track(self) -> None:
        """The kubelet reports an end that it does not know to be true."""
        if self.boot is not None and not self.boot.over:
            unknown = {"exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": self._second()}
            self._report({"terminated": unknown}, ready=False)

    def find_again(self) -> None:
        """The kubelet has found the container that it had lost track of."""
        if self.boot is not None and not self.boot.over:
            self._report({"running": {"startedAt": self._started}}, ready=True)

    def _second(self) -> str:
        return self.machine.wall().replace(microsecond=0).isoformat()

    def _report(self, state: Json, *, ready: bool) -> None:
        container: Json = {"name": names.CONNECTOR_CONTAINER, "state": state, "restartCount": self._restarts}
        if self._last is not None:
            container["lastState"] = self._last
        chance = self.world.schedule.chance
        delay = chance.uniform(0.05, 1.0) if chance.random() < 0.8 else chance.uniform(1.0, 6.0)
        delay, self.report_late = delay + self.report_late, 0.0
        self._due = max(self._due, self.world.schedule.now + delay)
        self.world.schedule.at(self._due, lambda: self._say(container, ready=ready))

    def _say(self, container: Json, *, ready: bool) -> None:
        if self.world.api.down:
            self.world.schedule.after(1.0, lambda: self._say(container, ready=ready))
            return
        if not self.gone and self.world.api.pods.get(self.name, {}).get("metadata", {}).get("uid") == self.uid:
            self._container = container
            self._write_object(None, ready=ready)

    def annotate(self, cordon: str) -> None:
        """Somebody wants its sessions elsewhere, or not any more."""
        self.cordon = cordon
        self._say_again()

    def told_to_end(self) -> None:
        """Its object is being deleted."""
        self.ends = self.deleting = True
        self._say_again()

    def _say_again(self) -> None:
        if not self.gone and self.world.api.pods.get(self.name, {}).get("metadata", {}).get("uid") == self.uid:
            self._write_object(None, ready=self._ready)

    def _write_object(self, state: Json | None, *, ready: bool) -> None:
        if state is not None:
            self._container = {"name": names.CONNECTOR_CONTAINER, "state": state, "restartCount": 0}
        self._ready = ready
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        labels = {names.LABEL_POOL: POOL, names.LABEL_COMPONENT: names.COMPONENT_CONNECTOR}
        annotations = {names.ANNOTATION_TEMPLATE: str(self.template)}
        if self.cordon:
            annotations[names.ANNOTATION_CORDON] = self.cordon
        metadata: Json = {
            "name": self.name,
            "namespace": NAMESPACE,
            "uid": self.uid,
            "labels": labels,
            "annotations": annotations,
        }
        if self.deleting:
            metadata["deletionTimestamp"] = "2026-01-01T12:00:00Z"
        status = {"containerStatuses": [self._container], "conditions": [condition]}
        self.world.api.put_pod({"metadata": metadata, "status": status})
