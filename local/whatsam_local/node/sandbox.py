"""A pod's network namespace and its link to the bridge. Used by the runtime.

The namespace lives as long as the runtime holds its file descriptor, so nothing is left after `kill -9`.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.node import linux
from whatsam_local.node.errors import RuntimeRefused
from whatsam_local.node.protocol import SandboxRecord


@dataclass
class Sandbox:
    """One pod's network namespace, and the volumes in memory that its containers share."""

    descriptor: int
    record: SandboxRecord
    memory_volumes: list[str]


def link_name(uid: str) -> str:
    """The bridge's end of a pod's link; an interface's name has at most 15 characters."""
    return "v" + uid.replace("-", "")[:13]


def _ip(*commands: str) -> None:
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeRefused(f"ip: {done.stderr.strip()}")


def create_network(record: SandboxRecord, gateway: str, prefix: int, bridge: str) -> int:
    """Make the namespace, its link and its addresses; returns the namespace's file descriptor.

    A child makes the namespace and waits until its end of the link is there. In the namespace every port may be bound
    by anybody, as in real pods.
    """
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(ready_read)
            os.close(go_write)
            linux.die_with_parent()
            linux.unshare(linux.NEW_NETWORK)
            os.write(ready_write, b"x")
            if os.read(go_read, 1):
                _ip(
                    "link set lo up",
                    f"addr add {record['address']}/{prefix} dev eth0",
                    "link set eth0 up",
                    f"route add default via {gateway}",
                )
                Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
                status = 0
        except BaseException as error:  # noqa: BLE001 - a forked child must never return into the runtime's loop
            os.write(2, f"network of {record['pod']}: {error}\n".encode())
        finally:
            os._exit(status)
    descriptor: int | None = None
    try:
        os.close(ready_write)
        os.close(go_read)
        if os.read(ready_read, 1):
            descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            _ip(
                f"link add {record['link']} type veth peer name eth0 netns {pid}",
                f"link set {record['link']} master {bridge} up",
            )
            os.write(go_write, b"x")
    except BaseException:
        if descriptor is not None:
            os.close(descriptor)
            descriptor = None
        raise
    finally:
        os.close(ready_read)
        os.close(go_write)
        _, status = os.waitpid(pid, 0)
    if status or descriptor is None:
        if descriptor is not None:
            os.close(descriptor)
        raise RuntimeRefused(f"network of {record['pod']} ({record['address']}) failed: see the runtime's log")
    return descriptor


def set_link(record: SandboxRecord, *, up: bool) -> None:
    """Cut a pod off from everything, or put it back."""
    _ip(f"link set {record['link']} {'up' if up else 'down'}")
