"""Names and ids of what comes in: one name for a chat or a person whom WhatsApp names in several ways. Pure.

The canonical name is by phone number where that is known (`<digits>@s.whatsapp.net`), else the LID; groups and
newsletters have one name. Ids of rows and events are made of the journal's event id: a record that is read twice, after
a crash, makes the same ones.
"""

import hashlib
from dataclasses import dataclass
from typing import Final
from uuid import UUID

PHONE_SERVER: Final = "s.whatsapp.net"
LID_SERVER: Final = "lid"

_KINDS: Final = {
    "g.us": "group",
    "newsletter": "newsletter",
    "broadcast": "status",
}


@dataclass(frozen=True, slots=True)
class ChatNames:
    """A chat, as it is named in a record and as it is stored."""

    chat: str
    contact: str
    """Canonical."""
    kind: str
    """person, group, newsletter or status."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every name under which something of this chat may be stored."""
        return (self.chat,) if self.chat == self.contact else (self.chat, self.contact)


def chat_names(chat: str, phone: str | None) -> ChatNames:
    """Names of a chat from its JID and, for people, the digits beside it."""
    kind = _KINDS.get(server_of(chat), "person")
    return ChatNames(chat, person(chat, phone) if kind == "person" else chat, kind)


def person(jid: str, phone: str | None) -> str:
    """The canonical name of somebody."""
    return f"{phone}@{PHONE_SERVER}" if phone else jid


def person_names(jid: str, phone: str | None) -> tuple[str, ...]:
    """Every name of somebody, most likely one first."""
    name = person(jid, phone)
    return (jid,) if name == jid or not jid else (jid, name)


def phone_of(jid: str) -> str | None:
    """Digits of a JID that is by phone number."""
    user, _, server = jid.partition("@")
    return user if server == PHONE_SERVER and user.isdigit() else None


def lid_of(jid: str) -> str | None:
    """The JID, if it is a LID."""
    return jid if server_of(jid) == LID_SERVER else None


def server_of(jid: str) -> str:
    """What is behind the @."""
    return jid.rpartition("@")[2]


def bare(jid: str) -> str:
    """Without the device: who, not which of their devices."""
    user, at, server = jid.partition("@")
    return f"{user.split(':', 1)[0]}{at}{server}"


def event_id(*parts: str) -> UUID:
    """Id of an event, or of a record that waits."""
    digest = hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).digest()
    value = int.from_bytes(digest[:16])
    return UUID(int=value & ~(0xF << 76 | 0x3 << 62) | (0x8 << 76 | 0x2 << 62))  # version 8: a layout of one's own
