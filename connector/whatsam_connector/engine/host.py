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
from whatsam_connector.engine.events import ConnectFailure, EngineEvent, JournalFull
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
    Uncertain,
)
from whatsam_connector.fence import FenceError, KernelTimer
from whatsam_connector.journal import JournalError, Limits, Room, Writer

STARTED_BEFORE_STOP_SECONDS = 2.0
"""How long a stop waits for sessions that are just starting: calling into neonize before that could crash it."""

LEAVE_SECONDS = 7.0
"""After a disconnect, whatsmeow gives the send that it has interrupted up to 5 s to see a connection again."""

ABANDONED_UPLOADS = 2
"""Uploads to a silent server that one process may have behind it; each holds about three times its file in memory."""
ABANDONED_LOOKUPS = 4
"""Questions of one session without an answer; neonize gives each up after 75 s."""

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
        """Close the connection for good and return when the handlers have worked off what had arrived.

        May be called twice, also from two threads at once.
        """
        ...


class Engine(Protocol):
    """What runs sessions: neonize now, another engine later."""

    name: str
    capabilities: Capabilities

    def version(self) -> str:
        """The engine's version, without loading it."""
        ...

    def load(self) -> None:
        """Load what takes time, before it is known which sessions will run. Ends the process when it cannot."""
        ...

    def start(self, sessions: tuple[SessionStart, ...], tools: "Tools") -> dict[str, Session]:
        """Start the sessions one after another; return when the last one has started (not: is connected)."""
        ...


class Tools:
    """What an engine needs of the host: where events go, and the journal of each session."""

    def __init__(
        self, emit: Emit, committer: Committer, journals: dict[str, Writer], started: threading.Event, *, alone: bool
    ) -> None:
        self.emit = emit
        self.committer = committer
        self.journals = journals
        self.started = started
        """Set when the last session has started: only then may the engine be called."""
        self.alone = alone
        """The process has one session: its failure is the end of the process, whose exit code then says more."""


class Host:
    """Serves one supervisor until the process ends."""

    def __init__(self, link: Link, timer: KernelTimer, deadline: float, engine: Engine) -> None:
        self._link = link
        self._timer = timer
        self._deadline = deadline
        self._engine = engine
        self._committer = Committer(self._emit, self._journal_full)
        self._sessions: dict[str, Session] = {}
        self._lanes: dict[tuple[str, Lane], CommandQueue] = {}
        self._journals: dict[str, Writer] = {}
        self._leaving: dict[str, threading.Lock] = {}
        self._left: set[str] = set()
        self._number = 0
        self._leave_lock = threading.Lock()
        self._loaded = threading.Event()
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
        self._in_thread("load", self._load)
        for message in self._link.messages():
            match message:
                case Arm():
                    self._arm(message)
                case Ping():
                    self._link.send(Done(message.id))
                case Start():
                    self._take_start(message)
                case Stop():
                    self._in_thread("stop", self._stop)
                case Cancel():
                    for commands in set(self._lanes.values()):
                        commands.cancel(message.target)
                case Disconnect():
                    # Not in the lane: a send that hangs would keep it waiting, and this is what ends such a send.
                    self._in_thread("leave", lambda message=message: self._link.send(self._leave(message)))
                case Send() | Logout():
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
        media = CommandQueue("media", self._link.send, self._started, abandons=ABANDONED_UPLOADS)
        lanes: dict[tuple[str, Lane], CommandQueue] = {}
        for session in sessions:
            lanes[session.uid, Lane.MESSAGES] = CommandQueue("messages", self._link.send, self._started)
            lanes[session.uid, Lane.LOOKUPS] = CommandQueue(
                "lookups", self._link.send, self._started, abandons=ABANDONED_LOOKUPS
            )
            lanes[session.uid, Lane.MEDIA] = media
        return lanes

    def _take_start(self, message: Start) -> None:
        if self._start_seen:
            end(ExitCode.PROTOCOL_ERROR, "sessions cannot be added to a running process")
        self._start_seen = True
        self._lanes = self._make_lanes(message.sessions)
        self._in_thread("start", lambda: self._start(message.sessions))

    def _load(self) -> None:
        self._engine.load()
        self._loaded.set()

    def _command(self, message: Send | Call | Logout, lane: Lane) -> None:
        commands = self._lanes.get((message.uid, lane))
        if commands is None:
            self._link.send(Refused(message.id, "UnknownSession", "this process does not run that session"))
            return
        commands.put(message.id, lambda: self._run(message))

    def _run(self, message: Send | Call | Logout) -> Answer:
        """Carry out one command, in the thread of its lane."""
        if message.uid in self._leaving or message.uid not in self._sessions:
            return Refused(message.id, "NotConnected", "the session has left this process")
        session = self._sessions[message.uid]
        match message:
            case Send():
                return session.send(message)
            case Call():
                return session.call(message)
            case Logout():
                return session.logout(message)

    def _leave(self, message: Disconnect) -> Answer:
        """End one session for good; the process ends with the last one."""
        uid = message.uid
        if (uid, Lane.MESSAGES) not in self._lanes:
            return Refused(message.id, "UnknownSession", "this process does not run that session")
        with self._leave_lock:
            leaving = self._leaving.setdefault(uid, threading.Lock())
        with leaving:
            self._started.wait()
            if uid not in self._left and not self._has_left(uid):
                return Uncertain(message.id, "a message is still under way")
        with self._leave_lock:
            last = len(self._left) == self._number
        if last:
            self._link.send(Done(message.id))
            end(ExitCode.CLEAN)
        return Done(message.id)

    def _has_left(self, uid: str) -> bool:
        """Disconnect, drain, give the journal back. False: a message is under way and may still change the keys."""
        session = self._sessions.get(uid)
        if session is not None:
            session.disconnect()
            if not self._lanes[uid, Lane.MESSAGES].wait_until_idle(LEAVE_SECONDS):
                return False
        self._committer.leave(uid, self._journals[uid])
        with self._leave_lock:
            self._left.add(uid)
        return True

    def _start(self, sessions: tuple[SessionStart, ...]) -> None:
        self._loaded.wait()
        self._number = len(sessions)
        alone = self._number == 1
        for session in sessions:
            try:
                limits = Limits(session.journal_limit, session.free_disk)
                self._journals[session.uid] = Writer(Path(session.journal), limits=limits)
            except JournalError as error:
                if alone:
                    end(ExitCode.JOURNAL_FAILED, str(error))
                self._left.add(session.uid)
                self._emit(ConnectFailure(session.uid, f"JournalFailed: {error}"))
        able = tuple(session for session in sessions if session.uid in self._journals)
        if not able:
            end(ExitCode.JOURNAL_FAILED, "no session has its journal")
        tools = Tools(self._emit, self._committer, self._journals, self._started, alone=alone)
        self._sessions = self._engine.start(able, tools)
        self._started.set()
        self._link.send(Started())

    def _journal_full(self, uid: str, room: Room) -> None:
        """Leave WhatsApp, which keeps what comes from now on; the supervisor ends the session."""
        self._emit(JournalFull(uid, room.value))

        def hang_up() -> None:
            self._started.wait()
            self._sessions[uid].disconnect()
            self._committer.commit()

        self._in_thread("journal-full", hang_up)

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
