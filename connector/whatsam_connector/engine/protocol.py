"""The protocol between a supervisor and its engine: messages over a unix socket, the same for every engine.

The supervisor listens, starts the child, and the child connects. Frames are a 4-byte big-endian length and one JSON
object (`wire`). Order:

1. child → `Hello`: its version, its name, what it can, and the deadline that its kernel timer is armed to.
2. parent → `Start`: the sessions. The child opens them one after another and answers `Started` after the last one.
3. parent → requests, each with an `id`; child → one answer for each (`Done`, `Sent`, `Result`, `Refused`, `Uncertain`),
   in any order. `Arm`, `Ping` and `Stop` are answered at any time, also while sessions start.
4. child → `EventFrame` whenever something happens.

Either side treats anything else as a broken peer: the child exits, the parent kills. When the socket closes, the child
exits at once. Messages travel as WhatsApp's own protobuf, so a second engine needs no translation of its own.
"""

import enum
from dataclasses import dataclass
from datetime import datetime

from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.engine.wire import Decoder
from whatsam_connector.journal.room import Limits

PROTOCOL_VERSION = 2


class ExitCode(enum.IntEnum):
    """Exit codes of an engine process; 70 and above, so that none is taken for one of Python's or Go's own."""

    CLEAN = 0
    BAD_ARGUMENTS = 70
    FENCE_NOT_ARMED = 71
    """The kernel timer could not be armed; no database was opened."""
    PARENT_GONE = 72
    """The supervisor's socket closed."""
    PROTOCOL_ERROR = 73
    """Garbage on the socket."""
    ENGINE_FAILED = 74
    """neonize could not be loaded, or a handler of ours failed."""
    JOURNAL_FAILED = 75
    """The journal could not be written: going on would acknowledge messages and lose them."""
    PAIRING_TIMEOUT = 80
    PAIRING_FAILED = 81
    CONNECT_FAILED = 82
    """neonize's connect() raised, returned, or did not start in time."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do beyond the least. neonize: none of it."""

    own_message_ids: bool
    """A send may carry the id that the message shall have."""
    ack_after_persist: bool
    """WhatsApp gets its acknowledgement only after the journal has the message."""
    passkey: bool
    """The engine can pair an account that asks for a passkey."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """One session to run. Paths are absolute. No `jid`: the device in the file if there is one, else pair a new one."""

    uid: str
    database: str
    journal: str
    jid: str | None
    pairing_method: str | None
    """QR, Code, or None: nobody waits for a code, so asking for one is a failure."""
    phone_number: str | None
    proxy: str | None
    """http, https or socks5 URL, possibly with a password, through which everything of this session goes."""
    debug: bool
    """Log what whatsmeow sends and receives. For a process of one session: its lines do not say whose they are."""
    journal_limit: int = Limits.most_bytes
    """The session leaves WhatsApp when its journal holds more bytes than this that nobody has taken."""
    free_disk: int = Limits.least_free_bytes
    """… or when the journal's disk has fewer bytes left than this."""


@dataclass(frozen=True, slots=True)
class Hello:
    """First word of the child."""

    version: int
    engine: str
    engine_version: str
    pid: int
    capabilities: Capabilities
    deadline: float
    """CLOCK_BOOTTIME seconds to which the kernel timer is armed."""


@dataclass(frozen=True, slots=True)
class Start:
    """First word of the parent."""

    sessions: tuple[SessionStart, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The last session has started (not: is connected); commands for sessions are worked off from now on."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Move the kernel timer to `deadline` (CLOCK_BOOTTIME seconds); answered with Done after the kernel took it."""

    id: int
    deadline: float


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered with Done by the thread that reads the socket."""

    id: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send `message` (WhatsApp's protobuf `Message`) to `to` (a JID); answered with Sent, Refused or Uncertain."""

    id: int
    uid: str
    to: str
    message: bytes
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """Carry out `method` (see `methods`) for a session; answered with Result, Refused or Uncertain."""

    id: int
    uid: str
    method: str
    arguments: str
    """A JSON object; bytes inside are base64."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for request `target` any more. If its work has not begun, it is answered Refused(NotStarted).

    Work that has begun cannot be stopped; a look-up or an upload then no longer keeps its lane from going on.
    """

    target: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End one session: close its connection, drain its handlers into the journal, sync. Answered with Done.

    The process ends by itself when all of its sessions have left.
    """

    id: int
    uid: str


@dataclass(frozen=True, slots=True)
class Logout:
    """Unlink the device at WhatsApp; its rows are deleted from the file. Answered with Done, Refused or Uncertain."""

    id: int
    uid: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Disconnect everything, drain, sync, exit 0. There is no answer but the end of the process."""


@dataclass(frozen=True, slots=True)
class Done:
    """The request was carried out."""

    id: int


@dataclass(frozen=True, slots=True)
class Sent:
    """WhatsApp's server took the message. It proves neither delivery nor that every device could be addressed."""

    id: int
    wa_id: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What a call came to."""

    id: int
    value: str
    """A JSON value; bytes inside are base64."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request had no effect outside this process. `code` is a word for programs, `message` for people."""

    id: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The request may have had its effect."""

    id: int
    message: str


@dataclass(frozen=True, slots=True)
class EventFrame:
    """Something happened to a session."""

    event: EngineEvent


Answer = Done | Sent | Result | Refused | Uncertain
ToEngine = Start | Arm | Ping | Send | Call | Cancel | Disconnect | Logout | Stop
ToParent = Hello | Started | Done | Sent | Result | Refused | Uncertain | EventFrame

for_engine = Decoder(Start, Arm, Ping, Send, Call, Cancel, Disconnect, Logout, Stop)
"""Parses what the parent says."""
for_parent = Decoder(Hello, Started, Done, Sent, Result, Refused, Uncertain, EventFrame)
"""Parses what the child says."""
