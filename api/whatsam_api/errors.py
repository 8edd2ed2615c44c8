"""Every way a call can fail, as one tree: a code for programs, a status for HTTP, a sentence for people.

Services raise these; `app.py` turns them into the contract's envelope. Nothing else decides about an HTTP status.
"""

from typing import Any

from whatsam_core.errors import WhatsamError


class ApiError(WhatsamError):
    """A call that was refused. `details` may name fields; `retry_after` is in seconds."""

    status = 400
    code = "BAD_REQUEST"

    def __init__(self, message: str, *, details: Any = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.retry_after = retry_after


class InvalidField(ApiError):
    """A field of the body or the query is wrong."""

    status = 422
    code = "VALIDATION_ERROR"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", details=[{"field": field, "message": message}])


class NotAuthenticated(ApiError):
    """No credentials, or none that hold."""

    status = 401
    code = "NOT_AUTHENTICATED"


class Forbidden(ApiError):
    """The credentials are good, but not for this."""

    status = 403
    code = "FORBIDDEN"


class SessionNotFound(ApiError):
    """There is no such session, or it is another tenant's: the caller cannot tell which."""

    status = 404
    code = "SESSION_NOT_FOUND"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"there is no session {session_id!r}")


class MessageNotFound(ApiError):
    """There is no such message in the session."""

    status = 404
    code = "MESSAGE_NOT_FOUND"


class KeyNotFound(ApiError):
    """There is no such API key in the session."""

    status = 404
    code = "KEY_NOT_FOUND"


class EmailTaken(ApiError):
    """An account of that address exists."""

    status = 409
    code = "EMAIL_TAKEN"


class SessionExists(ApiError):
    """The name is in use."""

    status = 409
    code = "SESSION_EXISTS"


class SessionNotReady(ApiError):
    """The session cannot do that in the state it is in; the message says what to do first."""

    status = 409
    code = "SESSION_NOT_READY"


class IdempotencyConflict(ApiError):
    """The key was used before for another message."""

    status = 409
    code = "IDEMPOTENCY_CONFLICT"


class LimitReached(ApiError):
    """The tier allows no more sessions."""

    status = 403
    code = "SESSION_LIMIT_REACHED"


class TooManyRequests(ApiError):
    """A rate limit holds."""

    status = 429
    code = "RATE_LIMITED"


class Unavailable(ApiError):
    """Something that the call needs is away; the same call may be repeated."""

    status = 503
    code = "UNAVAILABLE"

    def __init__(self, message: str, retry_after: int = 2) -> None:
        super().__init__(message, retry_after=retry_after)
