"""What an account's phone does for its companions: app-state keys and message history."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass

from whatsam_simulator.contacts.fields import HISTORY_SYNC, KEY_SHARE, PROTOCOL
from whatsam_simulator.contacts.memory import Memory
from whatsam_simulator.contacts.sending import Sending
from whatsam_simulator.server.context import Context
from whatsam_simulator.wire.jid import PHONE_SERVER, Jid
from whatsam_simulator.wire.protobuf import Fields, encode
from whatsam_simulator.world.records import Account, Device

INITIAL_BOOTSTRAP, RECENT = 0, 3
"""Types of a history sync."""


@dataclass(frozen=True)
class HistoryEntry:
    """One message of the past."""

    text: str
    from_me: bool = False


class Phone:
    """Acts for phones; each call reaches all companions that have keys."""

    def __init__(self, context: Context, sending: Sending, memory: Memory) -> None:
        self._context = context
        self._sending = sending
        self._memory = memory

    def welcome(self, device: Device) -> None:
        """A companion is online for the first time: it gets the app-state key and an empty first history."""
        faults = self._context.faults
        if device.bootstrapped or (faults.silent_phone and faults.concern(device.number)):
            return
        device.bootstrapped = True
        account = self._context.world.account(device.number)
        self._context.world.changed.add(account.number)
        self._sending.send_to_self(account, self._key_share(), device)
        self._sending.send_to_self(account, self._history(INITIAL_BOOTSTRAP, None, []), device)

    def share_app_state_key(self, account: Account) -> list[str]:
        """A new app-state key for every companion; returns the messages' ids."""
        plain = self._key_share()
        return [self._sending.send_to_self(account, plain, device) for device in account.companions]

    def send_history(self, account: Account, chat: str, entries: list[HistoryEntry]) -> list[str]:
        """Past messages of one chat for every companion; returns the messages' ids."""
        plain = self._history(RECENT, Jid(chat, PHONE_SERVER), entries)
        return [self._sending.send_to_self(account, plain, device) for device in account.companions]

    def answer_peer(self, companion: Device, message_id: str, protocol: Fields) -> None:
        """A companion's request to its phone."""

    def _key_share(self) -> bytes:
        milliseconds = int(self._context.clock.now().wall.timestamp() * 1000)
        fingerprint = encode((1, 1), (2, 1), (3, b"\0\1"))
        data = encode((1, os.urandom(32)), (2, fingerprint), (3, milliseconds))
        key = encode((1, encode((1, b"\0\0" + os.urandom(4)))), (2, data))
        return encode((PROTOCOL, encode((2, KEY_SHARE), (7, encode((1, key))))))

    def _history(self, kind: int, chat: Jid | None, entries: list[HistoryEntry]) -> bytes:
        then = self._context.timestamp() - 3600
        conversations: list[tuple[int, bytes]] = []
        if chat is not None:
            messages = [(2, encode((1, _past(chat, then + n, entry)))) for n, entry in enumerate(entries)]
            conversations.append((2, encode((1, str(chat)), *messages)))
        blob = zlib.compress(encode((1, kind), *conversations, (5, 0), (6, 100)))
        notification = encode((6, kind), (7, 0), (9, 100), (11, blob))
        return encode((PROTOCOL, encode((2, HISTORY_SYNC), (6, notification))))


def _past(chat: Jid, at: int, entry: HistoryEntry) -> bytes:
    """A `WebMessageInfo`."""
    key = encode((1, str(chat)), (2, entry.from_me), (3, "3A" + os.urandom(9).hex().upper()))
    return encode((1, key), (2, encode((1, entry.text))), (3, at))
