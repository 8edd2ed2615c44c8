"""The simulator's exceptions.

SimulatorError
├── ProtocolError            a peer sent what a real server or a real peer refuses; never leaves the connection
│   ├── MalformedInput       bytes that are no frame, no stanza, no protobuf
│   ├── BadSignature         signed prekey, sender-key message or device identity
│   ├── BadMac               a MAC or HMAC does not fit
│   ├── UsedMessageKey       the counter was used before
│   ├── TooFarAhead          the counter is further ahead than a peer would follow
│   └── NoSession            nothing to decrypt this message with
├── UnknownNumber            no phone or contact of that number
├── UnknownItem              no group, message, pairing or connection of that name
├── QueryRefused             a client's query gets an error as its answer
└── RequestRefused           the request is well formed, but cannot be done now
"""

from whatsam_core.errors import WhatsamError


class SimulatorError(WhatsamError):
    """Root of everything the simulator raises on purpose."""


class ProtocolError(SimulatorError):
    """A peer sent what a real server or a real peer refuses."""


class MalformedInput(ProtocolError):
    """Bytes that are no frame, no stanza or no protobuf of the expected shape."""


class BadSignature(ProtocolError):
    """A signature (signed prekey, sender-key message, device identity) does not fit."""


class BadMac(ProtocolError):
    """A MAC or HMAC does not fit what it protects."""


class UsedMessageKey(ProtocolError):
    """The message's counter was used before; libsignal refuses it for ever."""


class TooFarAhead(ProtocolError):
    """The message's counter is further ahead than libsignal follows."""


class NoSession(ProtocolError):
    """There is no session, sender key or prekey that this message could belong to."""


class UnknownNumber(SimulatorError):
    """No phone or contact of that number exists."""


class UnknownItem(SimulatorError):
    """No group, message, pairing or connection of that name exists."""


class RequestRefused(SimulatorError):
    """The request is well formed, but cannot be done in the present state."""


class QueryRefused(SimulatorError):
    """A client's query gets an error as its answer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
