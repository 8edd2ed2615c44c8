"""What a pod's workers share: the node's tools, and the pod they belong to."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.node.address_book import AddressBook
from whatsam_local.node.api import Api
from whatsam_local.node.events import EventRecorder
from whatsam_local.node.exits import ExitRegistry
from whatsam_local.node.images import ImageTable
from whatsam_local.node.kinds import Json
from whatsam_local.node.options import NodeOptions
from whatsam_local.node.probes import Prober
from whatsam_local.node.publisher import StatusPublisher
from whatsam_local.node.runtime_client import RuntimeClient
from whatsam_local.node.volumes import Volumes


@dataclass(frozen=True)
class NodeContext:
    """One node's tools."""

    options: NodeOptions
    api: Api
    runtime: RuntimeClient
    images: ImageTable
    exits: ExitRegistry
    events: EventRecorder
    prober: Prober
    addresses: AddressBook
    nsenter: str
    """Path of util-linux's nsenter."""


@dataclass
class PodContext:
    """One pod, as its containers' workers see it."""

    node: NodeContext
    obj: Json
    directory: Path
    volumes: Volumes
    publisher: StatusPublisher
    address: str | None
    deadline: float | None
    """Monotonic time at which a pod that is being deleted is killed; None while it is wanted."""
    hurry: asyncio.Event
    """Set when the deadline has been brought forward."""

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return self.obj["metadata"]["uid"]

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return self.obj["metadata"]["namespace"]

    @property
    def name(self) -> str:
        """The pod's name; after a deletion it may belong to another pod."""
        return self.obj["metadata"]["name"]

    @property
    def hostname(self) -> str:
        """What the pod calls itself."""
        return self.obj["spec"].get("hostname") or self.name

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""
        return self.obj["spec"].get("terminationGracePeriodSeconds", 30)

    def logs(self, container: str) -> Path:
        """Directory of a container's log files, one per attempt; they stay until the pod is deleted."""
        return self.directory / "logs" / container

    def event(self, kind: str, reason: str, message: str) -> None:
        """Tell something about this pod."""
        self.node.events.record(self.obj, kind, reason, message)
