"""The container runtime: one small single-threaded process that forks containers and remembers how they ended.

It is apart from the node so that the node may restart, or be killed as a fault, while pods go on, as with kubelet and
containerd. Without a node for `linger` seconds it kills everything and ends. When it is killed itself, the kernel
takes every container with it. Started by `runtime_client.py`; spoken to by the node and by `signal.py`.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from whatsam_local.node.errors import NodeError
from whatsam_local.node.kinds import Json
from whatsam_local.node.protocol import LINE_LIMIT, SOCKET_NAME, socket_path
from whatsam_local.node.runtime import Runtime

log = logging.getLogger("runtime")

_END_SECONDS = 5.0
"""How long the end of the last container is waited for; after SIGKILL only a stuck kernel call takes longer."""


class Server:
    """The socket in front of the runtime."""

    def __init__(self, runtime: Runtime, state: Path, linger: float) -> None:
        self._runtime = runtime
        self._state = state
        self._linger = linger
        self._nodes: set[asyncio.StreamWriter] = set()
        self._alone_since: float | None = time.monotonic()
        self._operations: dict[str, Callable[..., Json]] = {
            "attach": self._attach,
            "start": runtime.start,
            "kill": runtime.kill,
            "forget": runtime.forget,
            "list": runtime.list,
            "sandbox": runtime.sandbox,
            "remove_pod": runtime.remove_pod,
            "signal": runtime.signal,
            "link": runtime.link,
            "shutdown": self._shutdown,
        }

    def _attach(self) -> Json:
        """The caller is the node: it is told of exits, and its absence is noticed."""
        return {"attached": True}

    def _shutdown(self) -> Json:
        asyncio.get_running_loop().call_soon(self.end)
        return {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client until it goes."""
        try:
            while line := await reader.readline():
                request: dict[str, Any] = json.loads(line)
                answer = self._answer(request)
                if answer.get("attached"):
                    self._nodes.add(writer)
                    self._alone_since = None
                writer.write(json.dumps({"n": request["n"], **answer}).encode() + b"\n")
        except (ConnectionError, ValueError) as error:
            log.warning("a client's line: %s", error)
        finally:
            writer.close()
            self._nodes.discard(writer)
            if not self._nodes and self._alone_since is None:
                self._alone_since = time.monotonic()

    def _answer(self, request: Json) -> Json:
        try:
            return self._operations[request["op"]](**request.get("args", {}))
        except (NodeError, OSError) as error:
            return {"error": str(error)}
        except Exception as error:
            log.exception("operation %s", request.get("op"))
            return {"error": f"{type(error).__name__}: {error}"}

    def reap(self) -> None:
        """Children have ended: remember how, and tell the node."""
        for identifier, end in self._runtime.reap():
            line = json.dumps({"event": "exit", "id": identifier, "exit": end}).encode() + b"\n"
            for writer in self._nodes:
                writer.write(line)

    def end(self) -> None:
        """Kill everything and go."""
        self._runtime.kill_all(_END_SECONDS)
        (self._state / SOCKET_NAME).unlink(missing_ok=True)
        os._exit(0)

    async def run(self) -> None:
        """Serve until told to end or left alone for too long."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self.reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        (self._state / SOCKET_NAME).unlink(missing_ok=True)
        os.umask(0o077)
        with socket_path(self._state) as path:
            await asyncio.start_unix_server(self.serve, path, limit=LINE_LIMIT)
        os.umask(0o022)
        (self._state / "runtime.pid").write_text(str(os.getpid()))
        while True:
            await asyncio.sleep(1)
            if self._alone_since is not None and time.monotonic() - self._alone_since > self._linger:
                log.warning("no node for %g s: ending all containers", self._linger)
                self.end()


def main(arguments: Iterable[str] | None = None) -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(description="The process node's container runtime; started by the node.")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--name", required=True, help="the node's name")
    parser.add_argument("--linger", type=float, required=True, help="seconds the containers outlive a killed node")
    parser.add_argument("--bridge", required=True)
    parser.add_argument("--visible", action="append", default=[], help="directory that containers must see")
    options = parser.parse_args(None if arguments is None else list(arguments))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    runtime = Runtime(options.state, options.name, options.bridge, options.visible)
    asyncio.run(Server(runtime, options.state, options.linger).run())


if __name__ == "__main__":
    main()
