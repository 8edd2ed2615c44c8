"""Carries out calls: finds the function, gives it its arguments, and says honestly what is known about the outcome.

The functions themselves are in `calls`, one module a topic.
"""

import json
from typing import TYPE_CHECKING, Any, cast

from whatsam_connector.engine.methods import METHODS
from whatsam_connector.engine.neonize_adapter.calls import CALLS
from whatsam_connector.engine.neonize_adapter.calls.answers import refusal_of
from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused
from whatsam_connector.engine.protocol import Answer, Call, Refused, Result, Uncertain

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_OPEN_ENDED = ("timed out", "disconnected", "context deadline exceeded", "connection reset", "EOF")
"""whatsmeow's words when the stanza was written and no answer came."""


def call(session: "NeonizeSession", request: Call) -> Answer:
    """Carry out one call, in the thread of its lane."""
    method, function = METHODS[request.method], CALLS.get(request.method)
    if function is None:
        return Refused(request.id, "Unsupported", "this engine cannot do it")
    if not session.connected.is_set():
        return Refused(request.id, "NotConnected", "not connected to WhatsApp")
    try:
        value = function(session, _parsed(request.arguments))
        return Result(request.id, json.dumps(value, separators=(",", ":")))
    except CallRefused as refused:
        return Refused(request.id, refused.code, refused.message)
    except (KeyError, TypeError, ValueError) as error:
        return Refused(request.id, "Invalid", f"the arguments do not fit: {type(error).__name__}")
    except Exception as error:  # noqa: BLE001 - neonize has an exception class for each function, told apart by text
        return _failure(request.id, _text_of(error), changes=method.changes)


def _parsed(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except RecursionError as error:
        raise ValueError from error
    if not isinstance(arguments, dict):
        raise TypeError
    return cast("dict[str, Any]", arguments)


def _failure(request: int, text: str, *, changes: bool) -> Answer:
    if refusal := refusal_of(text):
        return Refused(request, *refusal)
    if any(words in text for words in _OPEN_ENDED):
        return Uncertain(request, text) if changes else Refused(request, "TimedOut", "WhatsApp did not answer")
    return Uncertain(request, text) if changes else Refused(request, "Failed", text)


def _text_of(error: Exception) -> str:
    """neonize raises some errors with bytes for their text."""
    first = error.args[0] if error.args else ""
    return first.decode(errors="replace") if isinstance(first, bytes) else str(error)
