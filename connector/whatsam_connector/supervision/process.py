"""An engine process as the session runners use it: start it, talk to it, and know for certain when it is dead."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.engine.methods import METHODS
from whatsam_connector.engine.protocol import (
    Answer,
    Arm,
    Call,
    Cancel,
    Capabilities,
    Disconnect,
    Done,
    EventFrame,
    Hello,
    Logout,
    Ping,
    Refused,
    Result,
    Send,
    Sent,
    Start,
    Started,
    Stop,
    ToEngine,
    Uncertain,
)
from whatsam_connector.engine.wire import WireError
from whatsam_connector.fence import boottime
from whatsam_connector.supervision.child import Child
from whatsam_connector.supervision.connection import EngineConnection, Listener
from whatsam_connector.supervision.errors import (
    EngineGone,
    EngineRefused,
    EngineStartFailed,
    EngineUncertain,
    EngineUnresponsive,
)
from whatsam_connector.supervision.exits import EngineExit, ExitReason, KillCause, classify
from whatsam_connector.supervision.greeting import OUTPUT_SECONDS, engine_environment, greet
from whatsam_connector.supervision.outgoing import OutgoingMessage, SendResult, recipient_jid
from whatsam_connector.supervision.redaction import redact
from whatsam_connector.supervision.sessions import EngineSession, check_devices, start_request
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

ARM_SECONDS = 2.0
"""An answer needs no disk and no network; an engine that takes longer will meet its deadline."""
DISCONNECT_SECONDS = 10.0
"""Closing the connection and draining takes below a second; neonize may hang at it."""
CANCEL_SECONDS = 1.0
"""After the time limit of a send: how long to wait for word that it had not begun."""

NEONIZE: tuple[str, ...] = (sys.executable, "-m", "whatsam_connector.engine")
"""The engine that needs no program of its own."""


class EngineProcess:
    """A running engine. Make one with `spawn`. All methods belong to the event loop's thread."""

    def __init__(self, child: Child, connection: EngineConnection, hello: Hello) -> None:
        """Only for `launch`."""
        self._child = child
        self._connection = connection
        self._hello = hello
        self._on_event: Callable[[EngineEvent], None] | None = None
        self._uids: frozenset[str] = frozenset()
        self._deadline = hello.deadline
        self._kill_cause: KillCause | None = None
        self._exited: asyncio.Future[EngineExit] = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(), name=f"engine-{child.pid}")

    @classmethod
    async def spawn(
        cls,
        sessions: Sequence[EngineSession],
        *,
        environment: Mapping[str, str],
        run_dir: Path,
        deadline: float,
        on_event: Callable[[EngineEvent], None],
        program: Sequence[str] = NEONIZE,
    ) -> "EngineProcess":
        """Start a process that runs `sessions`, and return when it has said hello and was told to open them.

        `environment` comes on top of this process's own, without the connector's settings (WHATSAM_*). `run_dir` holds
        the socket until the child has connected. `deadline`: CLOCK_BOOTTIME seconds of the hard fence; the child arms
        its kernel timer to it before anything else. `on_event` is called for every event, in order, from the event
        loop, possibly before this returns. Raises EngineStartFailed; then no process is left.
        """
        await asyncio.to_thread(check_devices, sessions)
        engine = await cls.launch(environment=environment, run_dir=run_dir, deadline=deadline, program=program)
        engine.begin(sessions, on_event)
        return engine

    @classmethod
    async def launch(
        cls, *, environment: Mapping[str, str], run_dir: Path, deadline: float, program: Sequence[str] = NEONIZE
    ) -> "EngineProcess":
        """Start a process that loads its engine, keeps its fence, and waits for `begin`. Raises EngineStartFailed.

        `program`: the engine's command and flags; socket, deadline and parent come behind them.
        """
        try:
            listener = Listener(run_dir)
        except OSError as error:
            raise EngineStartFailed("SocketFailed", f"no socket for the engine: {error}") from error
        try:
            command = [*program, "--socket", str(listener.path), "--deadline", repr(deadline)]
            command += ["--parent", str(os.getpid())]
            try:
                child = await Child.start(command, engine_environment(environment))
            except OSError as error:
                raise EngineStartFailed("SpawnFailed", f"no process for the engine: {error}") from error
            try:
                connection, hello = await greet(listener, child)
            except BaseException:
                child.kill()
                await asyncio.shield(child.ended)
                raise
        finally:
            listener.close()
        return cls(child, connection, hello)

    def begin(self, sessions: Sequence[EngineSession], on_event: Callable[[EngineEvent], None]) -> None:
        """Give the process its sessions, once. `check_devices` has passed them; `on_event`: see `spawn`."""
        if len({session.uid for session in sessions}) != len(sessions) or not sessions:
            raise ValueError("an engine process needs sessions with different uids")
        if self._on_event is not None:
            raise ValueError("sessions cannot be added to a running process")
        self._on_event = on_event
        self._uids = frozenset(session.uid for session in sessions)
        if len(sessions) == 1 and sessions[0].debug:
            self._child.output.show(sessions[0].uid)
        self._connection.write(Start(tuple(start_request(session) for session in sessions)))

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        return self._hello.capabilities

    @property
    def engine_version(self) -> str:
        """Name and version, like `neonize-0.5.2`."""
        return f"{self._hello.engine}-{self._hello.engine_version}"

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    @property
    def deadline(self) -> float:
        """The hard fence that the engine has confirmed, CLOCK_BOOTTIME seconds."""
        return self._deadline

    @property
    def exited(self) -> "asyncio.Future[EngineExit]":
        """Done when the process is certainly dead and everything that it said has been delivered.

        Each access gives a future of the caller's own: one that is cancelled by a time limit hurts nobody else.
        """
        return asyncio.shield(self._exited)

    async def arm(self, deadline: float) -> None:
        """Move the hard fence; returns when the kernel has it. Raises EngineUnresponsive or EngineGone."""
        await self._ask(lambda request: Arm(request, deadline), ARM_SECONDS, "arm")
        self._deadline = deadline

    async def ping(self, timeout: float) -> None:
        """Ask for a sign of life. Raises EngineUnresponsive or EngineGone."""
        await self._ask(Ping, timeout, "ping")

    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult:
        """Send one message and wait for WhatsApp's server to take it, at most about `timeout` seconds.

        Raises EngineRefused when it was certainly not sent, EngineUncertain when it may have been: the time was up
        after the engine had begun, the connection broke, or the process died.
        """
        to = recipient_jid(message.to)
        if message.message_id is not None and not self.capabilities.own_message_ids:
            raise EngineRefused("Unsupported", "this engine cannot choose message ids")
        answer = await self._effect(
            lambda request: Send(request, uid, to, message.message, message.message_id), timeout, "the message"
        )
        if not isinstance(answer, Sent):
            raise EngineUncertain("the engine gave an answer that does not belong to a send")
        return SendResult(answer.wa_id, answer.timestamp)

    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float | None = None) -> Any:
        """Carry out a call of `engine.methods` and return its value (JSON); `timeout`: the method's own by default.

        Raises EngineRefused when it was certainly not done. No answer in time, or a process that died: EngineUncertain
        for a call that changes something at WhatsApp, EngineUnresponsive or EngineGone for one that does not.
        """
        known = METHODS.get(method)
        if known is None:
            raise EngineRefused("Unsupported", "no engine has this call")
        limit = known.timeout_seconds if timeout is None else timeout
        text = json.dumps(arguments, separators=(",", ":"))
        try:
            answer = await self._effect(lambda request: Call(request, uid, method, text), limit, method)
        except EngineUncertain as uncertain:
            if known.changes:
                raise
            if self._exited.done():
                raise EngineGone(self._exited.result()) from uncertain
            raise EngineUnresponsive(str(uncertain)) from uncertain
        if not isinstance(answer, Result):
            raise EngineUncertain("the engine gave an answer that does not belong to a call")
        try:
            return json.loads(answer.value)
        except (ValueError, RecursionError) as error:
            raise EngineUncertain("the engine gave an answer that is no JSON") from error

    async def logout(self, uid: str, timeout: float) -> None:
        """Unlink the device at WhatsApp. Raises EngineRefused (still linked) or EngineUncertain."""
        await self._effect(lambda request: Logout(request, uid), timeout, "the logout")

    async def disconnect(self, uid: str) -> None:
        """End one session for good: close its connection, drain what had arrived into the journal, sync it.

        The process ends by itself when its last session has left. Raises EngineUnresponsive or EngineGone.
        """
        try:
            await self._ask(lambda request: Disconnect(request, uid), DISCONNECT_SECONDS, "disconnect")
        except EngineGone as gone:
            if gone.ended.reason is not ExitReason.CLEAN:
                raise

    async def stop(self, grace: float) -> EngineExit:
        """Let every session leave and the process end; after `grace` seconds kill it. Returns the confirmed end."""
        if not self._exited.done():
            self._connection.write(Stop())
            try:
                await asyncio.wait_for(self.exited, grace)
            except TimeoutError:
                self._kill(KillCause.HUNG)
        return await self.exited

    def kill(self, *, hung: bool = False) -> None:
        """Send SIGKILL and return at once; `exited` confirms the death. `hung`: the reason that `exited` shall give."""
        self._kill(KillCause.HUNG if hung else KillCause.REQUESTED)

    def _kill(self, cause: KillCause) -> None:
        if not self._child.ended.done():
            self._kill_cause = self._kill_cause or cause
            self._child.kill()

    # --- requests -----------------------------------------------------------------------------------------------------

    async def _ask(self, message: Callable[[int], ToEngine], timeout: float, what: str) -> None:
        """A request that changes nothing outside the engine."""
        self._check_alive()
        request, future = self._connection.request(message)
        try:
            answer = await asyncio.wait_for(future, timeout)
        except TimeoutError:
            raise EngineUnresponsive(f"no answer to {what} within {timeout:g} s") from None
        finally:
            self._connection.forget(request)
        if isinstance(answer, Refused):
            raise EngineRefused(answer.code, answer.message)
        if isinstance(answer, Uncertain):
            raise EngineUnresponsive(f"{what}: {answer.message}")

    async def _effect(self, message: Callable[[int], ToEngine], timeout: float, what: str) -> Answer:
        """A request that changes something at WhatsApp: every failure is either refused or uncertain."""
        if self._exited.done() or self._child.ended.done():
            raise EngineRefused("EngineGone", "the engine has ended")
        try:
            request, future = self._connection.request(message)
        except WireError as error:
            raise EngineRefused("TooLarge", str(error)) from error
        try:
            answer = await self._answer_or_cancel(request, future, timeout)
        except EngineGone as gone:
            raise EngineUncertain(f"the engine ended over {what}: {gone.ended.reason.value}") from gone
        finally:
            self._connection.forget(request)
        match answer:
            case Refused():
                raise EngineRefused(answer.code, redact(answer.message))  # the library's words may name people
            case Uncertain():
                raise EngineUncertain(redact(answer.message))
            case None:
                raise EngineUncertain(f"no word about {what} within {timeout:g} s")
            case _:
                return answer

    async def _answer_or_cancel(self, request: int, future: "asyncio.Future[Answer]", timeout: float) -> Answer | None:
        try:
            return await asyncio.wait_for(asyncio.shield(future), timeout)
        except asyncio.CancelledError:
            self._connection.write(Cancel(request))  # the caller is gone: do not begin it later
            raise
        except TimeoutError:
            self._connection.write(Cancel(request))
        try:
            return await asyncio.wait_for(future, CANCEL_SECONDS)
        except TimeoutError:
            return None

    def _check_alive(self) -> None:
        if self._exited.done():
            raise EngineGone(self._exited.result())

    # --- life ---------------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Deliver what the engine says until it is dead, then say so."""
        listening = asyncio.create_task(self._listen(), name=f"engine-{self.pid}-listen")
        code = await self._child.ended
        noticed = boottime()
        # What the process said last is still in the kernel's buffers: deliver it before the end is announced.
        await asyncio.wait([listening, self._child.output.closed], timeout=OUTPUT_SECONDS)
        listening.cancel()
        reason = classify(code, killed=self._kill_cause, deadline=self._deadline, now=noticed)
        requested = self._kill_cause is KillCause.REQUESTED and reason is ExitReason.KILLED
        ended = EngineExit(code, reason, self._child.output.detail, requested)
        _log.info("engine ended", engine_pid=self.pid, reason=reason.value, code=code, detail=ended.detail)
        self._exited.set_result(ended)
        self._connection.close(lambda: EngineGone(ended))

    async def _listen(self) -> None:
        try:
            async for message in self._connection.messages():
                match message:
                    case EventFrame() if message.event.uid in self._uids:
                        self._deliver(message.event)
                    case EventFrame():
                        self._broken("an event of a session that it does not run")
                    case Done() | Sent() | Result() | Refused() | Uncertain():
                        self._connection.answered(message)
                    case Started():
                        pass
                    case Hello():
                        self._broken("a second hello")
        except WireError as error:
            self._broken(str(error))

    def _broken(self, error: str) -> None:
        _log.warning("engine speaks garbage", engine_pid=self.pid, error=error)
        self._kill(KillCause.BROKEN_PROTOCOL)

    def _deliver(self, event: EngineEvent) -> None:
        try:
            if self._on_event is not None:
                self._on_event(event)
        except Exception:  # noqa: BLE001 - logged with its traceback
            # A fault in one handler must not cost the session its later events.
            _log.exception("engine event handler failed", engine_pid=self.pid, event_type=type(event).__name__)
