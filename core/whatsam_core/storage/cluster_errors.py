"""What a call to the Kubernetes API can end with, named by what the caller may do about it.

ClusterError            any foreseen failure of a call
  NotFound              404: the object (or its type) does not exist
  Conflict              409: it changed meanwhile, or has another uid: read it again and decide again
    AlreadyExists       409 of a create
  Forbidden             403: the caller's role or an admission policy refuses
    Unauthorized        401: the credentials are not accepted
  Invalid               400 or 422: the object breaks its schema or a rule; trying again does not help
  Expired               410: the resourceVersion is too old to go on from: list again
  Unreachable           refused, cut, timed out, 408, 429, 5xx. A write may or may not have happened
"""

import json
from http import HTTPStatus
from typing import Any, cast

from whatsam_core.errors import WhatsamError


class ClusterError(WhatsamError):
    """A call to the Kubernetes API failed. `status` is the HTTP status, or None when there was no answer."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after = retry_after
        """Seconds the server asked to wait, when it did."""


class NotFound(ClusterError):
    """The object, or its resource type, does not exist."""


class Conflict(ClusterError):
    """The object is not the one the caller knows: read it again, decide again."""


class AlreadyExists(Conflict):
    """An object of that name exists."""


class Forbidden(ClusterError):
    """The caller's role or an admission policy refuses the call."""


class Unauthorized(Forbidden):
    """The API server does not accept the credentials."""


class Invalid(ClusterError):
    """The request breaks the schema or a rule; `message` is what the API server says, made for people."""


class Expired(ClusterError):
    """The resourceVersion (or continue token) is too old: list again."""


class Unreachable(ClusterError):
    """No answer, or one that says "not now". A write may or may not have happened: read before deciding again."""


_TRY_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_BY_STATUS: dict[int, type[ClusterError]] = {
    HTTPStatus.BAD_REQUEST: Invalid,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: Expired,
    HTTPStatus.UNPROCESSABLE_ENTITY: Invalid,
}


def error_of(status: int, body: bytes | str, *, what: str, retry_after: float | None = None) -> ClusterError:
    """The error for an answer that is not 2xx.

    `body` is the answer as it came (a `Status` object, or anything at all); `what` names the call in the text.
    """
    details = _status_object(body)
    message = details.get("message") or f"HTTP {status}"
    kind: type[ClusterError]
    if status in _TRY_AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = Unreachable
    else:
        kind = _BY_STATUS.get(status, ClusterError)
    if kind is Conflict and details.get("reason") == "AlreadyExists":
        kind = AlreadyExists
    if kind is Invalid and _is_another_life(details):
        kind = Conflict
    return kind(f"{what}: {message}", status=status, retry_after=retry_after)


def _is_another_life(details: dict[str, Any]) -> bool:
    """A patch with the uid of an object that was deleted and made again: a precondition, though answered with 422."""
    causes = (details.get("details") or {}).get("causes") or []
    return any(cause.get("field") == "metadata.uid" for cause in causes)


def _status_object(body: bytes | str) -> dict[str, Any]:
    try:
        parsed: object = json.loads(body)
    except ValueError:  # a proxy's HTML page, or bytes that are no text
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
