"""One session's share of an engine process: what its runner holds, and what the pool knows of it.

It has the interface of a process that runs one session alone. Its end is either the end of the process or a confirmed
leave; a session that does not leave in time takes the process, and with it its neighbours, down.
"""

import asyncio
import contextlib
import enum
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from whatsam_connector.engine.events import (
    Connected,
    ConnectFailure,
    Disconnected,
    EngineEvent,
    JournalFull,
    KeepAliveLost,
    KeepAliveRestored,
    LoggedOut,
    StreamReplaced,
    TemporaryBan,
)
from whatsam_connector.engine.protocol import Capabilities
from whatsam_connector.supervision.errors import EngineError, EngineGone, EngineRefused
from whatsam_connector.supervision.exits import EngineExit, ExitReason
from whatsam_connector.supervision.outgoing import OutgoingMessage, SendResult
from whatsam_connector.supervision.sessions import EngineSession
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

KILL_LEAVE_SECONDS = 3.0
"""A session that must stop at once may leave its neighbours alone for so long; then the process is killed."""
DIAL_SECONDS = 65.0
"""whatsmeow cannot be told to give up a dial; Go gives a silent proxy one minute."""
AGAIN_SECONDS = 0.2


class MoveReason(enum.Enum):
    """Why a session that works shall go on in another process."""

    CONSOLIDATION = "consolidation"
    """Several small processes become one."""
    DESCRIPTORS = "descriptors"
    """Its process holds too many."""
    THREADS = "threads"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class MoveWanted:
    """Said by the pool in the engine's place: end the session in order and start it again at once."""

    uid: str
    reason: MoveReason


MemberEvent = EngineEvent | MoveWanted
"""What a runner hears of its session."""


class Process(Protocol):
    """An engine process, as the pool uses it (`EngineProcess`)."""

    @property
    def pid(self) -> int: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def exited(self) -> "asyncio.Future[EngineExit]": ...
    async def arm(self, deadline: float) -> None: ...
    async def ping(self, timeout: float) -> None: ...
    def begin(self, sessions: list[EngineSession], on_event: Callable[[EngineEvent], None]) -> None: ...
    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult: ...
    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float | None = None) -> Any: ...
    async def logout(self, uid: str, timeout: float) -> None: ...
    async def disconnect(self, uid: str) -> None: ...
    async def stop(self, grace: float) -> EngineExit: ...
    def kill(self, *, hung: bool = False) -> None: ...


class Host(Protocol):
    """What a member needs to know of the process that it shares."""

    process: Process
    culprit: str | None
    """The session because of which the process was killed, if that was it."""

    def alone(self, uid: str) -> bool:
        """Whether every other session has left."""
        ...


class SessionEngine:
    """One session in its process. All methods belong to the event loop's thread."""

    def __init__(self, session: EngineSession, host: Host, on_event: Callable[[MemberEvent], None], now: float) -> None:
        self.session = session
        self.uid = session.uid
        self._host = host
        self._on_event = on_event
        self._exited: asyncio.Future[EngineExit] = asyncio.get_running_loop().create_future()
        self._killing: asyncio.Task[None] | None = None
        self.since = now
        """Since when it is connected, or since its start."""
        self.connected = False
        self.busy = 0
        """Sends and calls under way."""

    @property
    def process(self) -> Process:
        """The process that it shares."""
        return self._host.process

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def capabilities(self) -> Capabilities:
        """What its engine can do."""
        return self.process.capabilities

    @property
    def gone(self) -> bool:
        """Whether it has left, or its process has ended."""
        return self._exited.done()

    @property
    def exited(self) -> "asyncio.Future[EngineExit]":
        """Done when the session certainly runs here no more: it has left, or its process is dead.

        Each access gives a future of the caller's own.
        """
        return asyncio.shield(self._exited)

    # --- what the runner asks for -------------------------------------------------------------------------------------

    async def arm(self, deadline: float) -> None:
        """Move the hard fence of the whole process."""
        await self.process.arm(deadline)

    async def ping(self, timeout: float) -> None:
        """Ask the process for a sign of life."""
        await self.process.ping(timeout)

    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult:
        """See `EngineProcess.send`."""
        with self._busy():
            return await self.process.send(uid, message, timeout)

    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float | None = None) -> Any:
        """See `EngineProcess.call`."""
        with self._busy():
            return await self.process.call(uid, method, arguments, timeout)

    async def logout(self, uid: str, timeout: float) -> None:
        """See `EngineProcess.logout`."""
        with self._busy():
            await self.process.logout(uid, timeout)

    async def disconnect(self, uid: str) -> None:
        """End the session in order: connection closed, journal synced and given back. Raises EngineError.

        The last one that leaves ends the process; `exited` then waits for that.
        """
        if self.gone:
            return
        await self.process.disconnect(uid)
        if not self._host.alone(uid):
            self._end(EngineExit(0, ExitReason.CLEAN))

    async def stop(self, grace: float) -> EngineExit:
        """Leave, and wait for it to be certain; after `grace` seconds kill the process.

        A session that is dialing cannot leave before that has ended one way or the other: as long as it has neighbours
        it gets DIAL_SECONDS.
        """
        if not self.gone and self._host.alone(self.uid):
            return await self.process.stop(grace)
        await self._leave_or_die(grace)
        return await self.exited

    def kill(self) -> None:
        """End it at once and return; `exited` confirms it. Neighbours are spared if it leaves in time."""
        if self.gone or self._killing is not None:
            return
        if self._host.alone(self.uid):
            self.process.kill()
            return
        self._killing = asyncio.create_task(self._leave_or_die(KILL_LEAVE_SECONDS), name=f"leave {self.uid}")

    # --- what the pool does -------------------------------------------------------------------------------------------

    def hear(self, event: EngineEvent, now: float) -> None:
        """The engine said something of this session."""
        if self.gone:
            return
        match event:
            case Connected():
                if not self.connected:
                    self.since = now
                self.connected = True
            case Disconnected() | LoggedOut() | StreamReplaced() | TemporaryBan() | ConnectFailure() | JournalFull():
                self.connected = False
            case KeepAliveLost():
                self.connected = False  # a dead connection may take long to leave: whatsmeow says goodbye first
            case KeepAliveRestored():
                self.connected = True
            case _:
                pass
        self._on_event(event)

    def move(self, reason: MoveReason) -> None:
        """Ask the runner to end the session in order and to start it again."""
        if not self.gone:
            self._on_event(MoveWanted(self.uid, reason))

    def process_ended(self, ended: EngineExit) -> None:
        """The process is dead."""
        self._end(ended)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _end(self, ended: EngineExit) -> None:
        self.connected = False
        if not self._exited.done():
            self._exited.set_result(ended)

    async def _leave_or_die(self, grace: float) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        patience = grace if self.connected else max(grace, DIAL_SECONDS)
        while not self.gone:
            try:
                async with asyncio.timeout(grace):
                    await self.disconnect(self.uid)
                    await self.exited
            except EngineGone:
                return
            except (EngineError, TimeoutError) as error:
                waited = loop.time() - began
                if isinstance(error, EngineRefused) or waited >= patience or self._host.alone(self.uid):
                    self._take_down(error)
                    return
                await asyncio.sleep(AGAIN_SECONDS)

    def _take_down(self, error: Exception) -> None:
        if self.gone:
            return
        _log.error("engine.does_not_leave", engine_pid=self.pid, error=repr(error))
        self._host.culprit = self.uid
        self.process.kill(hung=True)

    @contextlib.contextmanager
    def _busy(self) -> Generator[None]:
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
