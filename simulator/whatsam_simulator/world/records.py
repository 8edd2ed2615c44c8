"""The simulator's data: accounts, devices, groups. Plain records that can be stored; behaviour lives elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from whatsam_simulator.crypto.keys import HexBytes, KeyPair
from whatsam_simulator.crypto.signal_device import SignalDevice
from whatsam_simulator.wire.jid import GROUP_SERVER, LID_SERVER, PHONE_SERVER, Jid

Role = Literal["", "admin", "superadmin"]


@dataclass
class SignedPrekey:
    """As a device uploaded it: three bytes of number, 32 of key, 64 of signature."""

    number: HexBytes
    public: HexBytes
    signature: HexBytes


@dataclass
class Device:
    """One device of an account. Device 0 is the phone or contact and lives in the simulator: `signal` is its state."""

    number: str
    lid_user: str
    id: int
    noise_public: HexBytes = b""
    registration: HexBytes = b""
    identity: HexBytes = b""
    signed_prekey: SignedPrekey | None = None
    prekeys: dict[str, HexBytes] = field(default_factory=dict[str, bytes])
    """Number of the key in hex → public key, oldest first."""
    mailbox: list[HexBytes] = field(default_factory=list[bytes])
    """Only while stored: packed stanzas that were not acknowledged."""
    signal: SignalDevice | None = None
    bootstrapped: bool = False
    """The phone has sent its app-state key and first history."""

    @cached_property
    def key(self) -> str:
        """The device's name inside the simulator, `number:id`."""
        return f"{self.number}:{self.id}"

    @cached_property
    def pn(self) -> Jid:
        return Jid(self.number, PHONE_SERVER, self.id)

    @cached_property
    def lid(self) -> Jid:
        return Jid(self.lid_user, LID_SERVER, self.id)


PRIVACY = {
    "groupadd": "all",
    "last": "all",
    "status": "all",
    "profile": "all",
    "readreceipts": "all",
    "online": "all",
    "calladd": "all",
}
"""Privacy settings as WhatsApp presets them."""


@dataclass
class Profile:
    """What others may see of an account, and its settings on the server."""

    about: str = "Hey there! I am using WhatsApp."
    about_at: int = 0
    picture: HexBytes = b""
    """JPEG; empty: none."""
    picture_id: str = ""
    picture_hidden: bool = False
    business_name: str = ""
    """Empty: no business account."""
    privacy: dict[str, str] = field(default_factory=lambda: dict(PRIVACY))
    blocked: list[str] = field(default_factory=list[str])
    """LID users."""
    default_timer: int = 0
    """Seconds, for new chats."""

    def set_picture(self, jpeg: bytes) -> None:
        self.picture, self.picture_id = jpeg, new_picture_id() if jpeg else ""


def new_picture_id() -> str:
    return str(int.from_bytes(os.urandom(4)) | 1 << 31)


@dataclass
class Account:
    """A phone number with its devices."""

    number: str
    lid_user: str
    name: str
    keys: KeyPair = field(default_factory=KeyPair)
    devices: dict[int, Device] = field(default_factory=dict[int, Device])
    next_device: int = 1
    profile: Profile = field(default_factory=Profile)
    app_state: dict[str, list[HexBytes]] = field(default_factory=dict[str, list[bytes]])
    """Collection → patches, in order."""
    app_state_keys: dict[str, HexBytes] = field(default_factory=dict[str, bytes])
    """Id in hex → key, oldest first; the phone shares them with its companions."""

    @cached_property
    def pn(self) -> Jid:
        return Jid(self.number, PHONE_SERVER)

    @cached_property
    def lid(self) -> Jid:
        return Jid(self.lid_user, LID_SERVER)

    @property
    def phone(self) -> Device:
        return self.devices[0]

    @property
    def companions(self) -> list[Device]:
        return [device for device in self.devices.values() if device.id]


@dataclass
class Group:
    """A group; members are named by LID user."""

    id: str
    subject: str
    creator: str
    created: int
    members: dict[str, Role] = field(default_factory=dict[str, Role])
    subject_by: str = ""
    """LID user; empty: the creator."""
    subject_at: int = 0
    description: str = ""
    description_id: str = ""
    description_by: str = ""
    description_at: int = 0
    announce: bool = False
    """Only admins send messages."""
    locked: bool = False
    """Only admins change subject, description and picture."""
    ephemeral: int = 0
    """Seconds; 0: off."""
    approval: bool = False
    """Who joins by link waits for an admin."""
    member_add_mode: str = "all_member_add"
    invite: str = field(default_factory=lambda: os.urandom(8).hex())
    """Code of the invite link."""
    picture: HexBytes = b""
    picture_id: str = ""
    version: int = 1
    """Grows with every change of members."""
    revoked_invites: list[str] = field(default_factory=list[str])
    requests: dict[str, int] = field(default_factory=dict[str, int])
    """LID user who waits for approval → Unix seconds of the request."""

    @property
    def jid(self) -> Jid:
        return Jid(self.id, GROUP_SERVER)

    def is_admin(self, lid_user: str) -> bool:
        return self.members.get(lid_user) in ("admin", "superadmin")


@dataclass(frozen=True)
class MediaBehaviour:
    """How the media host serves one file, where that differs from the rest."""

    status: int | None = None
    silent: bool = False
    corrupt: bool = False
    bytes_per_second: int | None = None
