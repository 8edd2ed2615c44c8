"""What whatsmeow's errors prove about a message. Pure; imports no neonize.

whatsmeow tells its errors apart by type, neonize passes on their text only. Known texts that come before the stanza is
written, and answers of the server, are refusals. Whatever is not known here stays uncertain.
"""

import re

from whatsam_connector.engine.protocol import Refused

_NOT_WRITTEN = re.compile(
    r"""^(
        failed\ to\ get\ .*                                  # recipient's LID, devices, group members
        | no\ LID\ found\ for\ .*
        | failed\ to\ (marshal|encrypt|create\ sender\ key)\ .*
        | failed\ to\ send\ message\ node:\ (websocket\ not\ connected|frame\ socket\ is\ closed)
        | the\ store\ doesn't\ contain\ a\ device\ JID
        | client\ is\ nil
        | message\ recipient\ must\ be\ .*
        | can't\ send\ message\ to\ unknown\ server.*
        | sending\ to\ non-status\ broadcast\ lists\ .*
    )$""",
    re.VERBOSE | re.DOTALL,
)
"""whatsmeow's errors (send.go) that come before the stanza is written."""

_SERVER_ERROR = re.compile(r"^server returned error (\d+)")


def refusal(request: int, error: str) -> Refused | None:
    """Refused when `error` (whatsmeow's words) proves that WhatsApp did not take the message, else None."""
    if answered := _SERVER_ERROR.match(error):
        return Refused(request, "ServerRefused", f"WhatsApp answered with error {answered[1]}")
    if "websocket not connected" in error and _NOT_WRITTEN.match(error):
        return Refused(request, "NotConnected", "not connected to WhatsApp")
    if error.startswith("no LID found for"):
        return Refused(request, "UnknownRecipient", "the recipient is not on WhatsApp")
    if _NOT_WRITTEN.match(error):
        return Refused(request, "NotSent", error)
    return None
