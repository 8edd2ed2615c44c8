"""WhatsApp addresses."""

from __future__ import annotations

from dataclasses import dataclass

PHONE_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"
GROUP_SERVER = "g.us"
NEWSLETTER_SERVER = "newsletter"
MAX_DEVICE = 255
"""One byte on the wire."""


@dataclass(frozen=True, slots=True)
class Jid:
    """A user (or server, with an empty user) and one of its devices; device 0 is the phone."""

    user: str
    server: str
    device: int = 0

    def __str__(self) -> str:
        if not self.user:
            return self.server
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}"

    @property
    def bare(self) -> Jid:
        """The same address without its device."""
        return Jid(self.user, self.server)

    @classmethod
    def parse(cls, text: str) -> Jid:
        """The reverse of `str()`; a device that is no number up to 255 counts as part of the user."""
        user, _, server = text.rpartition("@")
        name, colon, device = user.rpartition(":")
        if colon and device.isascii() and device.isdigit() and int(device[:4]) <= MAX_DEVICE:
            return cls(name, server, int(device))
        return cls(user, server)


SERVER = Jid("", PHONE_SERVER)
