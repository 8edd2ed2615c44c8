"""Keeps the world in a directory, so that clients stay paired while the simulator is restarted.

Layout: `noise-root.key` and `noise-static.key` (32 bytes in hex), `accounts/<number>.json`, `groups.json`, `clean`.
Accounts are written a moment after they change and completely at an orderly end. After an unclean end (no `clean`) the
stored sessions of contacts may be behind what they sent, so they are forgotten: a counter must never be used twice.
The journal, inboxes and media are not kept.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from whatsam_simulator.crypto.keys import KeyPair
from whatsam_simulator.errors import MalformedInput, SimulatorError
from whatsam_simulator.wire.binary_xml import Codec
from whatsam_simulator.world.records import Account, Device, Group
from whatsam_simulator.world.world import World

ROOT_KEY, STATIC_KEY = "noise-root.key", "noise-static.key"

_ACCOUNT = TypeAdapter(Account)
_GROUPS = TypeAdapter(dict[str, Group])


class Storage:
    """One directory; only one simulator may use it at a time."""

    def __init__(self, directory: Path, codec: Codec) -> None:
        self._directory = directory
        self._accounts = directory / "accounts"
        self._codec = codec
        self._clean = directory / "clean"
        self._accounts.mkdir(parents=True, exist_ok=True)

    def load(self, world: World) -> None:
        """Fills a new world with what was stored."""
        clean = self._clean.exists()
        self._clean.unlink(missing_ok=True)
        for path in sorted(self._accounts.glob("*.json")):
            account = _ACCOUNT.validate_json(path.read_bytes())
            world.add(account)
            for device in account.devices.values():
                self._restore(world, device)
                if device.signal is not None and not clean:
                    device.signal.forget_sessions()
        groups = self._directory / "groups.json"
        if groups.exists():
            world.groups.update(_GROUPS.validate_json(groups.read_bytes()))

    def _restore(self, world: World, device: Device) -> None:
        for packed in device.mailbox:
            try:
                world.mailbox(device).put(self._codec.unpack(packed))
            except MalformedInput:
                continue
        device.mailbox.clear()

    def save_changed(self, world: World) -> None:
        """Writes the accounts whose devices have changed."""
        changed, world.changed = world.changed, set()
        for number in changed:
            self._save(world, world.accounts[number])
        if changed:
            _replace(self._directory / "groups.json", _GROUPS.dump_json(world.groups))

    def save_all(self, world: World) -> None:
        """Writes everything, at an orderly end."""
        world.changed = set(world.accounts)
        self.save_changed(world)
        self._clean.touch()

    def _save(self, world: World, account: Account) -> None:
        for device in account.devices.values():
            device.mailbox = [self._codec.pack(stanza) for stanza in world.mailbox(device).waiting()]
        _replace(self._accounts / f"{account.number}.json", _ACCOUNT.dump_json(account))
        for device in account.devices.values():
            device.mailbox = []


def stored_key(path: Path) -> KeyPair:
    """The key pair whose private key is in `path`, made if the file is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, KeyPair().private.hex().encode() + b"\n")
    try:
        private = bytes.fromhex(path.read_text().strip())
    except ValueError:
        private = b""
    if len(private) != 32:
        raise SimulatorError(f"{path.name} must hold 64 hex digits")
    return KeyPair(private)


def _replace(path: Path, data: bytes) -> None:
    """Writes beside and renames, so that a kill in the middle leaves the old file."""
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_bytes(data)
    beside.replace(path)
