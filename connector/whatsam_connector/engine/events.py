"""What an engine tells its supervisor about its sessions, in the order in which it happened.

The connector's session runner receives these objects through `EngineProcess.spawn(..., on_event=…)`; they travel over
the engine's socket as they are. Every event names its session by `uid` (metadata.uid of the WhatsAppSession).
"""

import enum
from dataclasses import dataclass
from datetime import datetime

from whatsam_connector.journal.layout import Position


class PairingEnd(enum.Enum):
    """Why a pairing came to its end without a device."""

    TIMEOUT = "timeout"
    """Nobody scanned (six codes, 160 seconds), no passkey came, or the server hung up. Start again for new codes."""
    ERROR = "error"
    """The phone's answer did not fit, or WhatsApp refused the number. Start again, slowly."""
    OUTDATED = "outdated"
    """WhatsApp no longer takes this engine version: only a newer engine helps."""
    PASSKEY = "passkey"
    """The account asks for a passkey, which this engine cannot pass on (capability `passkey`)."""


@dataclass(frozen=True, slots=True)
class QrShown:
    """A QR code to scan. `code` is a secret: whoever scans it owns the session. The next one replaces it."""

    uid: str
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PairingCodeShown:
    """A code of eight characters (XXXX-XXXX) to type on the phone."""

    uid: str
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PasskeyRequested:
    """The account asks for a passkey: `answer_passkey` has to bring it in time. The codes are used up."""

    uid: str
    request: str
    """WebAuthn's `PublicKeyCredentialRequestOptions` as JSON."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PasskeyConfirmationShown:
    """WhatsApp took the passkey, and the phone goes on."""

    uid: str
    code: str | None
    """To be compared with the one on the phone, then `confirm_passkey`. None: the engine has confirmed by itself,
    because it could prove that its code was scanned."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Paired:
    """A phone has approved this device, its row and its prekeys are in the session's file, and it has logged in.

    Sent before `Connected`, also when an engine that was started without a JID finds a device in the file: the process
    that paired it may have died before it could say so.
    """

    uid: str
    jid: str
    lid: str
    phone_number: str
    """Digits, without a plus sign."""
    push_name: str | None


@dataclass(frozen=True, slots=True)
class PairingEnded:
    """The pairing failed; the process ends itself right after this event."""

    uid: str
    reason: PairingEnd


@dataclass(frozen=True, slots=True)
class Connected:
    """Logged in: sends are possible. Comes again after each automatic reconnect."""

    uid: str
    jid: str
    push_name: str | None
    lid: str = ""
    """The other name of the account, without a device; empty where WhatsApp told none."""


@dataclass(frozen=True, slots=True)
class OfflineDrained:
    """WhatsApp has handed over everything it had kept while the session was away."""

    uid: str
    count: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone; the engine reconnects by itself. `reason` is ConnectionLost or StreamError:<code>."""

    uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class KeepAliveLost:
    """WhatsApp has not answered a keep-alive: sends may hang. The engine reconnects by itself after three minutes."""

    uid: str
    error_count: int


@dataclass(frozen=True, slots=True)
class KeepAliveRestored:
    """WhatsApp answers keep-alives again on the same connection."""

    uid: str


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """WhatsApp says that the device is unlinked; neonize has deleted its rows from the session's file by now."""

    uid: str
    reason: str
    on_connect: bool
    """True: told at login (it may be a wrong answer); False: the phone removed the device while connected."""


@dataclass(frozen=True, slots=True)
class StreamReplaced:
    """Another connection of the same device has taken over; this one will not reconnect."""

    uid: str


@dataclass(frozen=True, slots=True)
class TemporaryBan:
    """WhatsApp has banned the account for a while; no reconnect."""

    uid: str
    code: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class ConnectFailure:
    """No connection and no reconnect. When the engine itself failed, its process ends right after this event."""

    uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class ClientOutdated:
    """WhatsApp no longer takes this engine version; no reconnect."""

    uid: str


@dataclass(frozen=True, slots=True)
class KeysUploaded:
    """New prekeys are in the session's file and on their way to WhatsApp: replicate before anybody uses them."""

    uid: str


@dataclass(frozen=True, slots=True)
class JournalAdvanced:
    """Something arrived: what can be shown of it is in the journal and synced to disk.

    `position` is behind the newest record. It does not move when a message carried keys only (a sender key of a group).
    """

    uid: str
    position: Position
    at: float
    """When the newest inbound *message* was handled, CLOCK_MONOTONIC seconds; 0 before the first one.

    The replica has to cover this instant before an answer may go out. Receipts do not move it: they change nothing in
    the session's file, so no replica would ever cover them.
    """


class ChatState(enum.Enum):
    """What somebody does in a chat."""

    COMPOSING = "composing"
    RECORDING = "recording"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class ChatStateChanged:
    """Somebody writes or records a message, or has stopped. Told only while we are shown as available."""

    uid: str
    chat: str
    sender: str
    state: ChatState


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Somebody whose presence was subscribed to came online or went."""

    uid: str
    jid: str
    available: bool
    last_seen: datetime | None
    """None where they do not show it."""


@dataclass(frozen=True, slots=True)
class JournalFull:
    """The session has left WhatsApp, which keeps what comes meanwhile: nobody takes over what is in the journal.

    Its connection is closed, what had arrived is in the journal, and the engine will not connect it again: start it
    anew once there is room (`journal.room_to_start`).
    """

    uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """A recipient could not decrypt these messages of ours and asks for them again."""

    uid: str
    chat: str
    message_ids: tuple[str, ...]


EngineEvent = (
    QrShown
    | PairingCodeShown
    | PasskeyRequested
    | PasskeyConfirmationShown
    | Paired
    | PairingEnded
    | Connected
    | OfflineDrained
    | Disconnected
    | KeepAliveLost
    | KeepAliveRestored
    | LoggedOut
    | StreamReplaced
    | TemporaryBan
    | ConnectFailure
    | ClientOutdated
    | KeysUploaded
    | JournalAdvanced
    | JournalFull
    | ChatStateChanged
    | PresenceChanged
    | RetryRequested
)
