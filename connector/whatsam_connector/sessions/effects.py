"""What `transitions.step` asks the runner to do. Each ends, where it says so, in an input."""

from dataclasses import dataclass

from whatsam_connector.sessions.inputs import Timer


@dataclass(frozen=True)
class Prepare:
    """Find the auth state; ends in `PrepareEnded`."""


@dataclass(frozen=True)
class Spawn:
    """Start an engine; ends in `EngineStarted` or `EngineStartFailed`."""

    pairing: bool
    """There is no device yet: ask for codes."""


@dataclass(frozen=True)
class EndEngine:
    """Disconnect and end the engine; ends in `EngineGone`."""

    at_once: bool
    """Kill it: it hangs, or there is nothing to end in order."""


@dataclass(frozen=True)
class Flush:
    """Store everything that is in the file now; ends in `FlushEnded`."""


@dataclass(frozen=True)
class Release:
    """Empty the journal, store the final state, let go of it; ends in `ReleaseEnded`. Only without an engine."""


@dataclass(frozen=True)
class LogOut:
    """Unlink the device at WhatsApp; ends in `LogoutEnded`."""


@dataclass(frozen=True)
class Forget:
    """Empty the journal, let go of the local files and delete them. Only without an engine."""

    keep_files: bool = False
    """Leave them where they are."""


@dataclass(frozen=True)
class StartTimer:
    """Ends in `TimerFired` after so many seconds, unless it is cancelled or started again."""

    timer: Timer
    seconds: float


@dataclass(frozen=True)
class BackOff:
    """Start `Timer.RETRY` with the wait that so many failures in a row deserve."""

    failures: int


@dataclass(frozen=True)
class CancelTimer:
    """The timer is not needed any more."""

    timer: Timer


@dataclass(frozen=True)
class TryProxy:
    """Look whether the session's proxy, if it has one, is what keeps it from connecting; may end in `ProxyFailed`."""


Effect = Prepare | Spawn | EndEngine | Flush | Release | LogOut | Forget | StartTimer | BackOff | CancelTimer | TryProxy
