"""The connector's exception tree.

    ConnectorError           any foreseen failure in a connector
      NotHolder              this boot does not hold the session (any more): nothing may be done for it
      Fenced                 the Lease is not confirmed: no work may be started
      DatabaseUnavailable    PostgreSQL does not answer, or its tables are not there yet: try again
      UnstorableRecord       PostgreSQL cannot hold a value of this record: trying again does not help
      ProxyUnusable          a session's proxy is not there, not usable or does not answer
      TokenRefused           a caller's token is not accepted
        TokenForbidden       a good token of a caller who may not do this

The engine's and the state's own errors are in their packages and derive from `ConnectorError` too.
"""

from whatsam_core.errors import WhatsamError


class ConnectorError(WhatsamError):
    """A foreseen failure in a connector."""


class NotHolder(ConnectorError):
    """This boot does not hold the session: whoever asked must read the assignment again."""


class Fenced(ConnectorError):
    """The Lease of this boot is not confirmed, so nothing may be started."""


class DatabaseUnavailable(ConnectorError):
    """PostgreSQL gives no answer or lacks its tables. The call may or may not have had its effect."""


class UnstorableRecord(ConnectorError):
    """PostgreSQL cannot hold a value of this record, whoever asks and whenever."""


class ProxyUnusable(ConnectorError):
    """The session's proxy cannot be used. `reason` is the word for its conditions; the text never holds the URL."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TokenRefused(ConnectorError):
    """The caller's token is missing, expired, of another audience or not signed by this cluster."""


class TokenForbidden(TokenRefused):
    """The token is good, but its owner may not call a connector."""
