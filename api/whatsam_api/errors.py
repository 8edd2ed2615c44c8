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


class FileNotFound(ApiError):
    """The message has no file, or it is not here and will not come."""

    status = 404
    code = "FILE_NOT_FOUND"


class FileNotReady(ApiError):
    """The file is on its way."""

    status = 409
    code = "FILE_NOT_READY"


class PartNotThere(ApiError):
    """The file has no such part."""

    status = 416
    code = "RANGE_NOT_SATISFIABLE"


class JobNotFound(ApiError):
    """There is no such job in the session."""

    status = 404
    code = "JOB_NOT_FOUND"


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


class WhatsAppRefused(ApiError):
    """The session's engine or WhatsApp refused, and nothing was done."""

    status = 502
    code = "WHATSAPP_REFUSED"


class WhatsAppNotFound(WhatsAppRefused):
    """WhatsApp does not know the person, group, picture or link."""

    status = 404
    code = "WHATSAPP_NOT_FOUND"


class WhatsAppForbidden(WhatsAppRefused):
    """This account may not do or see that on WhatsApp."""

    status = 403
    code = "WHATSAPP_FORBIDDEN"


class WhatsAppConflict(WhatsAppRefused):
    """It is so already, or WhatsApp allows no more of it."""

    status = 409
    code = "WHATSAPP_CONFLICT"


class WhatsAppUnacceptable(WhatsAppRefused):
    """WhatsApp does not take these values."""

    status = 422
    code = "WHATSAPP_NOT_ACCEPTED"


class WhatsAppRateLimited(WhatsAppRefused):
    """WhatsApp wants fewer calls of this account."""

    status = 429
    code = "WHATSAPP_RATE_LIMITED"


class NotSupported(WhatsAppRefused):
    """The engine of this session cannot do it; the docs say which can."""

    status = 501
    code = "NOT_SUPPORTED"


class NoAnswer(ApiError):
    """The session gave no answer in time. A change may have been made: look before you repeat it."""

    status = 504
    code = "NO_ANSWER"


class TooLarge(ApiError):
    """The file is larger than this installation takes."""

    status = 413
    code = "TOO_LARGE"


class TooSlow(ApiError):
    """The file did not arrive in time."""

    status = 408
    code = "UPLOAD_TOO_SLOW"


class MediaNotAccepted(ApiError):
    """The file is of the wrong kind, damaged, or cannot be converted here."""

    status = 422
    code = "MEDIA_NOT_ACCEPTED"


class MediaNotFetched(ApiError):
    """The URL gave no file, or leads where it may not."""

    status = 422
    code = "MEDIA_NOT_FETCHED"


class MediaNotReady(ApiError):
    """The file of the message is not in the store, not yet or not any more."""

    status = 409
    code = "MEDIA_NOT_READY"


class MediaNotConfigured(ApiError):
    """This installation has no object store, so messages cannot carry files."""

    status = 503
    code = "MEDIA_NOT_CONFIGURED"


class CannotChange(ApiError):
    """WhatsApp would not accept this change of a message."""

    status = 409
    code = "CANNOT_CHANGE_MESSAGE"


class QuotaExceeded(TooManyRequests):
    """The tier allows no more messages in this hour."""

    code = "MESSAGE_QUOTA_EXCEEDED"
