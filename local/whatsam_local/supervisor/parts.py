"""The life of one part: waits for others, is prepared once, starts, becomes ready, ends. Owned by `main.py`."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
from enum import StrEnum
from pathlib import Path

from whatsam_local.plan import Part, Plan
from whatsam_local.supervisor import probes
from whatsam_local.supervisor.processes import Exit, Launch, Process, Processes, descendants

_LOOK_EVERY = 0.05  # seconds between two looks at a starting part; a look costs well under a millisecond
_STOP_WITHIN = 10.0  # seconds between SIGTERM and SIGKILL


class State(StrEnum):
    """Where a part is in its life."""

    WAITING = "waiting"
    """For the parts named in `after`."""
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    SLOW = "not ready"
    """Runs, and did not become ready in time."""
    ENDED = "ended"
    """By itself, or killed: somebody should look."""
    STOPPED = "stopped"
    """On request."""


class PartRunner:
    """One part and what became of it."""

    def __init__(self, part: Part, plan: Plan, processes: Processes) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self.state = State.WAITING
        self.frozen = False
        self.starts = 0
        self.seconds: float | None = None
        """From the start of the process (or of its preparation) until it was ready."""
        self._plan = plan
        self._processes = processes
        self._process: Process | None = None
        self._listener: socket.socket | None = None
        self._exit: Exit | None = None
        self._problem = ""
        self._changed_at = time.time()
        self._stopping = False
        self._watch: asyncio.Task[None] | None = None

    async def bring_up(self, others: dict[str, "PartRunner"]) -> None:
        """The first start. Returns when the part is ready, has ended, or is too slow."""
        for name in self.part.after:
            await others[name].ready.wait()
        if self.state is not State.WAITING:
            return  # somebody started it by hand meanwhile
        began = time.monotonic()
        try:
            self._remove_stale()
            await self._prepare()
        except OSError as error:
            self._fail(str(error))
            return
        await self.start(began)

    async def start(self, began: float | None = None) -> None:
        """Start the process and watch it. Does nothing while it runs."""
        if self._process is not None and not self._process.exit.done():
            return
        began = time.monotonic() if began is None else began
        self._stopping, self.frozen, self._exit, self._problem = False, False, None, ""
        self.ready.clear()
        null = os.open(os.devnull, os.O_RDONLY)
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = self._processes.start(self._launch(null, log))
        except OSError as error:
            self._fail(str(error))
            return
        finally:
            os.close(null)
            os.close(log)
        self.starts += 1
        self._become(State.STARTING)
        self._watch = asyncio.create_task(self._follow(self._process))
        await self._until_ready(self._process, began)

    async def stop(self) -> None:
        """The part's own stop signal, then SIGKILL. A stopped part is no dead part."""
        process = self._process
        self._stopping = True
        if process is None or process.exit.done():
            self._become(State.STOPPED)
            return
        self.thaw()
        process.signal(self.part.stop_signal)
        try:
            await asyncio.wait_for(asyncio.shield(process.exit), _STOP_WITHIN)
        except TimeoutError:
            process.signal_group(signal.SIGKILL)
            await process.exit

    async def kill(self) -> None:
        """SIGKILL, as a crash would: the part then counts as dead."""
        if self._process is not None and not self._process.exit.done():
            self._process.signal(signal.SIGKILL)
            await asyncio.shield(self._process.exit)

    def freeze(self) -> None:
        self._signal_all(signal.SIGSTOP)
        self.frozen = self._process is not None and not self._process.exit.done()

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)
        self.frozen = False

    @property
    def log(self) -> str:
        return str(Path(self._plan.logs) / f"{self.part.name}.log")

    def describe(self) -> dict[str, object]:
        """For `status`."""
        running = self._process is not None and not self._process.exit.done()
        return {
            "name": self.part.name,
            "state": str(self.state),
            "pid": self._process.pid if running and self._process is not None else None,
            "frozen": self.frozen,
            "since": self._changed_at,
            "starts": self.starts,
            "seconds": self.seconds,
            "ended_by": str(self._exit) if self._exit is not None else self._problem,
            "waits_for": list(self.part.after) if self.state is State.WAITING else [],
            "log": self.log,
        }

    def _remove_stale(self) -> None:
        for path in self.part.stale:
            Path(path).unlink(missing_ok=True)

    async def _prepare(self) -> None:
        if not self.part.prepare:
            return
        marker = Path(self._plan.markers) / self.part.name
        if marker.exists():
            return
        self._become(State.PREPARING)
        if self.part.data is not None:
            shutil.rmtree(self.part.data, ignore_errors=True)
        for preparation in self.part.prepare:
            reading, writing = os.pipe()
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                launch = Launch(
                    preparation.argv, self.part.env, (reading, log, log), ordinary_user=self.part.ordinary_user
                )
                process = self._processes.start(launch)
            finally:
                os.close(reading)
                os.close(log)
                with os.fdopen(writing, "w") as stdin, contextlib.suppress(BrokenPipeError):
                    stdin.write(preparation.stdin)
            ended = await process.exit
            if ended.code != 0:
                raise OSError(f"{Path(preparation.argv[0]).name} (preparation): {ended}")
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()

    async def _until_ready(self, process: Process, began: float) -> None:
        probe, deadline = self.part.ready, time.monotonic() + self.part.ready_within
        while probe is not None and not await probes.answers(probe, self._processes, self.part.env):
            if process.exit.done():
                return
            if time.monotonic() > deadline:
                self._become(State.SLOW)
                return
            await asyncio.sleep(_LOOK_EVERY)
        if not process.exit.done():
            self.seconds = time.monotonic() - began
            self._become(State.READY)
            self.ready.set()

    async def _follow(self, process: Process) -> None:
        self._exit = await process.exit
        self.frozen = False
        self.ready.clear()
        self._become(State.STOPPED if self._stopping else State.ENDED)

    def _launch(self, stdin: int, log: int) -> Launch:
        part = self.part
        argv, keep = part.argv, part.descriptors
        if part.inner_listener is not None:
            if self._listener is None:
                # Kept for later starts: callers wait in its queue instead of being refused.
                self._listener = socket.create_server(part.inner_listener)
            argv = tuple(word.replace("{listener}", str(self._listener.fileno())) for word in argv)
            keep = (*keep, self._listener.fileno())
        return Launch(
            argv,
            part.env,
            (stdin, log, log),
            keep=keep,
            ordinary_user=part.ordinary_user,
            private_tmp=part.private_tmp,
            outside=part.outside,
        )

    def _fail(self, problem: str) -> None:
        self._problem = problem
        self._become(State.ENDED)

    def _become(self, state: State) -> None:
        self.state, self._changed_at = state, time.time()

    def _signal_all(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.exit.done():
            return
        for pid in descendants(process.pid) if self.part.freeze_descendants else [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
