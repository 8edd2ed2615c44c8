"""Breaks running pods on purpose: `python -m whatsam_local.node.signal`. For tests and demonstrations.

    … signal --state DIR --namespace NS --pod NAME [--container C] --signal KILL|STOP|CONT [--all]
    … signal link --state DIR --namespace NS --pod NAME up|down

Talks to the runtime, not to the node: it works while the node is dead. Exit code 0 only when it has been done.
"""

import argparse
import json
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whatsam_local.node.errors import NodeError, RuntimeRefused
from whatsam_local.node.kinds import Json
from whatsam_local.node.protocol import socket_path

_SECONDS = 30.0
_SIGNALS = ("KILL", "STOP", "CONT", "TERM", "INT", "HUP", "QUIT", "ABRT", "USR1", "USR2")


def ask(state: Path, operation: str, **arguments: Any) -> Json:
    """One call to the runtime of a state directory, without asyncio. Raises `RuntimeRefused` with its reason."""
    request = {"n": 1, "op": operation, "args": arguments}
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as connection, socket_path(state) as path:
            connection.settimeout(_SECONDS)
            connection.connect(path)
            connection.sendall(json.dumps(request).encode() + b"\n")
            while not answer.endswith(b"\n") and (data := connection.recv(1 << 16)):
                answer += data
    except OSError as error:
        raise RuntimeRefused(f"no runtime answers in {state}: {error}") from error
    if not answer.endswith(b"\n"):
        raise RuntimeRefused(f"the runtime in {state} went away before it answered")
    result: Json = json.loads(answer)
    if "error" in result:
        raise RuntimeRefused(result["error"])
    return result


def _pod_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, required=True, help="the node's state directory")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--pod", required=True)


def _signal(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m whatsam_local.node.signal", description="Signal a container.")
    _pod_arguments(parser)
    parser.add_argument("--container", help="needed when the pod runs several")
    parser.add_argument("--signal", choices=_SIGNALS, required=True)
    parser.add_argument("--all", action="store_true", help="every process of the container, not only its first")
    given = parser.parse_args(arguments)
    number = int(signal.Signals[f"SIG{given.signal}"])
    target = {"namespace": given.namespace, "pod": given.pod, "container": given.container}
    result = ask(given.state, "signal", **target, number=number, everything=given.all)
    return f"{given.signal} to {len(result['pids'])} process(es) of {given.namespace}/{given.pod}"


def _link(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m whatsam_local.node.signal link", description="Cut a pod's link.")
    _pod_arguments(parser)
    parser.add_argument("direction", choices=("up", "down"))
    given = parser.parse_args(arguments)
    result = ask(given.state, "link", namespace=given.namespace, pod=given.pod, up=given.direction == "up")
    return f"link {result['link']} of {given.namespace}/{given.pod} is {given.direction}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of the command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        message = _link(words[1:]) if words[:1] == ["link"] else _signal(words)
    except NodeError as error:
        sys.exit(f"whatsam node signal: {error}")
    sys.stdout.write(message + "\n")


if __name__ == "__main__":
    main()
