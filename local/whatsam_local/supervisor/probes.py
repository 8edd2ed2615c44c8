"""One look at whether a part is ready, from inside the cluster's network. Called by `parts.py` until it says yes."""

import asyncio
import contextlib
import os
import ssl

from whatsam_local.plan import CommandProbe, HttpProbe, Probe
from whatsam_local.supervisor.processes import Launch, Processes

_TIMEOUT = 3.0  # seconds for one look


async def answers(probe: Probe, processes: Processes, env: dict[str, str]) -> bool:
    """Whether the part is ready now. Never raises for a part that is not there yet."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            if isinstance(probe, CommandProbe):
                return await _command(probe, processes, env)
            if isinstance(probe, HttpProbe):
                request = f"GET {probe.path} HTTP/1.0\r\nHost: {probe.host}:{probe.port}\r\n\r\n"
                words = (await _first_line(probe.host, probe.port, request, probe.tls)).split()
                return len(words) > 1 and words[1].isdigit() and int(words[1]) < probe.below
            line = await _first_line(probe.host, probe.port, probe.say, tls=False)
            return not probe.hear or line.startswith(probe.hear)
    except (OSError, TimeoutError, EOFError, ValueError):
        return False


async def _first_line(host: str, port: int, say: str, tls: bool) -> str:
    context: ssl.SSLContext | None = None
    if tls:
        # A look at our own process on our own address; several parts sign their certificates themselves.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        if not say:
            return ""
        writer.write(say.encode())
        return (await reader.readline()).decode(errors="replace")
    finally:
        writer.transport.abort()


async def _command(probe: CommandProbe, processes: Processes, env: dict[str, str]) -> bool:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        process = processes.start(Launch(probe.argv, env, (null, null, null)))
    finally:
        os.close(null)
    try:
        return (await asyncio.shield(process.exit)).code == 0
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.signal(9)
        raise
