"""What the kustomize bases must hold, whoever edits them. Rendered with the real kubectl; no cluster needed."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from whatsam_core import names

ROOT = Path(__file__).resolve().parents[3]
Json = dict[str, Any]
CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "FlowSchema",
    "Namespace",
    "PriorityLevelConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


def render(folder: str) -> list[Json]:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(ROOT / folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module")
def base() -> list[Json]:
    return render("manifests/base")


@pytest.fixture(scope="module")
def local() -> list[Json]:
    return render("manifests/overlays/local")


def of_kind(objects: list[Json], *kinds: str) -> list[Json]:
    found = [thing for thing in objects if thing["kind"] in kinds]
    assert found, kinds
    return found


def test_every_object_is_in_its_namespace_and_labelled(base: list[Json]) -> None:
    for thing in base:
        expected = None if thing["kind"] in CLUSTER_SCOPED else "whatsam"
        assert thing["metadata"].get("namespace") == expected, thing["metadata"]["name"]
        assert thing["metadata"]["labels"]["app.kubernetes.io/part-of"] == "whatsam"


def test_no_role_has_wildcards_or_reads_secrets_but_the_proxies(base: list[Json]) -> None:
    for role in of_kind(base, "Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"], role["metadata"]["name"]
            if "secrets" in rule["resources"]:
                assert role["metadata"]["name"] == "whatsam-connector"
                assert (rule["verbs"], rule["resourceNames"]) == (["get"], ["whatsam-proxies"])


def test_only_the_operator_may_assign(base: list[Json]) -> None:
    assigning = {
        role["metadata"]["name"]
        for role in of_kind(base, "Role", "ClusterRole")
        for rule in role["rules"]
        if "assign" in rule["verbs"]
    }
    assert assigning == {"whatsam-operator"}


def test_bindings_name_roles_and_accounts_that_exist(base: list[Json]) -> None:
    accounts = {thing["metadata"]["name"] for thing in of_kind(base, "ServiceAccount")}
    roles = {(thing["kind"], thing["metadata"]["name"]) for thing in of_kind(base, "Role", "ClusterRole")}
    for binding in of_kind(base, "RoleBinding", "ClusterRoleBinding"):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        for subject in binding["subjects"]:
            assert subject["name"] in accounts
            assert subject["namespace"] == "whatsam"


def test_policies_are_bound_and_deny(base: list[Json]) -> None:
    policies = {thing["metadata"]["name"] for thing in of_kind(base, "ValidatingAdmissionPolicy")}
    bound = {
        thing["spec"]["policyName"]: thing["spec"]["validationActions"]
        for thing in of_kind(base, "ValidatingAdmissionPolicyBinding")
    }
    assert bound == {policy: ["Deny"] for policy in policies}
    for policy in of_kind(base, "ValidatingAdmissionPolicy"):
        # A policy that lets pass what it could not judge would be no fence.
        assert policy["spec"]["failurePolicy"] == "Fail"
        assert all(validation["message"] for validation in policy["spec"]["validations"])


def test_pods_run_restricted(base: list[Json]) -> None:
    for deployment in of_kind(base, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert {"readinessProbe", "livenessProbe"} <= set(container)
            assert "memory" in container["resources"]["limits"]


def test_selectors_find_their_pods(base: list[Json]) -> None:
    pods = {
        thing["metadata"]["name"]: thing["spec"]["template"]["metadata"]["labels"]
        for thing in of_kind(base, "Deployment")
    }
    for thing in of_kind(base, "Deployment", "PodDisruptionBudget", "Service"):
        selector = thing["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        assert selector.items() <= pods[thing["metadata"]["name"]].items()


def test_names_are_the_ones_the_parts_use(base: list[Json]) -> None:
    resource_groups = {
        group for role in of_kind(base, "ClusterRole", "Role") for rule in role["rules"] for group in rule["apiGroups"]
    }
    assert names.GROUP in resource_groups
    text = yaml.safe_dump_all(of_kind(base, "ValidatingAdmissionPolicy"), width=10_000)
    for name in (
        names.FINALIZER_OPERATOR,
        names.LABEL_TENANT,
        names.LEASE_POD_UID,
        names.LEASE_BOOT_ID,
        names.LEASE_STATE,
        names.COMPONENT_CONNECTOR_LEASE,
    ):
        assert name in text, name


def test_the_api_shows_connectors_a_token_for_them_alone(base: list[Json]) -> None:
    api = next(thing for thing in of_kind(base, "Deployment") if thing["metadata"]["name"] == "whatsam-api")
    pod = api["spec"]["template"]["spec"]
    volume = next(one for one in pod["volumes"] if one["name"] == "connector-token")
    token = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert token["audience"] == names.CONNECTOR_AUDIENCE
    container = pod["containers"][0]
    mount = next(one for one in container["volumeMounts"] if one["name"] == "connector-token")
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["WHATSAM_CONNECTOR_TOKEN_FILE"] == f"{mount['mountPath']}/{token['path']}"


def test_images_carry_the_version_of_the_distribution(base: list[Json]) -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((ROOT / "charts/whatsam/Chart.yaml").read_text())
    images = {
        container["image"]
        for thing in of_kind(base, "Deployment")
        for container in thing["spec"]["template"]["spec"]["containers"]
    }
    assert images == {f"whatsam/operator:{version}", f"whatsam/api:{version}"}
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_local_overlay_makes_its_namespace_and_stays_small(local: list[Json]) -> None:
    assert [thing["metadata"]["name"] for thing in of_kind(local, "Namespace")] == ["whatsam"]
    assert {thing["spec"]["replicas"] for thing in of_kind(local, "Deployment")} == {1}
    (pool,) = of_kind(local, "WorkerPool")
    assert (pool["metadata"]["name"], pool["spec"]["replicas"]) == ("default", 2)
