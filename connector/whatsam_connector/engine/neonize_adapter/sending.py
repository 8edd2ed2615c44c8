"""Sends messages and logs out, and says honestly what is known about the outcome.

Refused means that WhatsApp did not take the message: whatsmeow failed before it wrote the stanza, or the server
answered with an error. Everything else that is no success is Uncertain: whatsmeow writes the stanza again by itself
after a reconnect, so a time-out or a broken connection says nothing.

The text is sent as it is: no link preview (neonize would fetch URLs), no mentions parsed out of it.
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from neonize.exc import LogoutError, SendMessageError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from whatsam_connector.engine.neonize_adapter.jids import parse_jid
from whatsam_connector.engine.protocol import Answer, Done, Logout, Refused, Send, Sent, Uncertain

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

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


def send(session: "NeonizeSession", request: Send) -> Answer:
    """Send one message; returns when WhatsApp's server has answered (neonize gives up after 75 seconds)."""
    if request.message_id is not None:
        return Refused(request.id, "Unsupported", "this engine cannot choose message ids")
    if not session.connected.is_set():
        return Refused(request.id, "NotConnected", "not connected to WhatsApp")
    try:
        recipient = parse_jid(request.to)
        message = Message.FromString(request.message)
    except (ValueError, DecodeError):
        return Refused(request.id, "Invalid", "the recipient or the message cannot be parsed")
    try:
        response = session.client.send_message(recipient, message)
    except SendMessageError as error:
        text = str(error)
        return refusal(request.id, text) or Uncertain(request.id, text)
    except Exception as error:  # noqa: BLE001 - neonize may fail after WhatsApp took the message
        return Uncertain(request.id, f"{type(error).__name__}: {error}")
    # WhatsApp's own time in seconds; whatsmeow's zero time when the server told none.
    told = response.Timestamp > 0
    timestamp = datetime.fromtimestamp(response.Timestamp, UTC) if told else datetime.now(UTC)
    return Sent(request.id, response.ID, timestamp)


def logout(session: "NeonizeSession", request: Logout) -> Answer:
    """Unlink the device at WhatsApp; neonize deletes its rows when WhatsApp has agreed."""
    if not session.connected.is_set():
        return Refused(request.id, "NotConnected", "not connected to WhatsApp")
    try:
        session.client.logout()
    except LogoutError as error:
        text = str(error)
        if "timed out" in text or "disconnected" in text:
            return Uncertain(request.id, text)
        return Refused(request.id, "LogoutRefused", text)
    except Exception as error:  # noqa: BLE001 - see send
        return Uncertain(request.id, f"{type(error).__name__}: {error}")
    session.connected.clear()
    return Done(request.id)
