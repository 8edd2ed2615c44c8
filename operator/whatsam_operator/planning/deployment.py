"""What the operator renders for a pool: its Deployment and its PodDisruptionBudget. Called by `pools`."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from whatsam_core import names
from whatsam_core.resources import WorkerPool
from whatsam_operator.planning import grace
from whatsam_operator.planning.views import ANNOTATION_FINGERPRINT, RESTARTED_AT, BudgetView, DeploymentView

Json = dict[str, Any]

STATE_DIR = "/var/lib/whatsam"
PORT = 8080
IMAGE_USER = 10001
"""User and group of the images, as the Dockerfile sets them."""
_FENCE_PARTS = {"soft": 10 / 15, "hard": 12 / 15}
"""Where the fences lie within the lease duration (the defaults are 10, 12 and 15 s)."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What the rendering needs besides the pool."""

    connector_image: str
    """For pools that name none."""
    config_map: str = "whatsam-config"
    secret: str = "whatsam-connector"  # noqa: S105 - the name of a Secret, not its value
    service_account: str = "whatsam-connector"


def selector(pool: str) -> dict[str, str]:
    """Labels that select the pods of a pool."""
    return {names.LABEL_POOL: pool, names.LABEL_COMPONENT: names.COMPONENT_CONNECTOR}


def selector_text(pool: str) -> str:
    """The same as the text of a label selector, for `status.selector`."""
    return ",".join(f"{label}={value}" for label, value in selector(pool).items())


def deployment(pool: WorkerPool, rendering: Rendering, known: DeploymentView | None) -> Json:
    """The pool's Deployment. What others wrote into the annotations of the known one stays.

    So does the time of the last `kubectl rollout restart`: else the next change of the pool would undo its template.
    """
    template = _pod_template(pool, rendering)
    fingerprint = _fingerprint({"template": template, "named": True})
    template["metadata"]["annotations"][names.ANNOTATION_TEMPLATE] = fingerprint
    annotations = dict(known.annotations) if known is not None else {}
    if known is not None and (restarted := known.template_annotations.get(RESTARTED_AT)):
        template["metadata"]["annotations"] = {**template["metadata"]["annotations"], RESTARTED_AT: restarted}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            **_metadata(pool),
            "annotations": {**annotations, ANNOTATION_FINGERPRINT: fingerprint},
            **({"resourceVersion": known.resource_version} if known is not None else {}),
        },
        "spec": {
            "replicas": pool.spec.replicas,
            "selector": {"matchLabels": selector(pool.metadata.name)},
            # A new worker is ready before an old one goes: each session moves once per rollout, to where it stays.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }


def budget(pool: WorkerPool, known: BudgetView | None) -> Json:
    """The pool's PodDisruptionBudget: a drain of nodes takes one worker at a time, and never waits for dead ones."""
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(pool.metadata.name)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            **_metadata(pool),
            "annotations": {ANNOTATION_FINGERPRINT: _fingerprint(spec)},
            **({"resourceVersion": known.resource_version} if known is not None else {}),
        },
        "spec": spec,
    }


def fingerprint_of(body: Json) -> str:
    """The fingerprint that a rendered object carries."""
    return body["metadata"]["annotations"][ANNOTATION_FINGERPRINT]


def _metadata(pool: WorkerPool) -> Json:
    return {
        "name": pool.metadata.name,
        "namespace": pool.metadata.namespace,
        "labels": selector(pool.metadata.name),
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.POOL_KIND,
                "name": pool.metadata.name,
                "uid": pool.metadata.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }


def _pod_template(pool: WorkerPool, rendering: Rendering) -> Json:
    wanted = pool.spec.template
    pod: Json = {
        "serviceAccountName": rendering.service_account,
        "terminationGracePeriodSeconds": grace.of_pod(pool.spec),
        # What Pod Security calls "restricted"; the group makes the volume of the sessions' files writable.
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": IMAGE_USER,
            "runAsGroup": IMAGE_USER,
            "fsGroup": IMAGE_USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(pool, rendering)],
        "volumes": [{"name": "state", "emptyDir": {}}],
    }
    if wanted.node_selector:
        pod["nodeSelector"] = dict(wanted.node_selector)
    if wanted.tolerations:
        pod["tolerations"] = list(wanted.tolerations)
    if wanted.affinity is not None:
        pod["affinity"] = wanted.affinity
    if wanted.priority_class_name is not None:
        pod["priorityClassName"] = wanted.priority_class_name
    # The operator's own labels win: the selector must go on matching.
    labels = {**wanted.labels, **selector(pool.metadata.name)}
    return {"metadata": {"labels": labels, "annotations": dict(wanted.annotations)}, "spec": pod}


def _container(pool: WorkerPool, rendering: Rendering) -> Json:
    wanted = pool.spec.template
    container: Json = {
        "name": names.CONNECTOR_CONTAINER,
        "image": wanted.image or rendering.connector_image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "envFrom": [
            {"configMapRef": {"name": rendering.config_map}},
            {"secretRef": {"name": rendering.secret}},
        ],
        "env": _environment(pool),
        "volumeMounts": [{"name": "state", "mountPath": STATE_DIR}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {
            "httpGet": {"path": "/live", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if wanted.resources is not None:
        container["resources"] = wanted.resources
    return container


def _environment(pool: WorkerPool) -> list[Json]:
    spec, failover = pool.spec, pool.spec.failover
    own: list[Json] = [
        {"name": "WHATSAM_POOL", "value": pool.metadata.name},
        {"name": "WHATSAM_POOL_UID", "value": pool.metadata.uid},
        _downward("WHATSAM_POD_NAME", "metadata.name"),
        _downward("WHATSAM_POD_UID", "metadata.uid"),
        _downward("WHATSAM_POD_IP", "status.podIP"),
        _downward("WHATSAM_NAMESPACE", "metadata.namespace"),
        {"name": "WHATSAM_STATE_DIR", "value": STATE_DIR},
        {"name": "WHATSAM_PORT", "value": str(PORT)},
        {"name": "WHATSAM_LEASE_DURATION", "value": str(failover.lease_duration)},
        {"name": "WHATSAM_RENEW_PERIOD", "value": str(failover.renew_period)},
        {"name": "WHATSAM_SOFT_FENCE", "value": _seconds(failover.lease_duration * _FENCE_PARTS["soft"])},
        {"name": "WHATSAM_HARD_FENCE", "value": _seconds(failover.lease_duration * _FENCE_PARTS["hard"])},
        {"name": "WHATSAM_SESSIONS_PER_WORKER", "value": str(spec.sessions_per_worker)},
        {"name": "WHATSAM_COHORT_SIZE", "value": str(spec.cohort_size)},
        {"name": "WHATSAM_MAX_CONCURRENT_STARTS", "value": str(failover.max_concurrent_starts)},
        {"name": "WHATSAM_SHUTDOWN_GRACE", "value": str(grace.of_connector(spec))},
        {"name": "WHATSAM_ENGINE", "value": spec.engine.value},
    ]
    # What the platform team names in the pool wins over the operator's own.
    chosen = {variable.name for variable in spec.template.env}
    return [
        *(variable for variable in own if variable["name"] not in chosen),
        *(variable.to_wire() for variable in spec.template.env),
    ]


def _downward(name: str, path: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _seconds(value: float) -> str:
    return f"{round(value, 3):g}"


def _fingerprint(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]
