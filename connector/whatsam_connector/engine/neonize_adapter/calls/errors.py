"""How a call says that nothing was done."""

from whatsam_core.errors import WhatsamError


class CallRefused(WhatsamError):
    """The call had no effect at WhatsApp. `code` is a word for programs, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
