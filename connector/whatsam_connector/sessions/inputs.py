"""What can happen to a session: the inputs of `transitions.step`. Made by the runner, from engine, state and watch."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from whatsam_connector.state.records import PrepareOutcome
from whatsam_core.resources.session import Handover


class StopReason(Enum):
    """Why a session is ended in order."""

    STOPPED = "Stopped"
    """`spec.desiredState` is Stopped."""
    DELETED = "Deleted"
    """The object is being deleted and its state kept."""
    LOGOUT = "Logout"
    """The object is being deleted: log the device out first."""
    HANDED_OVER = "HandedOver"
    """Another worker takes the session."""


class Timer(Enum):
    """Timers of a session; starting one again replaces it."""

    RETRY = "retry"
    """Back-off is over: start again."""
    LOGIN = "login"
    """Not logged in for too long."""
    DRAIN = "drain"
    """The end of the offline queue did not come."""
    FLUSH = "flush"
    RELEASE = "release"
    LOGOUT = "logout"
    """The device could not be logged out in time."""
    GIVE_WAY = "give-way"
    """The store did not take the state: try once more to make way for the successor."""


@dataclass(frozen=True)
class Begin:
    """The session was assigned to this boot."""


@dataclass(frozen=True)
class PrepareEnded:
    """The auth state was looked for."""

    outcome: PrepareOutcome
    jid: str | None = None
    """The device in the local file, if there is one."""
    message: str = ""
    store_epoch: int | None = None


@dataclass(frozen=True)
class EngineStarted:
    """The engine lives and has opened the session's file."""


@dataclass(frozen=True)
class EngineStartFailed:
    """No engine came to life."""

    message: str
    bad_file: bool = False
    """The local file does not serve (its device is gone, it cannot be read): look for the state anew."""
    reason: str = "EngineFailed"
    """The word for the conditions."""


@dataclass(frozen=True)
class EngineGone:
    """The engine process is reaped: confirmed dead."""

    reason: str


@dataclass(frozen=True)
class EngineMoves:
    """The session shall go on in another process: end it in order and start it again at once."""

    reason: str


@dataclass(frozen=True)
class Unanswered:
    """WhatsApp does not answer a keep-alive: the session may look connected and hear nothing."""


@dataclass(frozen=True)
class CodeShown:
    """WhatsApp gave a QR code or a pairing code to show to the phone."""

    qr: str | None
    pairing_code: str | None
    expires_at: datetime | None


@dataclass(frozen=True)
class PasskeyAsked:
    """The account asks for a passkey before the device is linked."""

    request: str
    """What to ask the authenticator: WebAuthn's options as JSON."""
    expires_at: datetime


@dataclass(frozen=True)
class PasskeyTaken:
    """WhatsApp took the passkey."""

    confirmation_code: str | None
    """Somebody has to compare it with the phone's; None: nobody has to."""
    expires_at: datetime


@dataclass(frozen=True)
class PasskeyRequired:
    """The account asks for a passkey, and this engine cannot pass it on. It ends right after this."""


@dataclass(frozen=True)
class PairingFailed:
    """No more codes come from this engine."""

    reason: str
    expired: bool
    """Nobody scanned in time: not a failure, fresh codes follow."""


@dataclass(frozen=True)
class DeviceLinked:
    """A phone has linked the device; its row is in the local file. Not stored yet."""

    jid: str
    phone_number: str | None
    push_name: str | None


@dataclass(frozen=True)
class LoggedIn:
    """WhatsApp took the login."""

    jid: str | None
    push_name: str | None


@dataclass(frozen=True)
class OfflineQueueDrained:
    """Everything that waited at WhatsApp has come."""


@dataclass(frozen=True)
class ConnectionLost:
    """The engine lost its connection and tries again by itself."""

    reason: str


@dataclass(frozen=True)
class ConnectRefused:
    """WhatsApp refused the login for a reason that may pass."""

    reason: str


@dataclass(frozen=True)
class JournalFull:
    """The engine has left WhatsApp: what has arrived must be stored first, and WhatsApp keeps the rest."""

    reason: str


@dataclass(frozen=True)
class LoggedOutByPeer:
    """WhatsApp says that the device is no longer linked."""

    reason: str


@dataclass(frozen=True)
class Replaced:
    """Another connection logged in with the same device."""


@dataclass(frozen=True)
class Banned:
    """WhatsApp refuses the account for a while."""

    code: str
    until: datetime | None


@dataclass(frozen=True)
class EngineOutdated:
    """WhatsApp does not accept this engine's version any more."""


@dataclass(frozen=True)
class ProxyFailed:
    """The session's proxy does not serve: the engine connects again as soon as it does."""

    reason: str
    message: str


@dataclass(frozen=True)
class ProxyChanged:
    """The owner wants another proxy than the engine was started with."""


@dataclass(frozen=True)
class FlushEnded:
    """The flush that `Flush` asked for: an error text, or None when everything before it is stored."""

    error: str | None


@dataclass(frozen=True)
class ReleaseEnded:
    """The final flush: what was handed over, or why not."""

    handover: Handover | None
    error: str = ""


@dataclass(frozen=True)
class LogoutEnded:
    """The device was logged out at WhatsApp, or why not."""

    error: str | None


@dataclass(frozen=True)
class TimerFired:
    """A timer that `StartTimer` or `BackOff` started."""

    timer: Timer


@dataclass(frozen=True)
class SoftFenced:
    """The Lease is not confirmed: nothing may run."""


@dataclass(frozen=True)
class LeaseResumed:
    """The Lease is confirmed again, same boot, same epoch."""


@dataclass(frozen=True)
class Stop:
    """End in order and hand over."""

    reason: StopReason


@dataclass(frozen=True)
class SuccessorReady:
    """Whether the worker that shall have the session has everything but the last changes, and an engine ready."""

    ready: bool


@dataclass(frozen=True)
class PairingAskedAnew:
    """The spec asks for another kind of code, or for one to another phone."""


@dataclass(frozen=True)
class AssignmentLost:
    """The session is another's, or gone: stop at once, write nothing."""

    keep_files: bool = False
    """The next epoch runs here too: whether the local file serves it is for its own preparation to say."""


Input = (
    Begin
    | PrepareEnded
    | EngineStarted
    | EngineStartFailed
    | EngineGone
    | EngineMoves
    | Unanswered
    | CodeShown
    | PasskeyAsked
    | PasskeyTaken
    | PasskeyRequired
    | PairingFailed
    | DeviceLinked
    | LoggedIn
    | OfflineQueueDrained
    | ConnectionLost
    | ConnectRefused
    | JournalFull
    | LoggedOutByPeer
    | Replaced
    | Banned
    | EngineOutdated
    | FlushEnded
    | ReleaseEnded
    | LogoutEnded
    | TimerFired
    | SoftFenced
    | LeaseResumed
    | Stop
    | SuccessorReady
    | PairingAskedAnew
    | ProxyFailed
    | ProxyChanged
    | AssignmentLost
)
