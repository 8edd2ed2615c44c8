"""Each service account may do what it needs and nothing else. Asked of the real authorizer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from resources_kit import Kubectl

from whatsam_core.storage.transport import Transport

pytestmark = pytest.mark.cluster

HOME = "whatsam"
ELSEWHERE = "default"
SESSIONS = "whatsappsessions.whatsam.io"
POOLS = "workerpools.whatsam.io"
LEASES = "leases.coordination.k8s.io"
DEPLOYMENTS = "deployments.apps"
BUDGETS = "poddisruptionbudgets.policy"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"

Right = tuple[str, str, str]
"""verb, resource[/subresource], namespace ("" for all of them or for none)"""

ALLOWED: dict[str, list[Right]] = {
    "whatsam-operator": [
        *((verb, SESSIONS, "") for verb in ("get", "list", "watch", "patch", "assign")),
        ("patch", f"{SESSIONS}/status", ELSEWHERE),
        *((verb, POOLS, "") for verb in ("get", "list", "watch", "patch")),
        ("patch", f"{POOLS}/status", ELSEWHERE),
        *((verb, DEPLOYMENTS, ELSEWHERE) for verb in ("get", "list", "watch", "create", "update", "patch")),
        *((verb, BUDGETS, ELSEWHERE) for verb in ("get", "list", "watch", "create", "update", "patch")),
        *((verb, "pods", ELSEWHERE) for verb in ("get", "list", "watch", "patch")),
        *((verb, LEASES, ELSEWHERE) for verb in ("get", "list", "watch", "create", "update", "patch", "delete")),
        *((verb, "events", ELSEWHERE) for verb in ("get", "create", "patch")),
        *((verb, "nodes", "") for verb in ("get", "list", "watch")),
        ("list", "namespaces", ""),
        ("list", CRDS, ""),
    ],
    "whatsam-connector": [
        *((verb, SESSIONS, HOME) for verb in ("get", "list", "watch")),
        ("patch", f"{SESSIONS}/status", HOME),
        *((verb, LEASES, HOME) for verb in ("get", "create", "update", "patch")),
        *((verb, "events", HOME) for verb in ("get", "create", "patch")),
    ],
    "whatsam-api": [
        *((verb, SESSIONS, HOME) for verb in ("get", "list", "watch", "create", "patch", "delete")),
    ],
}

REFUSED: dict[str, list[Right]] = {
    "whatsam-operator": [
        *((verb, "secrets", HOME) for verb in ("get", "list", "watch", "create", "patch", "delete")),
        ("get", "configmaps", HOME),
        ("create", "pods", HOME),
        ("delete", "pods", HOME),
        ("create", "pods/exec", HOME),
        ("get", "pods/log", HOME),
        ("create", SESSIONS, HOME),
        ("delete", SESSIONS, HOME),
        ("delete", POOLS, HOME),
        ("delete", DEPLOYMENTS, HOME),
        ("patch", "nodes", ""),
        ("patch", "namespaces", ""),
        ("patch", CRDS, ""),
        ("create", "serviceaccounts/token", HOME),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io", ""),
        ("patch", "validatingadmissionpolicies.admissionregistration.k8s.io", ""),
        ("impersonate", "serviceaccounts", HOME),
    ],
    "whatsam-connector": [
        ("assign", SESSIONS, HOME),
        *((verb, "secrets", HOME) for verb in ("get", "list", "watch")),
        ("get", "configmaps", HOME),
        *((verb, SESSIONS, HOME) for verb in ("create", "patch", "update", "delete")),
        *((verb, LEASES, HOME) for verb in ("list", "watch", "delete")),
        *((verb, "pods", HOME) for verb in ("get", "list", "create", "patch", "delete")),
        ("get", POOLS, HOME),
        ("patch", f"{POOLS}/status", HOME),
        ("create", "serviceaccounts/token", HOME),
        ("get", SESSIONS, ELSEWHERE),
        ("list", SESSIONS, ""),
        ("patch", f"{SESSIONS}/status", ELSEWHERE),
        ("create", LEASES, ELSEWHERE),
        ("update", LEASES, "kube-system"),
    ],
    "whatsam-api": [
        ("assign", SESSIONS, HOME),
        ("patch", f"{SESSIONS}/status", HOME),
        *((verb, "secrets", HOME) for verb in ("get", "list", "watch")),
        *((verb, LEASES, HOME) for verb in ("get", "create", "update", "patch")),
        *((verb, "pods", HOME) for verb in ("get", "list", "create", "delete")),
        ("patch", POOLS, HOME),
        ("create", "serviceaccounts/token", HOME),
        ("get", SESSIONS, ELSEWHERE),
        ("list", SESSIONS, ""),
        ("create", SESSIONS, ELSEWHERE),
    ],
}


@pytest.fixture
async def transport(kubeconfig: Path, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Transport]:
    """Needs `kubectl` so that the roles are there."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    made = await Transport.connect()
    yield made
    await made.close()


async def may(transport: Transport, account: str, right: Right) -> bool:
    verb, resource, namespace = right
    name, _, subresource = resource.partition("/")
    plural, _, group = name.partition(".")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{HOME}:{account}",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{HOME}", "system:authenticated"],
            "resourceAttributes": {
                "verb": verb,
                "group": group,
                "resource": plural,
                "subresource": subresource,
                "namespace": namespace,
            },
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return (await transport.call("POST", path, timeout=10.0, body=review))["status"]["allowed"]


@pytest.mark.parametrize("account", ALLOWED)
async def test_an_account_may_do_what_it_needs(transport: Transport, account: str) -> None:
    assert [right for right in ALLOWED[account] if not await may(transport, account, right)] == []


@pytest.mark.parametrize("account", REFUSED)
async def test_an_account_may_do_nothing_else(transport: Transport, account: str) -> None:
    assert [right for right in REFUSED[account] if await may(transport, account, right)] == []


def test_connectors_renewals_have_a_priority_of_their_own(kubectl: Kubectl) -> None:
    schema = kubectl.get("flowschema", "whatsam-leases")
    dangling = [one for one in schema["status"]["conditions"] if one["type"] == "Dangling"]
    assert [one["status"] for one in dangling] == ["False"], "the FlowSchema finds no priority level"
