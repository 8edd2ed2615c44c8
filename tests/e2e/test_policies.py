"""Who may write what, tried with the tokens of real pods; and what `kubectl apply` says about bad objects."""

import json
import subprocess

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


def patch_status(running: RunningCluster, name: str, token: str, status: dict[str, object]) -> str:
    """Patch a session's status with a token alone; what kubectl said, `KubectlError` when refused."""
    config = running.kubectl.json("config", "view", "--raw", "--minify")
    anonymous = {**config, "users": [{"name": user["name"], "user": {"token": token}} for user in config["users"]]}
    file = running.layout.state / "token.kubeconfig"
    file.write_text(json.dumps(anonymous))
    command = [running.kubectl.command()[0], "--kubeconfig", str(file)]
    command += ["patch", "was", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    file.unlink()
    if done.returncode != 0:
        raise KubectlError(done.stderr)
    return done.stdout


def test_only_the_holder_writes_a_session_status(fleet: Fleet, running: RunningCluster) -> None:
    name = fleet.names[0]
    assignment = fleet.state(name).status.assignment
    assert assignment is not None
    other = next(worker for worker in fleet.workers() if worker != assignment.worker)

    assert "patched" in patch_status(running, name, pod_token(running, assignment.worker), {"pushName": "holder"})
    with pytest.raises(KubectlError, match="does not hold"):
        patch_status(running, name, pod_token(running, other), {"pushName": "stranger"})


def test_the_holder_cannot_assign(fleet: Fleet, running: RunningCluster) -> None:
    name = fleet.names[0]
    assignment = fleet.state(name).status.assignment
    assert assignment is not None
    token = pod_token(running, assignment.worker)
    with pytest.raises(KubectlError, match="operator"):
        patch_status(running, name, token, {"epoch": 99})
    with pytest.raises(KubectlError, match="operator"):
        patch_status(running, name, token, {"assignment": None})


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
