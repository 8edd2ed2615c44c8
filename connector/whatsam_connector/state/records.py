"""What the connector's core and the state part tell each other: identities, outcomes, positions in the store."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """A session as Kubernetes knows it. `uid` names its local folder, namespace and name its place in the store."""

    uid: str
    namespace: str
    name: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Replicated:
    """How far the object store has a session's state.

    `covered` is an instant of CLOCK_MONOTONIC in seconds: everything that was committed to the database before it is
    in the base `seq`. It moves on while nothing changes, although `seq` does not.
    """

    seq: int
    at: datetime
    covered: float
    sha256: str


class PrepareOutcome(Enum):
    """What the caller of `prepare` must do."""

    FRESH = "no state anywhere and no device: start an engine that pairs"
    RESTORED = "the newest state of the store lies in the file: start the engine"
    LOCAL = "the file of this pod is the newest state: start the engine"
    MISSING = "a device is known but its state is nowhere: report it, never pair silently"
    FOREIGN_TENANT = "the state under this name belongs to another tenant: report it, do not start"
    EPOCH_BEHIND = "the store holds an epoch that is not older than the assigned one: report store_epoch, do not start"
    UNREACHABLE = "the object store does not answer: try again later, do not start"
    DAMAGED = "there is state but none of it can be read: report it, do not start; all of it is kept"
    KEY_MISSING = "the key ring lacks the key that wraps the state's: report it, do not start; putting it back cures"
    NEWER_ENGINE = "the state was written by a newer engine: report it, do not start; an upgrade cures it"


STARTABLE = frozenset({PrepareOutcome.FRESH, PrepareOutcome.RESTORED, PrepareOutcome.LOCAL})
"""Outcomes after which an engine may open the database."""


class RepairMode(Enum):
    """How a state that may be behind is made safe."""

    ADVANCE = "all sending chains move forward by more than can be missing"
    DROP_SESSIONS = "the age is unknown: all Signal sessions go, new ones are built with the next messages"


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did. `repeated`: it had been done before and this call changed nothing."""

    mode: RepairMode
    steps: int
    sessions: int
    chains: int
    sessions_deleted: int
    sender_keys_deleted: int
    unreadable: int
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """The answer of `prepare`. `database` is set exactly for the outcomes in STARTABLE.

    `jid` is the device in the prepared file; it may differ from the one that was asked for (adopted state).
    `store_epoch` is the newest epoch in the store. `repair` says what was done to a restore that is not proven clean.
    """

    outcome: PrepareOutcome
    message: str
    database: Path | None = None
    jid: str | None = None
    store_epoch: int | None = None
    repair: RepairReport | None = None
    fell_back: bool = False
    """Something newer than what was restored had been stored, and is gone or cannot be read; `message` says what."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What `prepare` would have said now, had the session been ours."""

    outcome: PrepareOutcome
    message: str

    @property
    def ready(self) -> bool:
        """Whether an engine could start from what was found."""
        return self.outcome in STARTABLE


@dataclass(frozen=True, slots=True)
class ReplicationTrouble:
    """Why a session's state does not reach the store at present; `lag` is the age of what is stored, in seconds."""

    reason: str
    lag: float
    device_gone: bool
