"""What the end of an engine process means. Pure: the caller brings exit code, clock and what it knows."""

import enum
import signal
from dataclasses import dataclass

from whatsam_connector.engine.protocol import ExitCode


class ExitReason(enum.Enum):
    """Why an engine process has ended, by what the supervisor should think of it."""

    CLEAN = "Clean"
    """It drained and left when it was told to."""
    PANIC = "Panic"
    """Go panicked (SIGABRT, exit code 2): normal life with neonize. Restart with backoff."""
    CRASHED = "Crashed"
    """Another signal that a fault raises, SIGSEGV for example. Restart with backoff."""
    FENCED = "Fenced"
    """The kernel timer fired: nobody has moved the deadline in time."""
    KILLED = "Killed"
    """SIGKILL by this supervisor, or by somebody else (out of memory, a person)."""
    HUNG = "Hung"
    """The supervisor killed it because it did not start, answer or leave in time."""
    PAIRING_TIMEOUT = "PairingTimeout"
    """Nobody scanned. Start again for fresh codes."""
    PAIRING_FAILED = "PairingFailed"
    """The pairing ended with an error; the event before it says which."""
    CONNECT_FAILED = "ConnectFailed"
    """neonize's connect() ended. Restart with backoff."""
    PARENT_GONE = "ParentGone"
    """The engine lost the supervisor's socket."""
    PROTOCOL_ERROR = "ProtocolError"
    """One of the two sides read garbage."""
    JOURNAL_FAILED = "JournalFailed"
    """The journal's disk refused, or the engine before still holds the journal."""
    ENGINE_FAILED = "EngineFailed"
    """neonize cannot be loaded, the fence cannot be armed, or a handler of ours failed."""


BLAMED = frozenset(
    {
        ExitReason.PANIC,
        ExitReason.CRASHED,
        ExitReason.HUNG,
        ExitReason.KILLED,
        ExitReason.ENGINE_FAILED,
        ExitReason.PROTOCOL_ERROR,
    }
)
"""Ends for which a session may be the reason. KILLED: by the kernel for its memory, if not by a person."""


class KillCause(enum.Enum):
    """Why the supervisor itself sent SIGKILL."""

    REQUESTED = ExitReason.KILLED
    HUNG = ExitReason.HUNG
    BROKEN_PROTOCOL = ExitReason.PROTOCOL_ERROR


@dataclass(frozen=True, slots=True)
class EngineExit:
    """The confirmed end of a process: it has been waited for, it holds no file and no lock any more."""

    code: int
    """Exit code, or minus the signal's number."""
    reason: ExitReason
    detail: str = ""
    """A redacted line of its last output that seems to say why, if there was one."""
    requested: bool = False
    """This supervisor killed it, and not because anything was wrong with it."""


_CODES = {
    ExitCode.CLEAN: ExitReason.CLEAN,
    ExitCode.BAD_ARGUMENTS: ExitReason.ENGINE_FAILED,
    ExitCode.FENCE_NOT_ARMED: ExitReason.ENGINE_FAILED,
    ExitCode.PARENT_GONE: ExitReason.PARENT_GONE,
    ExitCode.PROTOCOL_ERROR: ExitReason.PROTOCOL_ERROR,
    ExitCode.ENGINE_FAILED: ExitReason.ENGINE_FAILED,
    ExitCode.JOURNAL_FAILED: ExitReason.JOURNAL_FAILED,
    ExitCode.PAIRING_TIMEOUT: ExitReason.PAIRING_TIMEOUT,
    ExitCode.PAIRING_FAILED: ExitReason.PAIRING_FAILED,
    ExitCode.CONNECT_FAILED: ExitReason.CONNECT_FAILED,
}

_GO_FATAL = 2
"""Exit code of Go's runtime after a fatal error that does not abort."""


def classify(code: int, *, killed: KillCause | None, deadline: float, now: float) -> ExitReason:
    """Reason of an exit.

    `code`: exit code or minus the signal. `killed`: why the supervisor killed it, if it did. `deadline`: the last one
    that the engine confirmed; `now`: when the end was noticed; both in seconds of CLOCK_BOOTTIME. A SIGKILL that nobody
    here sent, after the deadline, was the kernel timer's.
    """
    if code == -signal.SIGKILL:
        if killed is not None:
            return killed.value
        return ExitReason.FENCED if now >= deadline else ExitReason.KILLED
    if code in (-signal.SIGABRT, _GO_FATAL):
        return ExitReason.PANIC
    if code < 0:
        # SIGTERM and the like come from people and kubelets; the rest are faults.
        return ExitReason.KILLED if -code in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) else ExitReason.CRASHED
    return _CODES.get(ExitCode(code), ExitReason.ENGINE_FAILED) if code in set(ExitCode) else ExitReason.ENGINE_FAILED
