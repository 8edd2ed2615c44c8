"""The table of timings in a session's life, in seconds, each with its reason. The Lease's clocks are in `core`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SessionTimings:
    """How long the runner of a session waits for what."""

    reconnect_limit: float = 90.0
    """Not logged in for so long with a living engine: the engine is replaced: its own waits only grow."""
    drain_limit: float = 10.0
    """After a login, wait so long at most for the end of the offline queue before the first send."""
    flush_timeout: float = 15.0
    """For one flush of the auth state to the object store."""
    store_retry: float = 2.0
    """Between attempts while the object store does not answer."""
    release_timeout: float = 20.0
    """For the final flush of a session that is handed over."""
    stop_grace: float = 4.0
    """An engine that was asked to end gets so long before it is killed; a pairing neonize never ends by itself."""
    logout_timeout: float = 20.0
    """For WhatsApp to take one request to log the device out."""
    logout_limit: float = 90.0
    """The operator lends a worker for 2 minutes to log a device out; within this the connector answers it."""
    inbox_limit: float = 10.0
    """A handover waits so long for PostgreSQL to take the last records of the journal."""
    stable_after: float = 60.0
    """An engine that was connected for so long has proven itself: its next failure counts as the first."""
    proven_after: float = 15.0
    """A session that was connected for so long is not the reason for its engine's crash."""
    most_crashes: int = 15
    """Crashes in a row that prove it is: a cohort of 200 is halved at most 8 times until it is alone. Then it stays
    down until a person acts; with the waits between, that is after about ten minutes."""
    first_backoff: float = 0.5
    """Before the first restart of a failed engine; it doubles with each failure in a row."""
    longest_backoff: float = 60.0
    """WhatsApp must not see a broken session knocking more often than that, nor people wait longer."""
    shortest_ban: float = 60.0
    """A temporary ban is waited for at least so long, whatever it says; doubled with each ban in a row."""
    longest_ban_wait: float = 3600.0
    """The doubling ends here. A ban that says it lasts longer is waited for."""
    most_bans: int = 6
    """Bans in a row, each met when the one before was over: then a person must look."""
    most_refusals: int = 10
    """Logins in a row that WhatsApp refuses for a reason that does not pass by itself; with the waits, five minutes."""
    logout_doubt: float = 10.0
    """WhatsApp says "logged out" wrongly at times: so long after the first word the stored state is tried once more."""


def backoff(failures: int, timings: SessionTimings, chance: float) -> float:
    """Seconds to wait before the next start after `failures` failures in a row. `chance` in [0, 1) spreads sessions."""
    bound = min(timings.longest_backoff, timings.first_backoff * 2.0 ** min(max(failures - 1, 0), 16))
    return bound * (0.5 + 0.5 * chance)
