"""The child's side of the protocol: serves the supervisor's requests for the sessions of this process.

It knows no engine by name: what runs the sessions comes in as an `Engine`. The main thread reads the socket and moves
the kernel timer; it never calls into an engine, so that a hanging neonize cannot keep the fence from being moved, nor
`Ping` and `Stop` from being heard.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from whatsam_connector.engine.commands import CommandQueue
from whatsam_connector.engine.committer import Committer
from whatsam_connector.engine.ending import end
from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.engine.link import Link
from whatsam_connector.engine.methods import METHODS, Lane
from whatsam_connector.engine.protocol import (
    PROTOCOL_VERSION,
    Answer,
    Arm,
    Call,
    Cancel,
    Capabilities,
    Disconnect,
    Done,
    EventFrame,
    ExitCode,
    Hello,
    Logout,
    Ping,
    Refused,
    Send,
    SessionStart,
    Start,
    Started,
    Stop,
)
from whatsam_connector.fence import FenceError, KernelTimer
from whatsam_connector.journal import JournalError, Writer

STARTED_BEFORE_STOP_SECONDS = 2.0
"""How long a stop waits for sessions that are just starting: calling into neonize before that could crash it."""

Emit = Callable[[EngineEvent], None]


class Session(Protocol):
    """A session as an engine runs it. None of the methods raises; a failure is an answer, an event, or the end."""

    def send(self, request: Send) -> Answer:
        """Send one message and wait for WhatsApp's answer."""
        ...

    def call(self, request: Call) -> Answer:
        """Carry out one of the calls of `methods`; Refused(Unsupported) for one that this engine lacks."""
        ...

    def logout(self, request: Logout) -> Answer:
        """Unlink the device."""
        ...

    def disconnect(self) -> None:
        """Close the connection for good and return when the handlers have worked off what had arrived."""
        ...


class Engine(Protocol):
    """What runs sessions: neonize now, another engine later."""

    name: str
    capabilities: Capabilities

    def version(self) -> str:
        """The engine's version, without loading it."""
        ...

    def start(self, sessions: tuple[SessionStart, ...], tools: "Tools") -> dict[str, Session]:
        """Start the sessions one after another; return when the last one has started (not: is connected)."""
        ...


class Tools:
    """What an engine needs of the host: where events go, and the journal of each session."""

    def __init__(self, emit: Emit, committer: Committer, journals: dict[str, Writer]) -> None:
        self.emit = emit
        self.committer = committer
        self.journals = journals


class Host:
    """Serves one supervisor until the process ends."""

    def __init__(self, link: Link, timer: KernelTimer, deadline: float, engine: Engine) -> None:
        self._link = link
        self._timer = timer
        self._deadline = deadline
        self._engine = engine
        self._committer = Committer(self._emit)
        self._sessions: dict[str, Session] = {}
        self._lanes: dict[tuple[str, Lane], CommandQueue] = {}
        self._left: set[str] = set()
        self._started = threading.Event()
        self._start_seen = False

    def serve(self) -> None:
        """Say hello and work off the supervisor's messages; never returns."""
        self._link.send(
            Hello(
                version=PROTOCOL_VERSION,
                engine=self._engine.name,
                engine_version=self._engine.version(),
                pid=os.getpid(),
                capabilities=self._engine.capabilities,
                deadline=self._deadline,
            )
        )
        for message in self._link.messages():
            match message:
                case Arm():
                    self._arm(message)
                case Ping():
                    self._link.send(Done(message.id))
                case Start() if not self._start_seen:
                    self._start_seen = True
                    self._lanes = self._make_lanes(message.sessions)
                    self._in_thread("start", lambda sessions=message.sessions: self._start(sessions))
                case Start():
                    end(ExitCode.PROTOCOL_ERROR, "sessions cannot be added to a running process")
                case Stop():
                    self._in_thread("stop", self._stop)
                case Cancel():
                    for commands in set(self._lanes.values()):
                        commands.cancel(message.target)
                case Send() | Logout() | Disconnect():
                    self._command(message, Lane.MESSAGES)
                case Call():
                    method = METHODS.get(message.method)
                    if method is None:
                        self._link.send(Refused(message.id, "Unsupported", "no engine has this call"))
                    else:
                        self._command(message, method.lane)

    def _arm(self, message: Arm) -> None:
        try:
            self._timer.arm(message.deadline)
        except FenceError as error:
            end(ExitCode.FENCE_NOT_ARMED, str(error))
        self._link.send(Done(message.id))

    def _make_lanes(self, sessions: tuple[SessionStart, ...]) -> dict[tuple[str, Lane], CommandQueue]:
        media = CommandQueue("media", self._link.send, self._started, abandons=True)
        lanes: dict[tuple[str, Lane], CommandQueue] = {}
        for session in sessions:
            lanes[session.uid, Lane.MESSAGES] = CommandQueue("messages", self._link.send, self._started)
            lanes[session.uid, Lane.LOOKUPS] = CommandQueue("lookups", self._link.send, self._started, abandons=True)
            lanes[session.uid, Lane.MEDIA] = media
        return lanes

    def _command(self, message: Send | Call | Logout | Disconnect, lane: Lane) -> None:
        commands = self._lanes.get((message.uid, lane))
        if commands is None:
            self._link.send(Refused(message.id, "UnknownSession", "this process does not run that session"))
            return
        commands.put(message.id, lambda: self._run(message))

    def _run(self, message: Send | Call | Logout | Disconnect) -> Answer:
        """Carry out one command, in the thread of its lane."""
        if message.uid in self._left:
            return Refused(message.id, "NotConnected", "the session has left this process")
        session = self._sessions[message.uid]
        match message:
            case Send():
                return session.send(message)
            case Call():
                return session.call(message)
            case Logout():
                return session.logout(message)
            case Disconnect():
                session.disconnect()
                self._committer.commit()
                self._left.add(message.uid)
                if len(self._left) == len(self._sessions):
                    self._link.send(Done(message.id))
                    end(ExitCode.CLEAN)
                return Done(message.id)

    def _start(self, sessions: tuple[SessionStart, ...]) -> None:
        journals: dict[str, Writer] = {}
        try:
            for session in sessions:
                journals[session.uid] = Writer(Path(session.journal))
        except JournalError as error:
            end(ExitCode.JOURNAL_FAILED, str(error))
        self._sessions = self._engine.start(sessions, Tools(self._emit, self._committer, journals))
        self._started.set()
        self._link.send(Started())

    def _stop(self) -> None:
        if self._started.wait(STARTED_BEFORE_STOP_SECONDS):
            leaving = [
                threading.Thread(target=session.disconnect, daemon=True)
                for uid, session in self._sessions.items()
                if uid not in self._left
            ]
            for thread in leaving:
                thread.start()
            for thread in leaving:
                thread.join()
        self._committer.commit()
        end(ExitCode.CLEAN)

    def _emit(self, event: EngineEvent) -> None:
        self._link.send(EventFrame(event))

    def _in_thread(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave a dead engine behind
                end(ExitCode.ENGINE_FAILED, f"{name}: {type(error).__name__}: {error}")

        threading.Thread(target=guarded, name=name, daemon=True).start()
