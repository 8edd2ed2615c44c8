"""Keeps the Node object and its Lease alive."""

import asyncio
import datetime
import logging
import platform
import time
from collections.abc import Mapping
from pathlib import Path

from whatsam_local.node.api import NETWORK_ERRORS, Api
from whatsam_local.node.errors import ApiError
from whatsam_local.node.kinds import Json
from whatsam_local.node.node_object import NodeFacts, lease_body, lease_spec, node_labels, node_status
from whatsam_local.node.options import NodeOptions
from whatsam_local.node.status import timestamp

log = logging.getLogger("node")

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_RETRY_SECONDS = 1.0
_REQUEST_SECONDS = 5.0
_STATUS_SECONDS = 300.0
"""The whole status is written at least this often (kubelet's value)."""
_CONFLICT, _NOT_FOUND = 409, 404


def facts_of(options: NodeOptions) -> NodeFacts:
    """What this node says about itself."""
    machine = platform.machine()
    return NodeFacts(
        name=options.name,
        address=options.ip,
        port=options.port,
        allocatable=options.allocatable,
        architecture=_ARCHITECTURES.get(machine, machine),
        kernel_version=platform.release(),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
    )


class Registration:
    """The Node object of this node."""

    def __init__(self, api: Api, facts: NodeFacts, labels: Mapping[str, str], heartbeat: float) -> None:
        """`heartbeat`: seconds between renewals of the Lease."""
        self._api = api
        self._facts = facts
        self._labels = node_labels(facts, labels)
        self._heartbeat = heartbeat
        self._path = f"/api/v1/nodes/{facts.name}"
        self._since = timestamp(time.time())
        self._uid = ""
        self._status_written = 0.0

    async def register(self) -> None:
        """Make the Node object, or take over the one that is there; tried until it works."""
        while True:
            try:
                await self._register()
                return
            except (ApiError, *NETWORK_ERRORS) as error:
                log.warning("register: %s", error or repr(error))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _register(self) -> None:
        body: Json = {"metadata": {"name": self._facts.name, "labels": self._labels}, "status": self._status()}
        try:
            node = await self._api.post("/api/v1/nodes", body)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            node = await self._api.patch(self._path, {"metadata": {"labels": self._labels}})
        self._uid = node["metadata"]["uid"]
        await self._write_status()

    def _status(self) -> Json:
        return node_status(self._facts, timestamp(time.time()), self._since)

    async def _write_status(self) -> None:
        await self._api.patch(f"{self._path}/status", {"status": self._status()})
        self._status_written = time.monotonic()

    async def keep(self) -> None:
        """Renew the Lease for ever; write the status when it is old or when somebody has called the node unready."""
        while True:
            try:
                await self._renew()
                await self._look()
            except ApiError as error:
                if error.status == _NOT_FOUND:  # somebody has deleted the Node
                    await self.register()
                else:
                    log.warning("heartbeat: %s", error)
            except NETWORK_ERRORS as error:
                log.warning("heartbeat: %r", error)
            await asyncio.sleep(self._heartbeat)

    async def _renew(self) -> None:
        spec = lease_spec(self._facts.name, datetime.datetime.now(datetime.UTC))
        path = f"{_LEASES}/{self._facts.name}"
        try:
            await self._api.patch(path, {"spec": spec}, strategic=False, timeout=_REQUEST_SECONDS)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            body = lease_body(self._facts.name, self._uid, spec)
            await self._api.post(_LEASES, body, timeout=_REQUEST_SECONDS)

    async def _look(self) -> None:
        node = await self._api.get(self._path, timeout=_REQUEST_SECONDS)
        conditions = node.get("status", {}).get("conditions", [])
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        if not ready:  # the node lifecycle controller missed us
            self._since = timestamp(time.time())
        if not ready or time.monotonic() - self._status_written > _STATUS_SECONDS:
            await self._write_status()
