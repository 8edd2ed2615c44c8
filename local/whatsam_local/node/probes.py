"""Probes and lifecycle hooks: one attempt, and the loop that repeats it. What a result means: `probe_counter.py`."""

import asyncio
import os
import signal
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from whatsam_local.node.errors import ConfigError
from whatsam_local.node.kinds import Json
from whatsam_local.node.probe_counter import ProbeCounter, ProbeTimings, Verdict

_MESSAGE_LIMIT = 1000


@dataclass(frozen=True)
class Command:
    """Something to run, and the environment to run it in."""

    argv: list[str]
    env: dict[str, str]


@dataclass(frozen=True)
class Target:
    """The container that is probed. `inside` says how to run a command in it."""

    container: Json
    address: str
    inside: Callable[[list[str]], Command]


@dataclass(frozen=True)
class Result:
    """Of one attempt."""

    ok: bool
    message: str = ""


def port_number(container: Json, port: int | str) -> int:
    """The number of a port that is given by number or by name."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for named in container.get("ports", []):
        if named.get("name") == port:
            return named["containerPort"]
    raise ConfigError(f"container {container['name']} has no port named {port!r}")


class Prober:
    """Makes attempts; one per node, closed with it."""

    def __init__(self) -> None:
        anything = ssl.create_default_context()  # a kubelet does not check certificates either
        anything.check_hostname = False
        anything.verify_mode = ssl.CERT_NONE
        connector = aiohttp.TCPConnector(force_close=True, ssl=anything, limit=0)
        self._http = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        """Give up all connections."""
        await self._http.close()

    async def attempt(self, action: Json, target: Target, timeout: float) -> Result:
        """One probe or hook; whatever goes wrong is a result. `timeout` in seconds."""
        try:
            async with asyncio.timeout(timeout):
                return await self._attempt(action, target)
        except TimeoutError:
            return Result(False, f"context deadline exceeded ({timeout:g} s)")
        except (OSError, aiohttp.ClientError, ValueError, ConfigError) as error:
            return Result(False, str(error)[:_MESSAGE_LIMIT] or type(error).__name__)

    async def _attempt(self, action: Json, target: Target) -> Result:
        if http := action.get("httpGet"):
            return await self._http_get(http, target)
        if tcp := action.get("tcpSocket"):
            port = port_number(target.container, tcp["port"])
            _, writer = await asyncio.open_connection(tcp.get("host") or target.address, port)
            writer.close()
            return Result(True)
        if "sleep" in action:
            await asyncio.sleep(action["sleep"]["seconds"])
            return Result(True)
        if "exec" in action:
            code, output = await run(target.inside(action["exec"]["command"]))
            return Result(code == 0, output.decode(errors="replace")[-_MESSAGE_LIMIT:])
        return Result(False, "the process node supports httpGet, tcpSocket, exec and sleep only")

    async def _http_get(self, http: Json, target: Target) -> Result:
        host = http.get("host") or target.address
        port = port_number(target.container, http["port"])
        path = "/" + http.get("path", "/").lstrip("/")
        url = f"{http.get('scheme', 'HTTP').lower()}://{host}:{port}{path}"
        headers = {"User-Agent": "kube-probe/1.36"} | {h["name"]: h["value"] for h in http.get("httpHeaders", [])}
        async with self._http.get(url, headers=headers) as response:
            return Result(200 <= response.status < 400, f"HTTP probe failed with statuscode: {response.status}")

    async def repeat(self, probe: Json, target: Target, act: Callable[[Verdict, str], None]) -> None:
        """Probe for ever; `act` hears of every result at which a threshold is reached, for the first time or again."""
        timings = ProbeTimings.of(probe)
        counter = ProbeCounter()
        clock = asyncio.get_running_loop()
        await asyncio.sleep(timings.initial_delay)
        while True:
            began = clock.time()
            result = await self.attempt(probe, target, timings.timeout)
            counter, verdict = counter.after(result.ok, timings)
            if verdict is not Verdict.WAIT:
                act(verdict, result.message)
            await asyncio.sleep(max(0.0, began + timings.period - clock.time()))


async def run(command: Command) -> tuple[int, bytes]:
    """Run to the end; the whole process group dies with the attempt, also when a timeout cancels it."""
    process = await asyncio.create_subprocess_exec(
        *command.argv,
        env=command.env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
        return process.returncode or 0, output
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
