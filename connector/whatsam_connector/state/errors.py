"""Everything that the state part raises on purpose; the root is `StateError`."""

from whatsam_connector.errors import ConnectorError


class StateError(ConnectorError):
    """Auth state could not be read, stored or repaired; the text says what happened."""


class KeyRingInvalid(StateError):
    """WHATSAM_KEYRING cannot be used. The connector refuses to start."""


class DataKeyUnusable(StateError):
    """The session's data key is there but cannot be unwrapped: unknown ring key, or a damaged record."""


class RingKeyMissing(DataKeyUnusable):
    """The data key is wrapped by a ring key that WHATSAM_KEYRING does not have. Putting that key back cures it."""


class BaseDamaged(StateError):
    """A base does not check out: wrong magic, key, header, tag, hash or database. It is kept, never used."""


class EngineTooOld(StateError):
    """A base was written by an engine with a newer schema than this connector's engine can read."""


class StateTooNew(EngineTooOld):
    """A state or its key was stored by a newer Whatsam in a form that this one does not know."""


class FormatError(StateError):
    """A Signal record or a table does not look like the format that the repair knows."""


class SnapshotBusy(StateError):
    """The database stayed locked for the whole time that a snapshot may wait. Try again."""


class NotPrepared(StateError):
    """The session was not prepared in this process, or was forgotten."""


class FlushTimeout(StateError):
    """The state did not reach the object store in time; it is kept locally and goes on being tried."""


class NoDevice(StateError):
    """The database holds no device: nothing was paired yet, so there is nothing to store."""


class DeviceGone(StateError):
    """The database lost its device. The stored state with a device stays as it is and nothing replaces it."""
