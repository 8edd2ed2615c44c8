"""What this engine can do besides sending: one function for each method of `engine.methods`, one module a topic.

A function gets the session and the call's arguments (already parsed JSON) and returns what json.dumps takes; bytes go
as base64. It raises CallRefused when it is certain that nothing was done, ValueError or KeyError for arguments that do
not fit, and lets neonize's own exceptions pass: `calling` knows what they prove.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from whatsam_connector.engine.neonize_adapter.calls import (
    chats,
    contacts,
    groups,
    media,
    messaging,
    newsletters,
    profile,
)

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

CALLS: dict[str, "Callable[[NeonizeSession, dict[str, Any]], Any]"] = {
    **messaging.CALLS,
    **media.CALLS,
    **contacts.CALLS,
    **profile.CALLS,
    **groups.CALLS,
    **chats.CALLS,
    **newsletters.CALLS,
}
"""Function by method name."""
