"""Doors: listening sockets on the machine's 127.0.0.1 that lead into the cluster's network.

They are made by `up` before the namespaces exist, because a socket belongs to the network it was made in; the relay
inherits them. A door keeps its port from one `up` to the next while the port is free.
"""

import json
import socket
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.layout import write_atomically

# What each door leads to, inside.
TARGETS = {
    "apiserver": "10.88.0.1:443",
    "api": "whatsam-api.whatsam.svc.cluster.local:80",
    "postgres": "10.88.0.1:5432",
    "valkey": "10.88.0.1:6379",
    "s3": "10.88.0.1:8333",
    "simulator": "10.88.0.1:9180",
}


@dataclass(frozen=True)
class Door:
    """One open door."""

    name: str
    listener: socket.socket
    target: str

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])


def open_doors(remembered: Path, names: tuple[str, ...]) -> list[Door]:
    """Open the doors, at their ports of last time where those are free."""
    ports = read_ports(remembered)
    doors = [Door(name, _listen(ports.get(name, 0)), TARGETS[name]) for name in names]
    write_atomically(remembered, json.dumps({door.name: door.port for door in doors}, indent=1) + "\n")
    return doors


def read_ports(remembered: Path) -> dict[str, int]:
    """The ports of the last `up`; empty when there was none."""
    try:
        return {str(name): int(port) for name, port in json.loads(remembered.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    return listener
