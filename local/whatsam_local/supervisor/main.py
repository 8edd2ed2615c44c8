"""Pid 1 of the cluster: brings the parts up as planned and obeys the control socket until it is ended."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from whatsam_local.plan import Plan
from whatsam_local.supervisor.control import ControlServer
from whatsam_local.supervisor.parts import PartRunner
from whatsam_local.supervisor.processes import Processes

_LOOK_FOR_HOME_EVERY = 2.0  # seconds


def supervise(plan: Plan, outside: ThreadPoolExecutor | None) -> None:
    """Run the plan. Never returns normally: pid 1 ends by a signal, and everything with it."""
    asyncio.run(_run(plan, outside))


async def _run(plan: Plan, outside: ThreadPoolExecutor | None) -> None:
    processes = Processes(outside)
    processes.attach()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Everything below is killed by the kernel as soon as pid 1 is gone.
        loop.add_signal_handler(number, os._exit, 0)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    runners = {part.name: PartRunner(part, plan, processes) for part in plan.parts}
    server = ControlServer(plan, runners, processes)
    server.listen()
    boot = [asyncio.create_task(runner.bring_up(runners)) for runner in runners.values()]
    await _until_homeless(plan)
    del boot
    os._exit(0)


async def _until_homeless(plan: Plan) -> None:
    """Returns when the checkout's record of this supervisor is gone: nobody could find this cluster any more."""
    record = Path(plan.run) / "supervisor.json"
    own = record.stat()
    while True:
        await asyncio.sleep(_LOOK_FOR_HOME_EVERY)
        try:
            now = record.stat()
        except OSError:
            return
        if (now.st_dev, now.st_ino) != (own.st_dev, own.st_ino):
            return
