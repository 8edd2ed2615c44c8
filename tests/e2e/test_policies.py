"""Who may write what, tried with the tokens of real pods; and what `kubectl apply` says about bad objects."""

import base64
import ssl
from http import HTTPStatus

import httpx
import pytest

from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import KubectlError
from whatsam_local.driver.fleet import Fleet
from whatsam_local.driver.kubectl import session_manifest

pytestmark = pytest.mark.e2e


def pod_token(running: RunningCluster, pod: str) -> str:
    """A token as the pod itself has it."""
    uid = running.kubectl.json("get", "pod", pod)["metadata"]["uid"]
    return running.kubectl.token("whatsam-connector", pod, uid)


def patch_status(running: RunningCluster, name: str, token: str, status: dict[str, object]) -> httpx.Response:
    """Patch a session's status as a connector does, with a pod's token alone."""
    view = running.kubectl.json("config", "view", "--raw", "--minify")
    server = view["clusters"][0]["cluster"]
    trust = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
    return httpx.patch(
        f"{server['server']}/apis/whatsam.io/v1alpha1/namespaces/whatsam/whatsappsessions/{name}/status",
        json={"status": status},
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
        verify=trust,
        trust_env=False,
    )


def test_only_the_holder_writes_a_session_status(fleet: Fleet, running: RunningCluster) -> None:
    name = fleet.names[0]
    assignment = fleet.state(name).status.assignment
    assert assignment is not None
    other = next(worker for worker in fleet.workers() if worker != assignment.worker)

    own = patch_status(running, name, pod_token(running, assignment.worker), {"pushName": "holder"})
    assert own.status_code == HTTPStatus.OK, own.text
    strange = patch_status(running, name, pod_token(running, other), {"pushName": "stranger"})
    assert strange.status_code == HTTPStatus.FORBIDDEN, strange.text
    assert "hold" in strange.json()["message"]
    assert fleet.state(name).status.push_name != "stranger"


def test_the_holder_cannot_assign(fleet: Fleet, running: RunningCluster) -> None:
    name = fleet.names[0]
    assignment = fleet.state(name).status.assignment
    assert assignment is not None
    token = pod_token(running, assignment.worker)
    forbidden: list[dict[str, object]] = [
        {"epoch": 99},
        {"assignment": None},
        {"next": {"worker": "w", "podUID": "u", "bootId": "b", "since": "2026-01-01T00:00:00Z", "reason": "Migrate"}},
    ]
    for change in forbidden:
        answer = patch_status(running, name, token, change)
        assert answer.status_code == HTTPStatus.FORBIDDEN, answer.text
        assert "operator" in answer.json()["message"]
    assert fleet.state(name).status.assignment == assignment


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"pairing": {"method": "Code"}}, "phoneNumber"),
        ({"pairing": {"method": "Code", "phoneNumber": "+49 151"}}, "phoneNumber"),
        ({"desiredState": "Paused"}, "Running"),
        ({"deletionPolicy": "Forget"}, "Retain"),
        ({"webhook": {"url": "ftp://example.org"}}, "http"),
    ],
)
def test_bad_objects_are_refused_with_advice(running: RunningCluster, spec: dict[str, object], says: str) -> None:
    with pytest.raises(KubectlError, match=says):
        running.kubectl.apply(session_manifest("bad", "t-e2e", **spec))


def test_the_tenant_cannot_be_changed(fleet: Fleet, running: RunningCluster) -> None:
    with pytest.raises(KubectlError, match="tenant"):
        running.kubectl.run("patch", "was", fleet.names[0], "--type=merge", "-p", '{"spec":{"tenant":"other"}}')
