"""What the cluster tests of resources, policies and roles share: kubectl, tokens of pods, sessions to play with."""

import base64
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client import Configuration

from whatsam_core.storage.cluster import Cluster
from whatsam_core.storage.transport import Transport

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]


@dataclass(frozen=True)
class Kubectl:
    """kubectl as an administrator."""

    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run it; stdout, or with `check` False stdout and stderr together."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if not check:
            return done.stdout + done.stderr
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> Json:
        """`kubectl get … -o json`."""
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, *objects: Json) -> None:
        """Apply objects."""
        self("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def create_dry(self, thing: Json) -> None:
        """Have the API server check an object that it must take; nothing is stored."""
        self("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(thing))

    def refusal(self, thing: Json) -> str:
        """What the API server says to an object that it must refuse; fails when it takes it."""
        said = self("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(thing), check=False)
        assert "created" not in said, f"accepted: {said}"
        return said

    def patch_status(self, name: str, namespace: str, patch: Json) -> str:
        """Merge patch of a session's status as an administrator; what kubectl said, refused or not."""
        return self(
            *("patch", "was", name, "-n", namespace, "--subresource=status", "--type=merge"),
            *("-p", json.dumps({"status": patch})),
            check=False,
        )


def as_token(kubeconfig: Path, token: str) -> Cluster:
    """A client with only this token: no certificate of the administrator comes along."""
    document = yaml.safe_load(kubeconfig.read_text())
    entry = document["clusters"][0]["cluster"]
    configuration = Configuration(host=entry["server"])
    configuration.api_key["BearerToken"] = f"Bearer {token}"
    if authority := entry.get("certificate-authority-data"):
        configuration.ca_cert_data = base64.b64decode(authority).decode()
    elif authority := entry.get("certificate-authority"):
        configuration.ssl_ca_cert = str(kubeconfig.parent / authority)
    if entry.get("insecure-skip-tls-verify"):
        configuration.verify_ssl = False
    if server_name := entry.get("tls-server-name"):
        configuration.tls_server_name = server_name
    return Cluster(Transport(configuration))


def pod_token(kubectl: Kubectl, namespace: str, service_account: str, pod: Json) -> str:
    """A token bound to that pod, as kubelet would mount it."""
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": 600,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            },
        },
    }
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
    return json.loads(kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(request)))["status"]["token"]


def gated_pod(name: str, namespace: str, service_account: str) -> Json:
    """A pod that exists and is never scheduled."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceAccountName": service_account,
            "schedulingGates": [{"name": "whatsam.io/never"}],
            "containers": [{"name": "connector", "image": "whatsam/none"}],
        },
    }


def session(name: str, namespace: str = "default", **spec: Any) -> Json:
    """A session's object; keyword arguments are fields of its spec."""
    return {
        "apiVersion": "whatsam.io/v1alpha1",
        "kind": "WhatsAppSession",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"tenant": "acme", **spec},
    }


def pool(name: str, namespace: str = "default", **spec: Any) -> Json:
    """A pool's object; keyword arguments are fields of its spec."""
    return {
        "apiVersion": "whatsam.io/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def assignment(pod: Json, boot: str = "bootaaaaaa") -> Json:
    """An assignment to that pod."""
    return {
        "worker": pod["metadata"]["name"],
        "podUID": pod["metadata"]["uid"],
        "bootId": boot,
        "endpoint": "http://10.0.0.1:8080",
        "since": "2026-01-01T00:00:00Z",
    }


class Workers:
    """The connectors' service account with its role, and two pods of it, in the test's namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self.namespace = namespace
        wanted = {("ServiceAccount", "whatsam-connector"), ("Role", "whatsam-connector")}
        wanted |= {("RoleBinding", "whatsam-connector")}
        rendered = yaml.safe_load_all(kubectl("kustomize", str(ROOT / "manifests/base")))
        objects = [thing for thing in rendered if (thing["kind"], thing["metadata"]["name"]) in wanted]
        assert len(objects) == 3
        for thing in objects:
            thing["metadata"]["namespace"] = namespace
            for subject in thing.get("subjects", []):
                subject["namespace"] = namespace
        kubectl.apply(*objects)
        kubectl.apply(*(gated_pod(name, namespace, "whatsam-connector") for name in ("holder", "other")))
        self.holder: Json = kubectl.get("pod", "holder", "-n", namespace)
        self.other: Json = kubectl.get("pod", "other", "-n", namespace)
        self.holder_token = pod_token(kubectl, namespace, "whatsam-connector", self.holder)
        self.other_token = pod_token(kubectl, namespace, "whatsam-connector", self.other)
