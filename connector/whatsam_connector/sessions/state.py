"""Where a session stands: the state that `transitions.step` advances and `report` turns into status. Pure data."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from whatsam_connector.sessions.inputs import StopReason
from whatsam_core.resources.session import Handover


class Stage(Enum):
    """What a session is doing."""

    NEW = "new"
    PREPARING = "preparing"
    """The auth state is being looked for; no engine."""
    STARTING = "starting"
    """An engine is being born."""
    PAIRING = "pairing"
    """The engine shows codes; no device is linked."""
    SECURING = "securing"
    """A device is linked and its state is on the way to the store; nothing is reported before it is there."""
    CONNECTING = "connecting"
    """The engine lives, WhatsApp has not taken its login (again)."""
    CONNECTED = "connected"
    LOGGING_OUT = "logging-out"
    """The device is being unlinked."""
    ENDING = "ending"
    """The engine was told to end."""
    WAITING = "waiting"
    """No engine; a timer starts the next attempt."""
    FENCED = "fenced"
    """No engine; the Lease must be confirmed first."""
    CLOSING = "closing"
    """No engine; the final state is being stored."""
    HANDED_OVER = "handed-over"
    """This epoch has ended and never starts again."""
    HALTED = "halted"
    """No engine; a person or the operator must act."""
    LOST = "lost"
    """Not ours any more."""

    @property
    def final(self) -> bool:
        """Nothing starts from here under this epoch."""
        return self in (Stage.HANDED_OVER, Stage.LOST)


@dataclass(frozen=True)
class Trouble:
    """Why a session is not where it should be, as its conditions say it."""

    reason: str
    """One CamelCase word."""
    message: str
    """For people, with what to do about it."""


@dataclass(frozen=True)
class ShownCode:
    """What the phone needs to link the device."""

    qr: str | None
    pairing_code: str | None
    expires_at: datetime | None
    passkey_request: str | None = None
    """The account asks for a passkey: WebAuthn's options as JSON."""
    confirmation_code: str | None = None
    """It was taken, and somebody has to compare this with the phone's."""


@dataclass(frozen=True, kw_only=True)
class SessionState:
    """One session under one epoch."""

    epoch: int
    stage: Stage = Stage.NEW
    jid: str | None = None
    phone_number: str | None = None
    push_name: str | None = None
    linked: bool = False
    """The local file has a device."""
    secured: bool = False
    """The store has the state of that device; only then `Paired` may be said."""
    promised: bool = False
    """`Paired` was said of this device, by us or by a holder before us: it must never be asked to pair again."""
    prepared: bool = False
    """The local file is this epoch's: an engine may start from it without asking the store."""
    engine: bool = False
    """An engine lives, is being born or is not yet confirmed dead."""
    logged_in: bool = False
    drained: bool = False
    """The offline queue has been read since the login."""
    connected_at: datetime | None = None
    """Since when it is logged in."""
    last_connected_at: datetime | None = None
    code: ShownCode | None = None
    passkey_required: bool = False
    """The account of the phone that scanned last asks for a passkey, which this engine cannot pass on."""
    fenced: bool = False
    stop: StopReason | None = None
    successor: bool = False
    """Another worker is ready to take the session."""
    giving_way: bool = False
    """The state is being stored, or that is tried again soon: the session ends here once the store has it."""
    halt: Trouble | None = None
    """Once the engine is gone, stay down for this reason."""
    trouble: Trouble | None = None
    """Why it is not connected now, though it will try again."""
    restart_in: float | None = None
    """Once the engine is gone, start again after so many seconds; None: as a failure."""
    failures: int = 0
    """Starts in a row that did not lead to a stable connection."""
    crashes: int = 0
    """Engine processes in a row that crashed with it before it had worked for a while."""
    bans: int = 0
    """Temporary bans in a row, without a stable connection between them."""
    refusals: int = 0
    """Logins in a row that WhatsApp refused for good."""
    doubted: bool = False
    """WhatsApp has said "logged out" once since the last stable connection; the next time it is believed."""
    logged_out: bool = False
    """The device was unlinked, by us or by WhatsApp."""
    logout_error: str | None = None
    """Why the device could not be unlinked."""
    store_epoch: int | None = None
    """The newest epoch in the store, when it is not behind ours."""
    handover: Handover | None = None
    keep_files: bool = False
    """Lost, but the next epoch runs here too."""

    @property
    def may_pair(self) -> bool:
        """Whether the engine may be told what links the device."""
        return self.stage is Stage.PAIRING and self.code is not None and not self.fenced and self.stop is None

    @property
    def lets_go(self) -> bool:
        """It ends in order for another worker, which waits for one word only: the handover."""
        return self.stop is StopReason.HANDED_OVER and self.stage in (Stage.ENDING, Stage.CLOSING) and not self.trouble

    @property
    def may_send(self) -> bool:
        """Whether the outbox may give messages to the engine."""
        return (
            self.stage is Stage.CONNECTED and self.logged_in and self.drained and not self.fenced and self.stop is None
        )
