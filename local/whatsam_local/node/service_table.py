"""Pure: Services and EndpointSlices as last seen, and what follows from them. Used by `services.py`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from whatsam_local.node.kinds import Json

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class Endpoint:
    """One backend of a Service."""

    address: str
    port: int | None
    hostname: str | None


@dataclass(frozen=True)
class Door:
    """An address and port of a Service, and the port's name; `Door`s are what the proxy listens on."""

    address: str
    port: int
    service: Key
    port_name: str


def key_of(obj: Json) -> Key:
    """An object's namespace and name."""
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


@dataclass
class ServiceTable:
    """What the watches have brought."""

    services: dict[Key, Json] = field(default_factory=dict[Key, Json])
    slices: dict[Key, Json] = field(default_factory=dict[Key, Json])

    def endpoints(self, service: Key, port_name: str | None = None) -> Iterator[Endpoint]:
        """Ready endpoints; the port is that of this name, or the first one."""
        namespace, name = service
        unready_too = self.services.get(service, {}).get("spec", {}).get("publishNotReadyAddresses", False)
        for (slice_namespace, _), obj in self.slices.items():
            labels = obj["metadata"].get("labels") or {}
            if slice_namespace != namespace or labels.get("kubernetes.io/service-name") != name:
                continue
            ports = [p["port"] for p in obj.get("ports") or [] if port_name in (None, p.get("name") or "")]
            for endpoint in obj.get("endpoints") or []:
                ready = (endpoint.get("conditions") or {}).get("ready")
                if unready_too or ready is None or ready:
                    port = ports[0] if ports else None
                    yield Endpoint(endpoint["addresses"][0], port, endpoint.get("hostname"))

    def doors(self) -> set[Door]:
        """What to listen on: TCP ports of Services with an address and with ready endpoints.

        A Service without endpoints refuses connections, as with kube-proxy. The Service `kubernetes` needs no proxy:
        its address belongs to the API server itself.
        """
        doors: set[Door] = set()
        for key, service in self.services.items():
            spec = service["spec"]
            address = spec.get("clusterIP") or "None"
            if address == "None" or key == ("default", "kubernetes"):
                continue
            for port in spec.get("ports") or []:
                name = port.get("name") or ""
                served = port.get("protocol", "TCP") == "TCP" and any(e.port for e in self.endpoints(key, name))
                if served:
                    doors.add(Door(address, port["port"], key, name))
        return doors

    def addresses(self) -> set[str]:
        """All addresses of Services, with endpoints or without."""
        given = (service["spec"].get("clusterIP") or "None" for service in self.services.values())
        return {address for address in given if address != "None"}

    def resolve(self, labels: Sequence[str]) -> Sequence[str] | None:
        """Addresses of `service.namespace` or `host.service.namespace`; None when there is no such name."""
        if len(labels) not in (2, 3):
            return None
        key = (labels[-1], labels[-2])
        service = self.services.get(key)
        if service is None:
            return None
        address = service["spec"].get("clusterIP") or "None"
        if len(labels) == 2 and address != "None":
            return [address]
        found = [e.address for e in self.endpoints(key) if len(labels) == 2 or e.hostname == labels[0]]
        unique = list(dict.fromkeys(found))
        return unique or (None if len(labels) == 3 else [])
