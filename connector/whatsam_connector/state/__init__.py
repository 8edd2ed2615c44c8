"""Auth state of sessions: the object store has the truth, this package keeps it there and brings it back.

The connector's core uses what is exported here and nothing below. Everything else: `decision` (which state counts),
`prepare` (restore), `keeper` (life of a boot), `credit` (how much may be sent), `repair` (counters that went back).
"""

from whatsam_connector.state.credit import CreditVerdict, SendCredit
from whatsam_connector.state.errors import (
    DeviceGone,
    FlushTimeout,
    KeyRingInvalid,
    NoDevice,
    NotPrepared,
    StateError,
)
from whatsam_connector.state.keeper import StateKeeper
from whatsam_connector.state.keyring import KeyRing
from whatsam_connector.state.records import (
    STARTABLE,
    Prepared,
    PrepareOutcome,
    Rehearsed,
    RepairMode,
    RepairReport,
    Replicated,
    ReplicationTrouble,
    SessionIdentity,
)
from whatsam_connector.state.settings import StateSettings

__all__ = [
    "STARTABLE",
    "CreditVerdict",
    "DeviceGone",
    "FlushTimeout",
    "KeyRing",
    "KeyRingInvalid",
    "NoDevice",
    "NotPrepared",
    "PrepareOutcome",
    "Prepared",
    "Rehearsed",
    "RepairMode",
    "RepairReport",
    "Replicated",
    "ReplicationTrouble",
    "SendCredit",
    "SessionIdentity",
    "StateError",
    "StateKeeper",
    "StateSettings",
]
