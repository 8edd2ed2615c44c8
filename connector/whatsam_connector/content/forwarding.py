"""Forwarding a message as WhatsApp gave it to us: the same content, new surroundings. Pure; for `building`."""

from typing import Any

from whatsam_connector.content.schema import MalformedMessage, Message, parse
from whatsam_core.messages import InvalidBody

_WRAPPERS = (
    "ephemeralMessage",
    "documentWithCaptionMessage",
    "editedMessage",
    "groupMentionedMessage",
    "associatedChildMessage",
)
"""Envelopes whose content may be forwarded. View-once messages are not among them: they must not be passed on."""


def forwarded(raw: bytes, context: Any | None) -> Any:
    """The message to send. Raises `InvalidBody` for what cannot be forwarded."""
    try:
        message = parse(raw)
    except MalformedMessage as error:
        raise InvalidBody("the message to forward cannot be read") from error
    message = _opened(message)
    if message.HasField("conversation"):
        text = message.conversation
        message = Message()
        message.extendedTextMessage.text = text
    content = _content(message)
    if content is None:
        raise InvalidBody("a message of this kind cannot be forwarded")
    copy = Message()
    target = getattr(copy, content[0])
    target.CopyFrom(content[1])
    target.ClearField("contextInfo")
    if context is not None:
        target.contextInfo.CopyFrom(context)
    if content[0] == "documentMessage" and target.caption:
        wrapped = Message()
        wrapped.documentWithCaptionMessage.message.CopyFrom(copy)
        return wrapped
    return copy


def _opened(message: Any) -> Any:
    """The content inside of its envelopes."""
    while True:
        if message.HasField("deviceSentMessage"):
            message = message.deviceSentMessage.message
            continue
        inside = next((name for name in _WRAPPERS if message.HasField(name)), None)
        if inside is None:
            return message
        message = getattr(message, inside).message


def _content(message: Any) -> tuple[str, Any] | None:
    """Name and content of the one field that can be forwarded."""
    for field, value in message.ListFields():
        if field.message_type is None or "contextInfo" not in field.message_type.fields_by_name:
            continue
        if field.name.startswith(("poll", "call", "event")):
            return None
        if getattr(value, "viewOnce", False):
            return None
        return field.name, value
    return None
