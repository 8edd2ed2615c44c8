"""Everything that exists in the simulator, and how to find it. Used by every handler; no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from whatsam_simulator.crypto.signal_device import SIGNED_PREKEY, SignalDevice
from whatsam_simulator.errors import UnknownItem, UnknownNumber
from whatsam_simulator.wire.jid import LID_SERVER, Jid
from whatsam_simulator.world.mailbox import Mailbox
from whatsam_simulator.world.records import Account, Device, Group, MediaBehaviour, Role, SignedPrekey

LID_BASE = 10**14
MAX_MEDIA_BYTES = 1 << 28
"""Uploaded files kept; the oldest go first (256 MiB)."""
MAX_PICTURES = 1_000


class World:
    """Accounts, groups, mailboxes, media."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.groups: dict[str, Group] = {}
        self.media: dict[str, bytes] = {}
        self.media_behaviour: dict[str, MediaBehaviour] = {}
        """By token; only what the control API has asked for."""
        self.pictures: dict[str, bytes] = {}
        """Profile pictures that somebody has asked for, by the name in their address."""
        self._by_lid: dict[str, Account] = {}
        self._mailboxes: dict[str, Mailbox] = {}
        self._media_bytes = 0
        self.changed: set[str] = set()
        """Numbers of accounts whose devices changed since they were last stored."""

    def account(self, number: str) -> Account:
        """The account; raises `UnknownNumber`."""
        account = self.accounts.get(number)
        if account is None:
            raise UnknownNumber(f"no phone or contact {number}")
        return account

    def ensure_account(self, number: str, name: str | None = None) -> Account:
        """The account of that number, made with its phone if there is none."""
        account = self.accounts.get(number)
        if account is None:
            digest = hashlib.sha256(number.encode()).hexdigest()
            account = Account(number, str(LID_BASE + int(digest[:11], 16)), name or f"User {number[-4:]}")
            account.devices[0] = _phone(account)
            self.add(account)
        elif name:
            account.name = name
        self.changed.add(number)
        return account

    def add(self, account: Account) -> None:
        self.accounts[account.number] = account
        self._by_lid[account.lid_user] = account

    def find(self, jid: Jid) -> Account | None:
        """The account behind a phone-number or LID address."""
        return self._by_lid.get(jid.user) if jid.server == LID_SERVER else self.accounts.get(jid.user)

    def device(self, jid: Jid) -> Device | None:
        account = self.find(jid)
        return account.devices.get(jid.device) if account else None

    def mailbox(self, device: Device) -> Mailbox:
        mailbox = self._mailboxes.get(device.key)
        if mailbox is None:
            mailbox = self._mailboxes[device.key] = Mailbox()
        return mailbox

    def remove_device(self, device: Device) -> None:
        self.account(device.number).devices.pop(device.id, None)
        self._mailboxes.pop(device.key, None)
        self.changed.add(device.number)

    def group(self, group_id: str) -> Group:
        """The group; raises `UnknownItem`. Takes the id with or without its server."""
        group = self.groups.get(group_id.removesuffix("@g.us"))
        if group is None:
            raise UnknownItem(f"no group {group_id}")
        return group

    def create_group(self, subject: str, creator: Account, members: list[Account], now: int) -> Group:
        roles: dict[str, Role] = {creator.lid_user: "superadmin"}
        for member in members:
            roles.setdefault(member.lid_user, "")
        group_id = f"120363{now:010d}{len(self.groups):04d}"
        group = self.groups[group_id] = Group(group_id, subject, creator.lid_user, now, roles)
        self.changed.add(creator.number)
        return group

    def members(self, group: Group) -> Iterator[Account]:
        for lid_user in list(group.members):
            yield self._by_lid[lid_user]

    def by_lid(self, lid_user: str) -> Account:
        return self._by_lid[lid_user]

    def store_media(self, token: str, body: bytes) -> None:
        self._media_bytes += len(body) - len(self.media.pop(token, b""))
        self.media[token] = body
        while self._media_bytes > MAX_MEDIA_BYTES and len(self.media) > 1:
            self._media_bytes -= len(self.media.pop(next(iter(self.media))))

    def show_picture(self, name: str, jpeg: bytes) -> None:
        self.pictures[name] = jpeg
        if len(self.pictures) > MAX_PICTURES:
            del self.pictures[next(iter(self.pictures))]


def _phone(account: Account) -> Device:
    signal = SignalDevice(account.keys)
    signed = SignedPrekey(SIGNED_PREKEY.to_bytes(3), signal.signed_prekey.public, signal.signed_prekey_signature())
    return Device(
        account.number,
        account.lid_user,
        0,
        registration=signal.registration_id.to_bytes(4),
        identity=account.keys.public,
        signed_prekey=signed,
        prekeys={number.to_bytes(3).hex(): key for number, key in signal.make_prekeys().items()},
        signal=signal,
    )
