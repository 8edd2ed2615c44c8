"""Errors of engine processes as their supervisor sees them.

EngineError
├── EngineRefused       the request had no effect outside the engine
├── EngineUncertain     the request may have had its effect
├── EngineUnresponsive  no answer in time to a request that has no effect outside (arm, ping)
├── EngineGone          the process has ended
└── EngineStartFailed   no process, or not one that runs these sessions
"""

from whatsam_connector.supervision.exits import EngineExit
from whatsam_core.errors import WhatsamError


class EngineError(WhatsamError):
    """Root of everything that goes wrong between supervisor and engine."""


class EngineRefused(EngineError):
    """Certainly not done: a message was not sent, a device was not unlinked.

    `code`: NotConnected, NotStarted (busy until the time limit), UnknownRecipient, InvalidRecipient, InvalidMessage,
    UnsupportedType, Unsupported, ServerRefused, NotSent, LogoutRefused, UnknownSession, EngineGone.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class EngineUncertain(EngineError):
    """It may have been done: the answer did not come in time, or the engine died at it."""


class EngineUnresponsive(EngineError):
    """The engine did not answer in time. It may be stopped or hang: whoever needs certainty kills it."""


class EngineGone(EngineError):
    """The engine's process has ended."""

    def __init__(self, ended: EngineExit) -> None:
        super().__init__(f"the engine has ended: {ended.reason.value}")
        self.ended = ended


class EngineStartFailed(EngineError):
    """The engine did not come up; no process of it is left.

    `reason` is JournalFull (wait until the inbox has worked), DeviceMissing (a JID was given, but the file has no such
    device), DatabaseUnreadable, SocketFailed, or the exit reason's value.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
