"""Sends messages and logs out, and says honestly what is known about the outcome.

Refused means that WhatsApp did not take the message: whatsmeow failed before it wrote the stanza, or the server
answered with an error. Everything else that is no success is Uncertain: whatsmeow writes the stanza again by itself
after a reconnect, so a time-out or a broken connection says nothing.

The text is sent as it is: no link preview (neonize would fetch URLs), no mentions parsed out of it.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from neonize.exc import LogoutError, SendMessageError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from whatsam_connector.engine.neonize_adapter.jids import parse_jid
from whatsam_connector.engine.neonize_adapter.refusals import refusal
from whatsam_connector.engine.protocol import Answer, Done, Logout, Refused, Send, Sent, Uncertain

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession


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
