"""Installs Whatsam into the running control plane, as an administrator would: manifests, Secrets, then waiting.

Called by `up` after all parts are ready. Everything here may be repeated.
"""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import yaml

from whatsam_core.storage.objects import ObjectStore, ObjectStoreError
from whatsam_local.catalog import HOST
from whatsam_local.credentials import Credentials
from whatsam_local.doors import read_ports
from whatsam_local.errors import LocalError
from whatsam_local.kubectl import Kubectl
from whatsam_local.layout import NAMESPACE, Layout
from whatsam_local.progress import Reporter, Step

Manifest = dict[str, Any]

BUCKET = "whatsam"
_REGION = "us-east-1"
_NODE_WITHIN = 30  # seconds
_DEFINITIONS_WITHIN = 30
_DEPLOYMENTS_WITHIN = 180
_LOOK_AT_PODS_EVERY = 10
_RESTARTS = 4  # of one container, before `up` gives up on it: one or two may be the database that was not there yet
_STORE_WITHIN = 30.0
_STORE_AGAIN = 0.2
_TRIAL_KEY = ".whatsam-local"


class Installer:
    """Installs into the cluster of one checkout. A context manager: what can be done beside the rest begins at once."""

    def __init__(self, layout: Layout, reporter: Reporter) -> None:
        self._layout = layout
        self._reporter = reporter
        self._kubectl = Kubectl.of(layout)
        self._beside = ThreadPoolExecutor(1, "install")
        self._rendered = self._beside.submit(self._render)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._beside.shutdown(cancel_futures=True)

    def install(self, *, bare: bool) -> None:
        """What any workload needs (node, bucket, namespace), and unless `bare` Whatsam. Raises LocalError.

        Call it when all parts are ready.
        """
        bucket = self._beside.submit(asyncio.run, self._make_bucket())
        with self._reporter.step("Preparing the namespace" if bare else "Installing Whatsam"):
            self._apply([each for each in self._rendered.result() if not bare or each["kind"] == "Namespace"])
        with self._reporter.step("Waiting for node and object store"):
            node = f"node/{self._layout.node_name}"
            for condition in ("create", "condition=Ready"):
                self._kubectl.run("wait", f"--for={condition}", node, f"--timeout={_NODE_WITHIN}s")
            bucket.result()
        if bare:
            return
        with self._reporter.step("Waiting for operator, API and the default pool") as step:
            for deployments in (("whatsam-operator", "whatsam-api"), ("default",)):
                self._available(deployments, step)

    def _render(self) -> list[Manifest]:
        overlay = self._layout.checkout / "manifests" / "overlays" / "local"
        return [each for each in yaml.safe_load_all(self._kubectl.run("kustomize", str(overlay))) if each]

    def _apply(self, objects: list[Manifest]) -> None:
        """Definitions first: the API server must know a kind before an object of it can be applied."""
        definitions = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
        first = [each for each in objects if each["kind"] == "Namespace"] + definitions
        self._kubectl.apply([*first, *configuration(Credentials.load_or_make(self._layout.credentials))])
        if definitions:
            named = [f"crd/{each['metadata']['name']}" for each in definitions]
            self._kubectl.run("wait", "--for=condition=Established", *named, f"--timeout={_DEFINITIONS_WITHIN}s")
        if rest := [each for each in objects if each not in first]:
            self._kubectl.apply(rest)

    async def _make_bucket(self) -> None:
        """SeaweedFS answers before it has a place to write to; so write something."""
        credentials = Credentials.load_or_make(self._layout.credentials)
        url = f"http://127.0.0.1:{read_ports(self._layout.doors)['s3']}"
        store = ObjectStore(url, credentials.s3_access_key, credentials.s3_secret_key, BUCKET, timeout=5.0)
        deadline = time.monotonic() + _STORE_WITHIN
        try:
            while True:
                try:
                    await store.ensure_bucket()
                    await store.put(_TRIAL_KEY, b"1")
                    return await store.delete(_TRIAL_KEY)
                except ObjectStoreError as error:
                    if time.monotonic() > deadline:
                        raise LocalError(f"The object store takes no objects: {error}") from error
                    await asyncio.sleep(_STORE_AGAIN)
        finally:
            await store.close()

    def _available(self, deployments: tuple[str, ...], step: Step) -> None:
        """Wait until these Deployments are available; a program that keeps crashing is told without waiting longer."""
        step.update(f"waiting for {', '.join(deployments)}")
        deadline = time.monotonic() + _DEPLOYMENTS_WITHIN
        named = [f"deployment/{name}" for name in deployments]
        while True:
            try:
                for condition in ("create", "condition=Available"):
                    self._kubectl.run("wait", f"--for={condition}", *named, f"--timeout={_LOOK_AT_PODS_EVERY}s")
            except LocalError as error:
                crashing = hopeless(
                    json.loads(self._kubectl.run("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
                )
                if crashing or time.monotonic() > deadline:
                    told = "\n".join(self._kubectl.explain_deployment(name) for name in deployments)
                    raise LocalError(f"{', '.join(crashing) or error}\n{told}") from error
            else:
                return


def hopeless(pods: list[dict[str, Any]]) -> list[str]:
    """Pure: which containers keep ending as soon as they are started."""
    return [
        f"{pod['metadata']['name']} has ended {container['restartCount']} times"
        for pod in pods
        for container in pod.get("status", {}).get("containerStatuses", [])
        if container["restartCount"] >= _RESTARTS and "CrashLoopBackOff" in str(container.get("state"))
    ]


_PATIENCE = {
    "WHATSAM_ANONYMOUS_LIMIT": "100000/minute",
    "WHATSAM_LOGIN_LIMIT": "1000/minute",
    "WHATSAM_USER_LIMIT": "1000000/minute",
    "WHATSAM_SESSION_OPERATION_LIMIT": "100000/minute",
    "WHATSAM_NUMBER_CHECK_LIMIT": "100000/minute",
    "WHATSAM_MESSAGE_LIMIT_BASIC": "1000000/hour",
    "WHATSAM_MESSAGE_LIMIT_PRO": "1000000/hour",
    "WHATSAM_MESSAGE_LIMIT_MAX": "1000000/hour",
}
"""Limits of a cluster that one person has for herself and her tests. What limits do is tested with their defaults."""


def configuration(credentials: Credentials) -> list[dict[str, object]]:
    """Pure: the ConfigMap and Secrets that the installation's parts read."""
    database = f"postgresql://whatsam:{credentials.database_password}@{HOST}:5432/whatsam"
    redis = f"redis://:{credentials.redis_password}@{HOST}:6379/0"
    s3_keys = {"WHATSAM_S3_ACCESS_KEY": credentials.s3_access_key, "WHATSAM_S3_SECRET_KEY": credentials.s3_secret_key}
    shared = {
        "WHATSAM_INSTALLATION_ID": credentials.installation,
        "WHATSAM_S3_URL": f"http://{HOST}:8333",
        "WHATSAM_S3_BUCKET": BUCKET,
        "WHATSAM_S3_REGION": _REGION,
    }
    secrets = {
        "whatsam-operator": s3_keys,
        "whatsam-connector": {
            **s3_keys,
            "WHATSAM_DATABASE_URL": database,
            "WHATSAM_REDIS_URL": redis,
            "WHATSAM_KEYRING": credentials.keyring,
        },
        "whatsam-api": {
            **s3_keys,
            "WHATSAM_DATABASE_URL": database,
            "WHATSAM_REDIS_URL": redis,
            "WHATSAM_JWT_SECRET": credentials.jwt_secret,
            "WHATSAM_ADMIN_EMAIL": credentials.admin_email,
            "WHATSAM_ADMIN_PASSWORD": credentials.admin_password,
            **_PATIENCE,
        },
    }
    shared_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata("whatsam-config"), "data": shared}
    objects: list[dict[str, object]] = [dict(shared_map)]
    for name, values in secrets.items():
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(name), "stringData": values}
        objects.append(dict(secret))
    return objects


def _metadata(name: str) -> dict[str, str]:
    return {"name": name, "namespace": NAMESPACE}
