"""What can go wrong while a cluster is driven from outside."""

from whatsam_core.errors import WhatsamError


class DriverError(WhatsamError):
    """The cluster did not do what was asked of it."""


class KubectlError(DriverError):
    """kubectl ended with an error; the text is what it said."""


class CallFailed(DriverError):
    """A REST call got no answer that could be read."""


class CallRefused(DriverError):
    """A REST call was refused."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code


class WaitedTooLong(DriverError):
    """A condition did not come true in time; the text tells what was seen last."""
