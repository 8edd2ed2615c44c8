"""Bodies of Kubernetes Events, so that `kubectl describe` tells a session's story. Used by `cluster`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

_NAME_LIMIT = 230
"""Characters of the object's name that fit into the Event's (253) beside the hash."""
_MESSAGE_LIMIT = 1024
"""Characters an Event's message may have; longer ones are refused by the API server."""


def event_body(
    regarding: Mapping[str, Any],
    *,
    reason: str,
    message: str,
    component: str,
    type: str,
    now: datetime | None = None,
) -> dict[str, Any]:
    """A core/v1 Event about an object. Its name is a hash of who says what about whom: a repetition collides with it
    and can be counted, also by another process.
    """
    metadata = regarding["metadata"]
    namespace = metadata.get("namespace") or "default"
    text = message if len(message) <= _MESSAGE_LIMIT else message[: _MESSAGE_LIMIT - 1] + "…"
    what = "\0".join((metadata.get("uid", ""), component, type, reason, text))
    stamp = _stamp(now)
    return {
        "metadata": {
            "name": f"{metadata['name'][:_NAME_LIMIT]}.{sha256(what.encode()).hexdigest()[:16]}",
            "namespace": namespace,
        },
        "involvedObject": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "namespace": metadata.get("namespace"),
            "name": metadata["name"],
            "uid": metadata.get("uid"),
        },
        "type": type,
        "reason": reason,
        "message": text,
        "source": {"component": component},
        "reportingComponent": component,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }


def repeated(known: Mapping[str, Any], now: datetime | None = None) -> dict[str, Any]:
    """Merge patch for an Event that has happened once more. Without a precondition: a lost count does no harm."""
    return {"count": int(known.get("count") or 1) + 1, "lastTimestamp": _stamp(now)}


def _stamp(now: datetime | None) -> str:
    return (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
