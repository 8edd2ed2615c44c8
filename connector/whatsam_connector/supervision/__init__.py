"""The supervisor's side of engine processes: spawn, speak, watch, kill. Called by the connector's session runners."""

from whatsam_connector.engine.events import (
    ChatState,
    ChatStateChanged,
    ClientOutdated,
    Connected,
    ConnectFailure,
    Disconnected,
    EngineEvent,
    JournalAdvanced,
    JournalFull,
    KeepAliveLost,
    KeepAliveRestored,
    KeysUploaded,
    LoggedOut,
    OfflineDrained,
    Paired,
    PairingCodeShown,
    PairingEnd,
    PairingEnded,
    PresenceChanged,
    QrShown,
    RetryRequested,
    StreamReplaced,
    TemporaryBan,
)
from whatsam_connector.engine.protocol import Capabilities
from whatsam_connector.journal import Position
from whatsam_connector.supervision.errors import (
    EngineError,
    EngineGone,
    EngineRefused,
    EngineStartFailed,
    EngineUncertain,
    EngineUnresponsive,
)
from whatsam_connector.supervision.exits import EngineExit, ExitReason
from whatsam_connector.supervision.member import MemberEvent, MoveReason, MoveWanted, SessionEngine
from whatsam_connector.supervision.outgoing import OutgoingMessage, SendResult
from whatsam_connector.supervision.pool import EnginePool
from whatsam_connector.supervision.pool_parts import PoolSettings
from whatsam_connector.supervision.process import EngineProcess
from whatsam_connector.supervision.sessions import EngineSession, PairingRequest

__all__ = [
    "Capabilities",
    "ChatState",
    "ChatStateChanged",
    "ClientOutdated",
    "ConnectFailure",
    "Connected",
    "Disconnected",
    "EngineError",
    "EngineEvent",
    "EngineExit",
    "EngineGone",
    "EnginePool",
    "EngineProcess",
    "EngineRefused",
    "EngineSession",
    "EngineStartFailed",
    "EngineUncertain",
    "EngineUnresponsive",
    "ExitReason",
    "JournalAdvanced",
    "JournalFull",
    "KeepAliveLost",
    "KeepAliveRestored",
    "KeysUploaded",
    "LoggedOut",
    "MemberEvent",
    "MoveReason",
    "MoveWanted",
    "OfflineDrained",
    "OutgoingMessage",
    "Paired",
    "PairingCodeShown",
    "PairingEnd",
    "PairingEnded",
    "PairingRequest",
    "PoolSettings",
    "Position",
    "PresenceChanged",
    "QrShown",
    "RetryRequested",
    "SendResult",
    "SessionEngine",
    "StreamReplaced",
    "TemporaryBan",
]
