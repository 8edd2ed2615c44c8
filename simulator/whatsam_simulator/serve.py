"""The simulator as a process: opens all sockets, says where, and ends on SIGTERM or SIGINT. Called by the CLI."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Generator

import uvicorn

from whatsam_simulator.control.application import build
from whatsam_simulator.control.models import ServerInfo
from whatsam_simulator.control.service import ControlService, Listening
from whatsam_simulator.simulation import Options, Simulation

_YOUNG_OBJECTS = 20_000
"""Objects made between two looks for garbage cycles; Python's 700 are the leftovers of four messages."""
_KEPT_SECONDS = 60
"""An idle connection stays: clients such as httpx let go of theirs after 5 s, and must be the first to do so."""


class _ControlServer(uvicorn.Server):
    """Leaves signals to the simulator."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve(options: Options, started: Callable[[ServerInfo], None]) -> None:
    """Runs until a signal; `started` is called once everything listens."""
    simulation = Simulation(options)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ports = await simulation.start()
    # What stays until the end (modules, models, token tables) need not be looked at again and again.
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    control_socket = socket.create_server((options.host, options.control_port))
    # asyncio sets this only on sockets that name their protocol; without it every answer takes 40 ms more.
    control_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening = Listening(options.host, ports.tls, ports.proxy, control_socket.getsockname()[1])
    service = ControlService(simulation, listening)
    config = uvicorn.Config(
        build(service),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=_KEPT_SECONDS,
    )
    server = _ControlServer(config)
    serving = asyncio.ensure_future(server.serve(sockets=[control_socket]))
    waiting = asyncio.ensure_future(stop.wait())
    try:
        started(service.info())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        await simulation.stop()
        await serving
        waiting.cancel()
