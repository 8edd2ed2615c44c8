"""Pure: what the node tells the API server about a pod. `pod.py` gathers the views, `publisher.py` sends the result."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from whatsam_local.node.kinds import Json
from whatsam_local.node.restarts import RestartPolicy

OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")
"""Condition types this node writes. All others are left to whoever wrote them."""


class Phase(Enum):
    """`status.phase` of a pod."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class Exit:
    """How a container's first process ended; `at` is a Unix time, `signal` zero for a normal exit."""

    code: int
    signal: int
    at: float
    oom_killed: bool


@dataclass(frozen=True)
class ContainerView:
    """One container at one moment."""

    name: str
    image: str
    init: bool
    state: Json
    last_state: Json
    restarts: int
    ready: bool
    started: bool
    container_id: str | None
    has_run: bool

    @property
    def exit_code(self) -> int | None:
        """The exit code if the container has ended and waits for nothing."""
        return self.state.get("terminated", {}).get("exitCode")


@dataclass(frozen=True)
class PodView:
    """A pod at one moment. `others` are condition types and their status as written by anybody else."""

    containers: Sequence[ContainerView]
    init_containers: Sequence[ContainerView]
    policy: RestartPolicy
    finished: bool
    address: str | None
    host_address: str
    generation: int
    start_time: str
    qos_class: str
    readiness_gates: Sequence[str]
    others: Mapping[str, str]


def timestamp(seconds: float) -> str:
    """A Unix time as Kubernetes writes it (RFC 3339, whole seconds)."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def runtime_id(identifier: str | None) -> str:
    """A container's id as the status shows it."""
    return f"process://{identifier}"


def waiting(reason: str, message: str = "") -> Json:
    """State of a container that does not run yet, or not at the moment."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def running(started: float) -> Json:
    """State of a running container."""
    return {"running": {"startedAt": timestamp(started)}}


def terminated(end: Exit, started: float, identifier: str | None) -> Json:
    """State of a container that ran and ended. The true signal is told, though containerd leaves it out."""
    reason = "OOMKilled" if end.oom_killed else "Completed" if end.code == 0 else "Error"
    state: Json = {
        "exitCode": end.code,
        "reason": reason,
        "startedAt": timestamp(started),
        "finishedAt": timestamp(end.at),
        "containerID": runtime_id(identifier),
    }
    if end.signal:
        state["signal"] = end.signal
    return {"terminated": state}


def start_failed(message: str, at: float, identifier: str | None) -> Json:
    """State of a container that could not be started (a command that does not exist, a mount that is refused)."""
    return {
        "terminated": {
            "exitCode": 128,
            "reason": "StartError",
            "message": message,
            "startedAt": timestamp(0),
            "finishedAt": timestamp(at),
            "containerID": runtime_id(identifier),
        }
    }


def lost(known: Json, at: float) -> Json:
    """Last state of a container that was running when the runtime (in real life: the machine) died.

    No proof of death at a known time: `ContainerStatusUnknown` says so.
    """
    state: Json = {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located after a restart of the node",
        "finishedAt": timestamp(at),
        "containerID": known["containerID"],
    }
    if started := known.get("state", {}).get("running", {}).get("startedAt"):
        state["startedAt"] = started
    return {"terminated": state}


def phase_of(pod: PodView) -> Phase:
    """The pod's phase, by the rules of kubelet's `getPhase`."""
    everything = [*pod.containers, *pod.init_containers]
    initialized = all(c.exit_code == 0 for c in pod.init_containers)
    ended = pod.policy is not RestartPolicy.ALWAYS and all(c.exit_code is not None for c in pod.containers)
    if pod.finished or ended:
        return Phase.SUCCEEDED if all(c.exit_code in (0, None) for c in everything) else Phase.FAILED
    if pod.policy is RestartPolicy.NEVER and any(c.exit_code for c in pod.init_containers):
        return Phase.FAILED
    never_ran = any("waiting" in c.state and not c.last_state for c in pod.containers)
    if initialized and not never_ran and any(c.has_run or c.last_state for c in pod.containers):
        return Phase.RUNNING
    return Phase.PENDING


def container_status(view: ContainerView) -> Json:
    """One entry of `containerStatuses`."""
    status: Json = {
        "name": view.name,
        "image": view.image,
        "imageID": f"process://{view.image}",
        "state": view.state,
        "lastState": view.last_state,
        "restartCount": view.restarts,
        "ready": view.ready or (view.init and view.exit_code == 0),
        "started": view.started,
    }
    if view.container_id and "waiting" not in view.state:
        status["containerID"] = runtime_id(view.container_id)
    elif "terminated" in view.last_state:
        status["containerID"] = view.last_state["terminated"]["containerID"]
    return status


def conditions(pod: PodView, phase: Phase, before: Mapping[str, Json], now: str) -> dict[str, Json]:
    """This node's conditions by type; `lastTransitionTime` is kept from `before` where the status is the same."""
    initialized = all(c.exit_code == 0 for c in pod.init_containers)
    unready = [c.name for c in pod.containers if not c.ready]
    reason: Json = {}
    if unready:
        reason = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{' '.join(unready)}]",
        }
    if phase in (Phase.SUCCEEDED, Phase.FAILED):
        reason = {"reason": "PodCompleted" if phase is Phase.SUCCEEDED else "PodFailed"}
    gates_open = all(pod.others.get(gate) == "True" for gate in pod.readiness_gates)
    not_gated: Json = {} if gates_open else {"reason": "ReadinessGatesNotReady"}
    wanted: dict[str, tuple[bool, Json]] = {
        "PodReadyToStartContainers": (pod.address is not None and not pod.finished, {}),
        "Initialized": (initialized, {} if initialized else {"reason": "ContainersNotInitialized"}),
        "ContainersReady": (not unready, reason),
        "Ready": (not unready and gates_open, reason or not_gated),
    }
    return {
        kind: _condition(kind, ok, why, before.get(kind), generation=pod.generation, now=now)
        for kind, (ok, why) in wanted.items()
    }


def _condition(kind: str, ok: bool, why: Json, old: Json | None, *, generation: int, now: str) -> Json:
    status = "True" if ok else "False"
    changed = old["lastTransitionTime"] if old and old["status"] == status and "lastTransitionTime" in old else now
    # reason and message are sent as null where there is none: a merge would keep the old text
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": changed,
        "observedGeneration": generation,
        "reason": None,
        "message": None,
        **why,
    }


def pod_status(pod: PodView, own_conditions: Mapping[str, Json]) -> Json:
    """The `status` part of a strategic merge patch.

    Conditions merge by type, so what others wrote (DisruptionTarget, PodScheduled) stays. `podIPs` merge by address:
    without the replace directive a new address would be added to the old one, and two are refused (422).
    """
    status: Json = {
        "phase": phase_of(pod).value,
        "observedGeneration": pod.generation,
        "conditions": list(own_conditions.values()),
        "hostIP": pod.host_address,
        "hostIPs": [{"ip": pod.host_address}],
        "startTime": pod.start_time,
        "qosClass": pod.qos_class,
        "containerStatuses": [container_status(c) for c in pod.containers],
    }
    if pod.address:
        status["podIP"] = pod.address
        status["podIPs"] = [{"$patch": "replace"}, {"ip": pod.address}]
    if pod.init_containers:
        status["initContainerStatuses"] = [container_status(c) for c in pod.init_containers]
    return status


def overwritten(theirs: Sequence[Json], own_conditions: Mapping[str, Json]) -> bool:
    """Whether somebody else has changed one of this node's conditions in the object.

    The node lifecycle controller makes pods NotReady while it misses the node's Lease. A node that sends only what
    changed on its own side would never correct that, and Services would stay empty for ever.
    """
    seen = {c["type"]: c["status"] for c in theirs}
    return any(seen.get(kind) != c["status"] for kind, c in own_conditions.items())
