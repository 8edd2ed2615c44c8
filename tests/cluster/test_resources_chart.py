"""The chart renders the objects of the kustomize base: both rendered by the real tools, compared one by one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_kit import find_helm
from resources_kit import ROOT

# The first run on a machine builds helm.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

CHART = ROOT / "charts/whatsam"
Objects = dict[tuple[str, str | None, str], dict[str, Any]]


@pytest.fixture(scope="module")
def helm() -> Path:
    return find_helm()


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def objects(text: str) -> Objects:
    found: Objects = {}
    for thing in yaml.safe_load_all(text):
        if thing:
            key = (thing["kind"], thing["metadata"].get("namespace"), thing["metadata"]["name"])
            assert key not in found, f"rendered twice: {key}"
            found[key] = thing
    return found


def chart(helm: Path, *arguments: str, namespace: str = "whatsam") -> Objects:
    command = (str(helm), "template", "whatsam", str(CHART), "--namespace", namespace, "--include-crds", *arguments)
    return objects(output(*command))


def test_chart_and_base_are_equal_object_by_object(helm: Path) -> None:
    kubectl = str(Path(sys.executable).parent / "kubectl")
    base = objects(output(kubectl, "kustomize", str(ROOT / "manifests/base")))
    rendered = chart(helm)
    assert sorted(rendered, key=str) == sorted(base, key=str)
    different = {key: (rendered[key], base[key]) for key in base if rendered[key] != base[key]}
    assert different == {}


def test_another_namespace_is_used_everywhere(helm: Path) -> None:
    rendered = chart(helm, namespace="elsewhere")
    assert {namespace for _, namespace, _ in rendered} == {None, "elsewhere"}
    for thing in rendered.values():
        for subject in thing.get("subjects", []):
            assert subject["namespace"] == "elsewhere"
    schema = next(thing for key, thing in rendered.items() if key[0] == "FlowSchema")
    accounts = [subject["serviceAccount"]["namespace"] for subject in schema["spec"]["rules"][0]["subjects"]]
    assert set(accounts) == {"elsewhere"}


def test_values_reach_the_objects(helm: Path) -> None:
    rendered = chart(
        helm,
        *("--set", "images.registry=registry.example.com/team/", "--set", "images.tag=9.9.9"),
        *("--set", "images.pullSecrets={one}", "--set", "operator.replicas=1", "--set", "api.service.type=NodePort"),
        *("--set", "defaultPool.create=false", "--set", "config.configMap=other"),
    )
    operator = rendered["Deployment", "whatsam", "whatsam-operator"]["spec"]
    pod = operator["template"]["spec"]
    container = pod["containers"][0]
    assert operator["replicas"] == 1
    assert container["image"] == "registry.example.com/team/whatsam/operator:9.9.9"
    assert {"name": "WHATSAM_CONNECTOR_IMAGE", "value": "registry.example.com/team/whatsam/connector:9.9.9"} in (
        container["env"]
    )
    assert container["envFrom"][0]["configMapRef"]["name"] == "other"
    assert pod["imagePullSecrets"] == [{"name": "one"}]
    assert rendered["ServiceAccount", "whatsam", "whatsam-connector"]["imagePullSecrets"] == [{"name": "one"}]
    assert rendered["Service", "whatsam", "whatsam-api"]["spec"]["type"] == "NodePort"
    assert not [key for key in rendered if key[0] == "WorkerPool"]


def test_helm_finds_no_fault(helm: Path) -> None:
    assert "0 chart(s) failed" in output(str(helm), "lint", "--strict", str(CHART))
