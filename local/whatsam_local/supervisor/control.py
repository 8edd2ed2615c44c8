"""The supervisor's control socket: one JSON line in, one JSON line out. The other side is `control.py` one level up.

    {"do": "status"}                               -> {"parts": [...], "id": ...}
    {"do": "start|stop|kill|freeze|thaw", "part"}  -> {"part": {...}}
    {"do": "exec", "argv", "env", "directory"}     -> {"code": n}; the caller's three streams come as file descriptors

The socket lies in a directory that only the owner of the checkout may enter.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

from whatsam_local.plan import Plan
from whatsam_local.supervisor.parts import PartRunner
from whatsam_local.supervisor.processes import Launch, Processes

_REQUEST_LIMIT = 1 << 20  # bytes


class ControlServer:
    """Answers `whatsam-local`."""

    def __init__(self, plan: Plan, runners: dict[str, PartRunner], processes: Processes) -> None:
        self._plan = plan
        self._runners = runners
        self._processes = processes
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Bind the socket below the plan's run directory, however long that path is."""
        directory = os.open(self._plan.run, os.O_PATH | os.O_DIRECTORY)
        try:
            address = f"/proc/self/fd/{directory}/control.sock"
            Path(address).unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(address)
        finally:
            os.close(directory)
        listener.listen(64)
        listener.setblocking(False)
        self._spawn(self._accept(listener))

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(False)
            self._spawn(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            request = await _receive(connection, descriptors)
            try:
                answer = await self._answer(request, descriptors, connection)
            except (KeyError, TypeError, ValueError, OSError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            await asyncio.get_running_loop().sock_sendall(connection, json.dumps(answer).encode() + b"\n")
        except (OSError, ValueError, TypeError):
            pass  # the caller is gone; whatever it asked for has been done
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            connection.close()

    async def _answer(self, request: dict[str, Any], streams: list[int], caller: socket.socket) -> dict[str, Any]:
        verb = request["do"]
        if verb == "status":
            return {"id": self._plan.id, "parts": [runner.describe() for runner in self._runners.values()]}
        if verb == "exec":
            return {"code": await self._execute(request, streams, caller)}
        runner = self._runners.get(request["part"])
        if runner is None:
            return {"unknown": sorted(self._runners)}
        match verb:
            case "start":
                await runner.start()
            case "stop":
                await runner.stop()
            case "kill":
                await runner.kill()
            case "freeze":
                runner.freeze()
            case "thaw":
                runner.thaw()
            case _:
                return {"error": f"no such request: {verb}"}
        # How a process ended is noted by a task of its own: let it run before the answer is made.
        await asyncio.sleep(0)
        return {"part": runner.describe()}

    async def _execute(self, request: dict[str, Any], streams: list[int], caller: socket.socket) -> int:
        """Run a command inside for the caller; it ends when the caller does."""
        first, second, third = streams
        launch = Launch(request["argv"], request["env"], (first, second, third), directory=request["directory"])
        process = self._processes.start(launch)
        loop = asyncio.get_running_loop()
        hung_up = asyncio.ensure_future(loop.sock_recv(caller, 1))
        try:
            await asyncio.wait({process.exit, hung_up}, return_when=asyncio.FIRST_COMPLETED)
            if not process.exit.done():
                process.signal_group(signal.SIGKILL)
            return (await process.exit).code
        finally:
            hung_up.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await hung_up


async def _receive(connection: socket.socket, descriptors: list[int]) -> dict[str, Any]:
    """One line and the file descriptors that came with it."""
    data = b""
    while not data.endswith(b"\n"):
        await _readable(connection)
        part, received, _, _ = socket.recv_fds(connection, 65536, 3)
        descriptors.extend(received)
        if not part or len(data) > _REQUEST_LIMIT:
            raise ValueError("no request")
        data += part
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    request = json.loads(data)
    if not isinstance(request, dict):
        raise TypeError("a request is an object")
    return request


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(connection)
