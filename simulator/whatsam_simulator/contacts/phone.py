"""What an account's phone does for its companions: app-state keys, message history, answers to their requests."""

from __future__ import annotations

import os
import zlib

from whatsam_simulator.contacts import fields as numbers
from whatsam_simulator.contacts.history import HistoryRequest, encode_history, encode_known, web_message_of
from whatsam_simulator.contacts.memory import Memory
from whatsam_simulator.contacts.sending import Sending
from whatsam_simulator.crypto import media
from whatsam_simulator.server.context import Context
from whatsam_simulator.server.site import media_path
from whatsam_simulator.wire.jid import Jid
from whatsam_simulator.wire.protobuf import Fields, encode
from whatsam_simulator.world.records import Account, Device

MAX_ON_DEMAND = 500
"""Messages of one answer, whatever was asked for."""


class Phone:
    """Implements `receiving.PeerAnswerer`. What it sends reaches all companions that have keys."""

    def __init__(self, context: Context, sending: Sending, memory: Memory) -> None:
        self._context = context
        self._sending = sending
        self._memory = memory

    def welcome(self, device: Device) -> None:
        """A companion is online for the first time: it gets the app-state keys and an empty first history."""
        faults = self._context.faults
        if device.bootstrapped or (faults.silent_phone and faults.concern(device.number)):
            return
        device.bootstrapped = True
        account = self._context.world.account(device.number)
        if not account.app_state_keys:
            self._new_key(account)
        self._context.world.changed.add(account.number)
        self._sending.send_to_self(account, self._key_share(account), device)
        first = HistoryRequest(type="initial_bootstrap")
        self._sending.send_to_self(account, self._notification(account, first), device)

    def share_app_state_key(self, account: Account) -> list[str]:
        """A new app-state key for every companion; returns the messages' ids."""
        self._new_key(account)
        return self._to_all(account, self._key_share(account))

    def send_history(self, account: Account, body: HistoryRequest) -> list[str]:
        """Past messages for every companion; returns the messages' ids."""
        return self._to_all(account, self._notification(account, body))

    def _to_all(self, account: Account, plain: bytes) -> list[str]:
        return [self._sending.send_to_self(account, plain, device) for device in account.companions]

    # answers

    def answer_peer(self, companion: Device, message_id: str, protocol: Fields) -> None:
        """A companion asks its phone for keys, a message, or older history."""
        faults = self._context.faults
        if faults.silent_phone and faults.concern(companion.number):
            return
        account = self._context.world.account(companion.number)
        kind = protocol.integer(2, 0)
        if kind == numbers.KEY_REQUEST:
            self._sending.send_to_self(account, self._key_share(account), companion)
        elif kind == numbers.PEER_REQUEST:
            request = protocol.message(16)
            asked = request.integer(1, 0)
            if asked == numbers.PLACEHOLDER_RESEND:
                self._resend(account, companion, message_id, request)
            elif asked == numbers.ON_DEMAND_HISTORY:
                self._on_demand(account, companion, message_id, request.message(4))

    def _resend(self, account: Account, companion: Device, message_id: str, request: Fields) -> None:
        results: list[tuple[int, bytes]] = []
        for wanted in request.every(5):
            known = self._memory.find(account.number, Fields(wanted).message(1).text(3, ""))
            if known is not None:
                results.append((3, encode((4, encode((1, web_message_of(known)))))))
        answer = encode((1, numbers.PLACEHOLDER_RESEND), (2, message_id), *results)
        plain = encode((numbers.PROTOCOL, encode((2, numbers.PEER_ANSWER), (17, answer))))
        self._sending.send_to_self(account, plain, companion)

    def _on_demand(self, account: Account, companion: Device, message_id: str, asked: Fields) -> None:
        chat = Jid.parse(asked.text(1, ""))
        person = self._context.world.find(chat)
        known = self._memory.of_chat(account, person.lid if person is not None else chat)
        ids = [message.id for message in known]
        oldest = asked.text(2, "")
        older = known[: ids.index(oldest)] if oldest in ids else [m for m in known if m.at * 1000 < asked.integer(5, 0)]
        page = older[-min(asked.integer(4, 50), MAX_ON_DEMAND) :]
        blob = encode_known(chat, page, complete=len(page) == len(older))
        extra = encode((12, message_id))
        self._sending.send_to_self(account, self._inline(6, 1, 100, blob, extra), companion)

    # messages

    def _new_key(self, account: Account) -> None:
        account.app_state_keys[(b"\0\0" + os.urandom(4)).hex()] = os.urandom(32)
        self._context.world.changed.add(account.number)

    def _key_share(self, account: Account) -> bytes:
        milliseconds = int(self._context.clock.now().wall.timestamp() * 1000)
        fingerprint = encode((1, 1), (2, 1), (3, b"\0\1"))
        keys = [
            encode((1, encode((1, bytes.fromhex(key_id)))), (2, encode((1, key), (2, fingerprint), (3, milliseconds))))
            for key_id, key in account.app_state_keys.items()
        ]
        share = encode(*((1, key) for key in keys))
        return encode((numbers.PROTOCOL, encode((2, numbers.KEY_SHARE), (7, share))))

    def _notification(self, account: Account, body: HistoryRequest) -> bytes:
        blob = encode_history(body, self._context.world.account, self._context.timestamp())
        kind = Fields(blob).integer(1, 0)
        if body.inline:
            return self._inline(kind, body.chunk, body.progress, blob)
        packed = zlib.compress(blob)
        sealed, token = media.seal("history", packed), os.urandom(16).hex()
        self._context.world.store_media(token, sealed.sealed)
        notification = encode(
            (1, sealed.plain_sha256),
            (2, sealed.size),
            (3, sealed.key),
            (4, sealed.sealed_sha256),
            (5, media_path(token)),
            (6, kind),
            (7, body.chunk),
            (9, body.progress),
        )
        return encode((numbers.PROTOCOL, encode((2, numbers.HISTORY_SYNC), (6, notification))))

    @staticmethod
    def _inline(kind: int, chunk: int, progress: int, blob: bytes, extra: bytes = b"") -> bytes:
        notification = encode((6, kind), (7, chunk), (9, progress), (11, zlib.compress(blob))) + extra
        return encode((numbers.PROTOCOL, encode((2, numbers.HISTORY_SYNC), (6, notification))))
