"""The API server: objects with resourceVersions and preconditions, Leases, admission policies, watches.

Objects are never changed in place: a write makes a new one. Sessions and pods are JSON as on the wire, Leases are
records, because reading and writing their wire form has tests of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from safety_clock import START, Schedule
from safety_laws import Law, Witness
from safety_rules import Rules
from safety_wire import Conflict, Forbidden, Missing, Server, Watch

from whatsam_core.lease import LeaseRecord, LeaseState
from whatsam_operator.planning.lease_book import ReadLease

Json = dict[str, Any]


@dataclass(frozen=True)
class Writer:
    """Who writes, as the token says (the pod) and as only the world knows (the boot and its epoch)."""

    pod_uid: str
    boot_id: str
    epoch: int
    succeeds: bool = False
    """It writes as the successor that the object names."""


class ApiServer(Server):
    """One API server, always consistent with itself."""

    def __init__(self, schedule: Schedule, witness: Witness, rules: Rules) -> None:
        super().__init__(schedule)
        self._witness = witness
        self._rules = rules
        self._version = 100
        self.sessions: dict[str, Json] = {}
        self.pods: dict[str, Json] = {}
        self.leases: dict[str, ReadLease] = {}
        self.leader: Json | None = None
        self.watches: list[tuple[str, Watch]] = []
        self._up_since = 0.0
        self._was_up = 0.0
        self.outages = 0
        self.lease_over: dict[str, float] = {}
        """Since when the Lease of a boot is revoked, released or gone."""
        self.on_move: list[Callable[[str, Json], None]] = []
        """Faults that wait for a step of a planned move: `named`, `ready`, `handed over`, `assigned`."""
        self._lease_written: dict[str, tuple[float, int]] = {}
        """By Lease: how long the server had been up, and how often away, when it was written last."""

    # --- being there --------------------------------------------------------------------------------------------------

    def up_time(self) -> float:
        """Real seconds for which it has served."""
        return self._was_up + (0.0 if self._away else self.schedule.now - self._up_since)

    @property
    def _away(self) -> bool:
        return self.down or self.overloaded

    def go_away(self, *, overloaded: bool) -> None:
        """For everybody, or for everything but what is urgent."""
        if not self._away:
            self._was_up = self.up_time()
            self.outages += 1
        self.down, self.overloaded = self.down or not overloaded, self.overloaded or overloaded

    def come_back(self) -> None:
        """There again."""
        if self._away:
            self.down = self.overloaded = False
            self._up_since = self.schedule.now

    # --- sessions and pods --------------------------------------------------------------------------------------------

    def put_session(self, raw: Json) -> Json:
        """Store a session as it is."""
        return self._store("session", self.sessions, raw)

    def put_pod(self, raw: Json) -> Json:
        """Store a pod as it is."""
        return self._store("pod", self.pods, raw)

    def remove_pod(self, name: str) -> None:
        """The object is gone, whatever its processes do."""
        gone = self.pods.pop(name, None)
        if gone is not None:
            self._tell("pod gone", gone)

    def session(self, name: str) -> Json:
        """A fresh read."""
        if name not in self.sessions:
            raise Missing(name)
        return self.sessions[name]

    def patch_session(self, name: str, patch: Json, writer: Writer | None) -> Json:
        """A merge patch, of the status or of metadata. `writer` None: the operator, who has the verb `assign`."""
        old = self.session(name)
        metadata = dict(patch.get("metadata", {}))
        version, uid = metadata.pop("resourceVersion", None), metadata.pop("uid", None)
        if version not in (None, old["metadata"]["resourceVersion"]) or uid not in (None, old["metadata"]["uid"]):
            raise Conflict(name)
        new = merged(old, {"metadata": metadata, "status": patch.get("status", {})})
        before, after = old.get("status", {}), new.get("status", {})
        if not self._rules.admits_epoch(before.get("epoch", 0), after.get("epoch", 0)):
            raise Forbidden("CEL: the epoch never decreases")
        if writer is not None:
            admits = self._rules.admits_successor if writer.succeeds else self._rules.admits_status
            if not admits(before, after, writer.pod_uid):
                self._witness.note("status refused", f"{name} {writer.boot_id}")
                raise Forbidden("policy")
            self._check_writer(name, before, writer)
            if writer.succeeds:
                self._witness.declared(name, before["epoch"])
        elif after.get("assignment") != before.get("assignment") and after.get("assignment"):
            self._witness.assigned(name, before.get("epoch", 0), after.get("epoch", 0))
            where = after["assignment"]
            self._witness.note("assigned", f"{name} -> {where['worker']}/{where['bootId']} epoch {after['epoch']}")
        stored = self._store("session", self.sessions, new)
        self._tell_steps(name, before, stored)
        return stored

    def finalize(self, name: str, uid: str) -> None:
        """The last finalizer of a session goes, and the session with it."""
        gone = self.session(name)
        if gone["metadata"]["uid"] != uid:
            raise Conflict(name)
        del self.sessions[name]
        self._witness.note("session deleted", name)
        self._tell("session gone", gone)

    def _tell_steps(self, name: str, before: Json, stored: Json) -> None:
        after = stored.get("status", {})
        old, new = before.get("next") or {}, after.get("next") or {}
        steps = {
            "named": new.get("bootId") not in (None, old.get("bootId")),
            "ready": new.get("preparedAt") is not None and old.get("preparedAt") is None,
            "handed over": after.get("handover") not in (None, before.get("handover")),
            "assigned": bool(old) and before.get("assignment") != after.get("assignment"),
        }
        if steps["handed over"]:
            self._witness.handed_over(name, after["handover"]["epoch"])
        for step in [step for step, taken in steps.items() if taken]:
            for tell in self.on_move[:]:
                tell(step, stored)

    def _check_writer(self, name: str, before: Json, writer: Writer) -> None:
        if writer.succeeds:
            named = (before.get("next") or {}).get("bootId")
            if named != writer.boot_id:
                text = f"{name}: boot {writer.boot_id} says that it is ready, and {named} is the successor"
                raise self._witness.broken(Law.HOLDER_WRITES, text)
            return
        holder = before.get("assignment") or {}
        if (holder.get("bootId"), before.get("epoch")) != (writer.boot_id, writer.epoch):
            raise self._witness.broken(
                Law.HOLDER_WRITES,
                f"{name}: boot {writer.boot_id} (epoch {writer.epoch}) writes the status of "
                f"{holder.get('bootId')} (epoch {before.get('epoch')})",
            )

    def _store(self, kind: str, shelf: dict[str, Json], raw: Json) -> Json:
        new = {**raw, "metadata": {**raw["metadata"], "resourceVersion": self._next_version()}}
        shelf[new["metadata"]["name"]] = new
        self._tell(kind, new)
        return new

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def _tell(self, kind: str, news: Any) -> None:
        for wanted, watch in self.watches:
            if kind.startswith(wanted):
                watch.tell((kind, news))

    # --- Leases -------------------------------------------------------------------------------------------------------

    def create_lease(self, record: LeaseRecord) -> LeaseRecord:
        """Raises `Conflict` when the name is taken."""
        if record.name in self.leases:
            raise Conflict(record.name)
        return self._store_lease(ReadLease(replace(record, uid=f"uid-{record.name}"), created_at=self._now())).record

    def update_lease(self, record: LeaseRecord) -> LeaseRecord:
        """By its holder. Without a resourceVersion it replaces whatever is there."""
        known = self.read_lease(record.name)
        if record.resource_version not in ("", known.record.resource_version):
            raise Conflict(record.name)
        if not self._rules.admits_lease(known.record, record):
            raise Forbidden("policy")
        return self._store_lease(replace(known, record=replace(record, uid=known.record.uid))).record

    def read_lease(self, name: str) -> ReadLease:
        """A fresh read."""
        if name not in self.leases:
            raise Missing(name)
        return self.leases[name]

    def list_leases(self) -> list[ReadLease]:
        """A fresh list."""
        return list(self.leases.values())

    def revoke_lease(self, name: str, version: str | None, because: str) -> ReadLease:
        """By the operator."""
        known = self.read_lease(name)
        if version not in (None, known.record.resource_version):
            raise Conflict(name)
        if "not renewed" in because:
            self._check_age(known.record)
        elif known.record.boot_id in self._witness.living:
            raise self._witness.broken(Law.PROOF_IS_TRUE, f"{name} is revoked ({because}), and its boot lives")
        self._witness.note("revoked", f"{name}: {because}")
        return self._store_lease(
            replace(known, record=replace(known.record, state=LeaseState.REVOKED), revoked_because=because)
        )

    def touch_lease(self, name: str) -> None:
        """Somebody's harmless annotation."""
        if name in self.leases:
            self._store_lease(self.leases[name])

    def delete_lease(self, name: str) -> None:
        """Somebody, or the operator once nobody names it."""
        gone = self.leases.pop(name, None)
        if gone is not None:
            self.lease_over.setdefault(gone.record.boot_id, self.schedule.now)
            self._tell("lease", gone)

    def _now(self) -> datetime:
        """The API server's time of day, in whole seconds."""
        return START + timedelta(seconds=int(self.schedule.now))

    def _check_age(self, record: LeaseRecord) -> None:
        up, outages = self._lease_written[record.name]
        # An outage may add one gap between two reads; clocks run up to a tenth wrong.
        least = record.duration_seconds * 0.88 - 2.6 * (self.outages - outages)
        if self.up_time() - up < least:
            raise self._witness.broken(
                Law.EXPIRES_IN_TIME,
                f"{record.name} expired after {self.up_time() - up:.1f} s of API server; {least:.1f} s are due",
            )

    def _store_lease(self, lease: ReadLease) -> ReadLease:
        stored = replace(lease, record=replace(lease.record, resource_version=self._next_version()))
        before = self.leases.get(stored.record.name)
        self.leases[stored.record.name] = stored
        self._lease_written[stored.record.name] = (self.up_time(), self.outages)
        if stored.record.state in (LeaseState.REVOKED, LeaseState.RELEASED):
            self.lease_over.setdefault(stored.record.boot_id, self.schedule.now)
        if before is None or before.record.state is not stored.record.state:
            self._tell("lease", stored)
        return stored

    # --- the operators' own Lease -------------------------------------------------------------------------------------

    def read_leader(self) -> Json | None:
        """A fresh read."""
        return self.leader

    def write_leader(self, body: Json, *, create: bool) -> Json:
        """Create it, or replace it at the resourceVersion in `body`."""
        if create:
            if self.leader is not None:
                raise Conflict("leader")
        elif self.leader is None:
            raise Missing("leader")
        elif body["metadata"]["resourceVersion"] != self.leader["metadata"]["resourceVersion"]:
            raise Conflict("leader")
        self.leader = {**body, "metadata": {**body["metadata"], "resourceVersion": self._next_version()}}
        return self.leader


def merged(old: Any, patch: Mapping[str, Any]) -> Json:
    """RFC 7396; shares with `old` what the patch does not name."""
    new: Json = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, Mapping):
            new[key] = merged(new.get(key), value)
        else:
            new[key] = value
    return new
