"""Pure: the bodies of the Node object, its Lease and Events. `registration.py` and `events.py` send them."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from whatsam_local.node.kinds import Json

KUBELET_VERSION = "v1.36.3"
LEASE_SECONDS = 40
"""Seconds without a renewal until the node lifecycle controller may call the node lost (kubelet's value)."""


@dataclass(frozen=True)
class NodeFacts:
    """What the node says about itself and never changes while it runs."""

    name: str
    address: str
    port: int
    allocatable: Mapping[str, str]
    architecture: str
    kernel_version: str
    boot_id: str


def node_status(facts: NodeFacts, now: str, since: str) -> Json:
    """`status` of the Node; `since` is when it became Ready."""

    def condition(kind: str, status: str, reason: str) -> Json:
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": reason,
            "lastHeartbeatTime": now,
            "lastTransitionTime": since,
        }

    return {
        "capacity": dict(facts.allocatable),
        "allocatable": dict(facts.allocatable),
        "addresses": [
            {"type": "InternalIP", "address": facts.address},
            {"type": "Hostname", "address": facts.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": facts.port}},
        # with this feature the API server brings exec as WebSockets; without it the node would have to speak SPDY
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],
        "nodeInfo": {
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "containerRuntimeVersion": "process://1.0",
            "operatingSystem": "linux",
            "architecture": facts.architecture,
            "osImage": "Whatsam process node",
            "kernelVersion": facts.kernel_version,
            "machineID": facts.name,
            "systemUUID": facts.name,
            "bootID": facts.boot_id,
        },
        "conditions": [
            condition("Ready", "True", "KubeletReady"),
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        ],
    }


def node_labels(facts: NodeFacts, extra: Mapping[str, str]) -> dict[str, str]:
    """Labels every node carries, and those asked for on the command line."""
    return {
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": facts.architecture,
        **extra,
    }


def lease_spec(name: str, now: datetime.datetime) -> Json:
    """`spec` of the node's Lease."""
    return {
        "holderIdentity": name,
        "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def lease_body(name: str, node_uid: str, spec: Json) -> Json:
    """The Lease itself, owned by the Node so that it goes with it."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node_uid}
    return {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": spec}


def event_body(pod: Json, node: str, *, kind: str, reason: str, message: str, now: str) -> Json:
    """An Event about a pod. `kind` is Normal or Warning."""
    metadata = pod["metadata"]
    return {
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "type": kind,
        "reason": reason,
        "message": message[:1000],
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": "kubelet", "host": node},
        "reportingComponent": "kubelet",
        "reportingInstance": node,
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }
