"""Fixtures of tests that need a real API server. Each test gets a namespace of its own."""

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from resources_kit import ROOT, Kubectl, Workers


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The administrator's. `tests/conftest.py` starts a cluster when the environment names none."""
    return Path(os.environ["KUBECONFIG"])


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    """kubectl as an administrator, with this tree's CRDs and policies in the cluster."""
    run = Kubectl(kubeconfig)
    run("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))
    run("wait", "--for=condition=Established", "crd/whatsappsessions.whatsam.io", "crd/workerpools.whatsam.io")
    run("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests/base/policies"))
    if "whatsam-operator" not in run("get", "serviceaccounts", "-n", "whatsam", "-o", "name", check=False):
        run("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests/overlays/local"))
    return run


@pytest.fixture
def namespace(kubectl: Kubectl) -> Iterator[str]:
    """A namespace of its own, gone after the test together with what is in it."""
    name = f"test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def workers(kubectl: Kubectl) -> Iterator[Workers]:
    """See `Workers`. Shared, because roles and tokens take seconds to come into force: name what you make uniquely."""
    namespace = f"test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", namespace)
    made = Workers(kubectl, namespace)
    # A binding that was made a moment ago is not yet known to the authorizer.
    account = f"--as=system:serviceaccount:{namespace}:whatsam-connector"
    deadline = time.monotonic() + 20
    while "yes" not in kubectl("auth", "can-i", "list", "was", "-n", namespace, account, check=False).split():
        assert time.monotonic() < deadline, "the role of the connectors does not come into force"
    yield made
    kubectl("delete", "namespace", namespace, "--wait=false")
