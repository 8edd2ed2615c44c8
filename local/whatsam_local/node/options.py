"""The node's command line."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.node.errors import ConfigError
from whatsam_local.node.quantity import parse_quantity
from whatsam_local.node.restarts import BackoffLimits


@dataclass(frozen=True)
class NodeOptions:
    """Everything the node is told when it starts. Times are in seconds."""

    kubeconfig: Path
    state: Path
    name: str
    ip: str
    port: int
    pod_net: str
    bridge: str
    dns_ip: str
    images: Path | None
    client_ca: Path
    api_host: str
    api_port: str
    labels: dict[str, str]
    allocatable: dict[str, str]
    backoff: BackoffLimits
    exit_delay: float
    heartbeat: float
    linger: float
    keep: bool
    visible: tuple[str, ...]


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError("a label is key=value")
    return key, value


def _backoff(text: str) -> BackoffLimits:
    try:
        initial, longest = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError("give two numbers of seconds: initial,longest") from error
    if not 0 < initial <= longest:
        raise argparse.ArgumentTypeError("0 < initial <= longest is needed")
    return BackoffLimits(initial, longest)


def _quantity(text: str) -> str:
    try:
        parse_quantity(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _pod_net(text: str) -> str:
    parts = text.split(".")
    if len(parts) not in (2, 3) or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise argparse.ArgumentTypeError("give two or three numbers, like 10.88 or 10.88.200")
    return text


def interpreter_directories() -> tuple[str, ...]:
    """Directories that Python itself needs: pods must see them even where they lie below /tmp."""
    candidates = [sys.prefix, sys.base_prefix, *sys.path]
    return tuple(dict.fromkeys(str(Path(c).resolve()) for c in candidates if c and Path(c).is_dir()))


def parse(arguments: Sequence[str] | None = None) -> NodeOptions:
    """Options of a command line; ends the process with a message when they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m whatsam_local.node", description="A Kubernetes node whose pods are plain local processes."
    )
    add = parser.add_argument
    add("--kubeconfig", type=Path, required=True)
    add("--state", type=Path, required=True, help="directory for the socket, volumes and logs")
    add("--name", default="process-node")
    add("--ip", default="10.88.0.1", help="this node's address on the bridge, the pods' gateway")
    add("--port", type=int, default=10250, help="of the kubelet API")
    add("--pod-net", type=_pod_net, default="10.88", help="first two or three numbers of the pods' addresses")
    add("--bridge", default="cni0", help="where the pods' links are plugged in; must exist")
    add("--dns-ip", help="the pods' name server (default: the node's address)")
    add("--images", type=Path, help="JSON file: image name -> {entrypoint, cmd, env, cwd}; read again when it changes")
    add("--client-ca", type=Path, required=True, help="authority of those who may call the kubelet API")
    add("--api-host", default="10.96.0.1", help="address of the Service kubernetes")
    add("--api-port", default="443")
    add("--label", type=_label, action="append", default=[], metavar="KEY=VALUE", help="on the Node object")
    add("--cpu", type=_quantity, default="8", help="what the node claims to have")
    add("--memory", type=_quantity, default="16Gi", help="what the node claims to have")
    add("--pods", type=_quantity, default="250", help="what the node claims to have")
    add("--restart-backoff", type=_backoff, default=BackoffLimits(), metavar="INITIAL,LONGEST", help="CrashLoopBackOff")
    add("--exit-delay", type=float, default=0.0, help="seconds until an exit is noticed; a real kubelet's is up to 1")
    add("--heartbeat", type=float, default=10.0, help="seconds between renewals of the node's Lease")
    add("--linger", type=float, default=60.0, help="seconds the pods outlive a killed node")
    add("--keep", action="store_true", help="leave the pods running at a normal end too")
    add(
        "--visible", action="append", default=[], help="a directory that pods must see even if it is below /tmp or /run"
    )
    given = parser.parse_args(arguments)
    allocatable = {"cpu": given.cpu, "memory": given.memory, "pods": given.pods, "ephemeral-storage": "100Gi"}
    return NodeOptions(
        kubeconfig=given.kubeconfig,
        state=given.state.resolve(),
        name=given.name,
        ip=given.ip,
        port=given.port,
        pod_net=given.pod_net,
        bridge=given.bridge,
        dns_ip=given.dns_ip or given.ip,
        images=given.images,
        client_ca=given.client_ca,
        api_host=given.api_host,
        api_port=given.api_port,
        labels=dict(given.label),
        allocatable=allocatable,
        backoff=given.restart_backoff,
        exit_delay=given.exit_delay,
        heartbeat=given.heartbeat,
        linger=given.linger,
        keep=given.keep,
        visible=tuple(dict.fromkeys([*interpreter_directories(), *(str(Path(v).resolve()) for v in given.visible)])),
    )
