"""The node's side of the runtime's socket. Starts the runtime if none answers."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whatsam_local.node.errors import RuntimeRefused
from whatsam_local.node.kinds import Json
from whatsam_local.node.protocol import LINE_LIMIT, socket_path
from whatsam_local.node.status import Exit

log = logging.getLogger("runtime")

_START_SECONDS = 10.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class RuntimeOptions:
    """What the runtime is started with."""

    state: Path
    name: str
    bridge: str
    linger: float
    visible: Sequence[str]

    def argv(self) -> list[str]:
        """The runtime's command line."""
        argv = [sys.executable, "-m", "whatsam_local.node.runtime_server"]
        argv += ["--state", str(self.state), "--name", self.name, "--bridge", self.bridge, "--linger", str(self.linger)]
        for directory in self.visible:
            argv += ["--visible", directory]
        return argv


async def open_socket(state: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the runtime of this state directory. Raises OSError where none listens."""
    with socket_path(state) as path:
        return await asyncio.open_unix_connection(path, limit=LINE_LIMIT)


class RuntimeClient:
    """Calls to the runtime, and its reports."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._on_exit: Callable[[str, Exit], None] = lambda _identifier, _end: None
        self.lost: asyncio.Event = asyncio.Event()
        """Set when the runtime is gone, and with it every container."""
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, options: RuntimeOptions) -> "tuple[RuntimeClient, bool]":
        """A client, and whether the runtime ran already (its containers are then adopted)."""
        try:
            return cls(*await open_socket(options.state)), True
        except OSError:
            log.info("no runtime answers: starting one")
        with (options.state / "runtime.log").open("ab") as output:
            process = subprocess.Popen(  # noqa: ASYNC220 - returns at once, the runtime outlives this process
                options.argv(),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
            await asyncio.sleep(_POLL_SECONDS)
            try:
                return cls(*await open_socket(options.state)), False
            except OSError as error:
                if process.poll() is not None:
                    raise RuntimeRefused(f"the runtime ended at once: see {options.state / 'runtime.log'}") from error
        raise RuntimeRefused(f"the runtime does not answer: see {options.state / 'runtime.log'}")

    async def attach(self, on_exit: Callable[[str, Exit], None]) -> None:
        """Be the node: exits are reported from here on, and the runtime notices when this process goes."""
        self._on_exit = on_exit
        await self.call("attach")

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                message: Json = json.loads(line)
                if message.get("event") == "exit":
                    self._on_exit(message["id"], Exit(**message["exit"]))
                elif (future := self._waiting.pop(message.get("n", 0), None)) and not future.done():
                    future.set_result(message)
        except (OSError, ValueError) as error:
            log.warning("runtime: %s", error)
        self.lost.set()

    async def call(self, operation: str, **arguments: Any) -> Json:
        """Ask the runtime to do something. Raises `RuntimeRefused` with its reason when it did not.

        Never returns once the runtime is lost: the node then starts over, and nothing that its tasks could conclude
        from the loss may reach the API server before.
        """
        self._number += 1
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        request = {"n": self._number, "op": operation, "args": arguments}
        self._writer.write(json.dumps(request).encode() + b"\n")
        answer = await future
        if "error" in answer:
            raise RuntimeRefused(answer["error"])
        return answer

    def close(self) -> None:
        """Leave the runtime alone; its containers go on."""
        self._writer.close()
        self._task.cancel()
