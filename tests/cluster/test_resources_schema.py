"""The real API server takes good objects, and refuses bad ones with a message that says what to do."""

import json
from typing import Any

import pytest
import yaml
from resources_kit import ROOT, Json, Kubectl, assignment, pool, session

pytestmark = pytest.mark.cluster

POD = {"metadata": {"name": "worker-1", "uid": "uid-1"}}
OTHER = {"metadata": {"name": "worker-2", "uid": "uid-2"}}

BAD_OBJECTS: list[tuple[str, Json, str]] = [
    ("no tenant", {**session("a"), "spec": {}}, "spec.tenant: Required value"),
    ("tenant with capitals", session("a", tenant="Acme"), "tenant may have lower-case letters"),
    ("tenant too long", session("a", tenant="a" * 64), "may not be more than 63"),
    ("no spec", {key: value for key, value in session("a").items() if key != "spec"}, "spec: Required value"),
    ("long name", session("a" * 64), "choose a shorter metadata.name"),
    ("code without number", session("a", pairing={"method": "Code"}), "set spec.pairing.phoneNumber, or use method QR"),
    (
        "number with plus",
        session("a", pairing={"method": "Code", "phoneNumber": "+491511000001"}),
        "digits only, without + or leading zeros",
    ),
    ("unknown method", session("a", pairing={"method": "SMS"}), 'supported values: "QR", "Code"'),
    ("webhook by ftp", session("a", webhook={"url": "ftp://example.com"}), "must start with https:// or http://"),
    ("webhook without host", session("a", webhook={"url": "https:///hook"}), "must start with https:// or http://"),
    ("webhook without url", session("a", webhook={"events": ["message"]}), "spec.webhook.url: Required value"),
    (
        "webhook events twice",
        session("a", webhook={"url": "https://example.com", "events": ["message", "message"]}),
        "Duplicate value",
    ),
    ("unknown state", session("a", desiredState="Paused"), 'supported values: "Running", "Stopped"'),
    ("unknown policy", session("a", deletionPolicy="Delete"), 'supported values: "Retain", "Logout"'),
    ("pool's name", session("a", poolRef={"name": "Large_Pool"}), "must be the name of a WorkerPool"),
    ("no retention", session("a", history={"retentionDays": 0}), "greater than or equal to 1"),
    ("misspelt field", session("a", tenent="acme"), 'unknown field "spec.tenent"'),
    ("pool with dots", pool("large.pool"), "at most 50 lower-case letters, digits and hyphens"),
    ("negative replicas", pool("a", replicas=-1), "greater than or equal to 0"),
    ("no capacity", pool("a", sessionsPerWorker=0), "greater than or equal to 1"),
    ("cohort too large", pool("a", cohortSize=65), "lower cohortSize or choose engine whatsmeow"),
    (
        "cohort too large for any engine",
        pool("a", engine="whatsmeow", cohortSize=201),
        "less than or equal to 200",
    ),
    (
        "autoscaling upside down",
        pool("a", autoscaling={"minReplicas": 5, "maxReplicas": 2}),
        "lower minReplicas or raise maxReplicas",
    ),
    (
        "lease too short",
        pool("a", failover={"leaseDuration": 15, "renewPeriod": 10}),
        "raise leaseDuration or lower renewPeriod",
    ),
    (
        "watermarks upside down",
        pool("a", rebalance={"lowWatermark": 90, "highWatermark": 80}),
        "lowWatermark must be less than highWatermark",
    ),
    ("unknown engine", pool("a", engine="baileys"), 'supported values: "neonize", "whatsmeow"'),
    (
        "operator's variable",
        pool("a", template={"env": [{"name": "WHATSAM_POD_UID", "value": "x"}]}),
        "remove them from template.env",
    ),
    (
        "an engine behind the pool's back",
        pool("a", template={"env": [{"name": "WHATSAM_ENGINE", "value": "neonize"}]}),
        "remove them from template.env",
    ),
    (
        "operator's label",
        pool("a", template={"labels": {"whatsam.io/pool": "b"}}),
        "remove them from template.labels",
    ),
    (
        "no quantity",
        pool("a", template={"resources": {"limits": {"memory": "much"}}}),
        "spec.template.resources.limits.memory",
    ),
]


@pytest.mark.parametrize(("thing", "says"), [case[1:] for case in BAD_OBJECTS], ids=[case[0] for case in BAD_OBJECTS])
def test_a_bad_object_is_refused_and_told_what_to_do(kubectl: Kubectl, thing: Json, says: str) -> None:
    assert says in kubectl.refusal(thing)


@pytest.mark.parametrize("sample", sorted(path.name for path in (ROOT / "manifests/samples").glob("*.yaml")))
def test_the_samples_are_accepted(kubectl: Kubectl, namespace: str, sample: str) -> None:
    kubectl("create", "-n", namespace, "-f", str(ROOT / "manifests/samples" / sample))


def test_defaults_are_filled_in(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(session("a", namespace), pool("default", namespace))
    spec = kubectl.get("was", "a", "-n", namespace)["spec"]
    assert spec == {
        "tenant": "acme",
        "poolRef": {"name": "default"},
        "desiredState": "Running",
        "deletionPolicy": "Retain",
        "pairing": {"method": "QR"},
        "history": {"enabled": False, "events": False},
        "calls": {"reject": False},
        "pacing": {"mode": "Off"},
        "media": {"download": True},
        "uncertainSends": "SendAgain",
    }
    spec = kubectl.get("wp", "default", "-n", namespace)["spec"]
    assert (spec["replicas"], spec["sessionsPerWorker"], spec["failover"]["leaseDuration"]) == (1, 50, 15)


def test_the_tenant_cannot_be_changed(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(session("a", namespace))
    said = kubectl(
        "patch", "was", "a", "-n", namespace, "--type=merge", "-p", '{"spec": {"tenant": "other"}}', check=False
    )
    assert "tenant cannot be changed: delete this session" in said


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ({"epoch": 4}, "epoch never decreases"),
        ({"epoch": None, "assignment": None}, "epoch never decreases and never disappears"),
        ({"assignment": assignment(OTHER)}, "another worker or boot needs another epoch"),
        ({"assignment": assignment(POD, "bootbbbbbb")}, "another worker or boot needs another epoch"),
    ],
    ids=["lower", "removed", "same epoch for another worker", "same epoch for another boot"],
)
def test_an_epoch_is_never_used_again(kubectl: Kubectl, namespace: str, patch: Json, says: str) -> None:
    kubectl.apply(session("a", namespace, poolRef={"name": "none"}))
    kubectl.patch_status("a", namespace, {"epoch": 5, "assignment": assignment(POD)})
    assert says in kubectl.patch_status("a", namespace, patch)
    assert kubectl.get("was", "a", "-n", namespace)["status"]["epoch"] >= 5


def test_the_whole_status_cannot_be_dropped_to_forget_the_epoch(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(session("a", namespace, poolRef={"name": "none"}))
    kubectl.patch_status("a", namespace, {"epoch": 5})
    said = kubectl(
        *("patch", "was", "a", "-n", namespace, "--subresource=status", "--type=merge", "-p", '{"status": null}'),
        check=False,
    )
    assert "epoch never decreases and never disappears" in said


def test_an_assignment_needs_an_epoch(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(session("a", namespace, poolRef={"name": "none"}))
    assert "needs an epoch" in kubectl.patch_status("a", namespace, {"assignment": assignment(POD)})


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("was.spec.tenant", "Who owns the session"),
        ("was.spec.pairing.phoneNumber", "with country code"),
        ("was.status.epoch", "Grows with every assignment"),
        ("was.status.assignment.bootId", "boot of the connector"),
        ("was.status.conditions.reason", "One CamelCase word"),
        ("wp.spec.failover.leaseDuration", "silent worker"),
        ("wp.spec.template.resources.requests", "sets aside"),
    ],
)
def test_explain_says_what_a_field_means(kubectl: Kubectl, path: str, says: str) -> None:
    assert says in " ".join(kubectl("explain", path).split())


@pytest.mark.parametrize("kind", ["was", "wp"])
def test_every_field_has_a_description(kubectl: Kubectl, kind: str) -> None:
    plural = {"was": "whatsappsessions", "wp": "workerpools"}[kind]
    definition = kubectl.get("crd", f"{plural}.whatsam.io")
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    def bare(value: Any, path: str) -> list[str]:
        found: list[str] = []
        for name, inner in value.get("properties", {}).items():
            if not inner.get("description") and f"{path}.{name}" != ".metadata":
                found.append(f"{path}.{name}")
            found += bare(inner, f"{path}.{name}")
            found += bare(inner.get("items", {}), f"{path}.{name}[]")
        return found

    assert bare(schema, "") == []


def test_a_pool_scales_with_kubectl(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(pool("a", namespace, replicas=1))
    kubectl("scale", "wp/a", "-n", namespace, "--replicas=4")
    assert kubectl.get("wp", "a", "-n", namespace)["spec"]["replicas"] == 4
    said = kubectl("scale", "wp/a", "-n", namespace, "--replicas=2000", check=False)
    assert "less than or equal to 1000" in said


def test_sessions_are_found_by_their_fields(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(
        session("a", namespace, poolRef={"name": "none"}),
        session("b", namespace, poolRef={"name": "none"}, tenant="other"),
    )
    kubectl.patch_status("a", namespace, {"epoch": 1, "assignment": assignment(POD)})

    def names(selector: str) -> list[str]:
        found = kubectl("get", "was", "-n", namespace, "-o", "name", f"--field-selector={selector}")
        return [line.rpartition("/")[2] for line in found.split()]

    assert names("spec.tenant=other") == ["b"]
    assert names("spec.poolRef.name=none") == ["a", "b"]
    assert names("status.assignment.worker=worker-1") == ["a"]
    assert names("status.next.worker=worker-1") == []
    # A running operator writes phases of its own: what counts is that the field may be asked for.
    assert names("status.phase!=Connected") == ["a", "b"]


def test_kubectl_shows_the_columns_people_need(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(session("a", namespace, poolRef={"name": "none"}))
    kubectl.patch_status("a", namespace, {"epoch": 7, "assignment": assignment(POD)})
    header, row = kubectl("get", "was", "-n", namespace, "-o", "wide").splitlines()
    assert header.split() == ["NAME", "PHASE", "WORKER", "PHONE", "POOL", "AGE", "EPOCH", "MIGRATIONS", "REASON"]
    assert "worker-1" in row
    header = kubectl("get", "was", "-n", namespace).splitlines()[0]
    assert header.split() == ["NAME", "PHASE", "WORKER", "PHONE", "POOL", "AGE"]


def test_conditions_are_one_per_type(kubectl: Kubectl, namespace: str) -> None:
    kubectl.apply(session("a", namespace, poolRef={"name": "none"}))
    condition = {
        "type": "Connected",
        "status": "True",
        "reason": "Connected",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    said = kubectl.patch_status("a", namespace, {"conditions": [condition, condition]})
    assert "Duplicate value" in said
    said = kubectl.patch_status("a", namespace, {"conditions": [{**condition, "type": "Lucky"}]})
    assert "supported values" in said


def test_the_generated_files_are_what_the_cluster_has(kubectl: Kubectl) -> None:
    for name in ("whatsappsessions", "workerpools"):
        written = yaml.safe_load((ROOT / "crds" / f"{name}.yaml").read_text())
        stored = kubectl.get("crd", f"{name}.whatsam.io")
        schema = stored["spec"]["versions"][0]["schema"]
        assert json.dumps(schema, sort_keys=True) == json.dumps(
            written["spec"]["versions"][0]["schema"], sort_keys=True
        ), "the API server dropped something"
