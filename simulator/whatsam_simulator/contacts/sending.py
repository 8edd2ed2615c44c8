"""How a phone or contact sends: 1:1, to groups with its own sender key, and again when asked for a retry."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass, replace

from whatsam_simulator.contacts import compose
from whatsam_simulator.contacts.content import read
from whatsam_simulator.contacts.memory import Known, Memory
from whatsam_simulator.crypto.keys import raw_public
from whatsam_simulator.crypto.ratchet import Bundle
from whatsam_simulator.crypto.signal_device import SignalDevice, pad
from whatsam_simulator.errors import BadSignature, NoSession, RequestRefused
from whatsam_simulator.journal.records import MessageStep, ViolationKind
from whatsam_simulator.server.context import Context
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.server.prekeys import bundle
from whatsam_simulator.server.routing import count
from whatsam_simulator.wire.jid import GROUP_SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Account, Device, Group

MAX_REMEMBERED = 10_000
"""Sent messages that can be repeated on a retry receipt."""


@dataclass(frozen=True)
class Outgoing:
    """A message and what its stanza says about it."""

    plain: bytes
    kind: str = "text"
    """The stanza's `type`: text, media, poll, reaction."""
    media_type: str | None = None
    edit: str | None = None
    poll_type: str | None = None
    id: str | None = None
    """Null: a new one."""
    timestamp: int | None = None
    """Unix seconds; null: now."""


@dataclass(frozen=True)
class Sent:
    """A message as it went to one account or group; enough to send it again."""

    message: Outgoing
    group: str | None = None
    peer: bool = False
    recipient: Account | None = None


class Sending:
    """Implements `receiving.RetryAnswerer`."""

    def __init__(self, context: Context, delivery: Delivery, memory: Memory) -> None:
        self._context = context
        self._delivery = delivery
        self._memory = memory
        self._sent: OrderedDict[tuple[str, str], Sent] = OrderedDict()
        self._copies: OrderedDict[tuple[str, str], Sent] = OrderedDict()

    def send(self, sender: Account, to: Account, message: Outgoing) -> str:
        """A message of `sender`'s phone to all devices of `to`, and copies to its own companions."""
        message_id = message.id or new_message_id()
        self._journal_sent(sender, message_id, str(to.lid), message.kind)
        self._know(sender, message_id, to.lid, message.plain)
        self._context.acquaint(sender.number, to.number)
        sent = Sent(message)
        self._remember(self._sent, sender, message_id, sent)
        for device in list(to.devices.values()):
            if device is not sender.phone:
                self._to_device(sender, device, message_id, sent)
        if to is not sender and sender.companions:
            own = replace(message, plain=compose.compose_own_copy(str(to.lid), message.plain))
            copy = Sent(own, recipient=to)
            self._remember(self._copies, sender, message_id, copy)
            for device in sender.companions:
                self._to_device(sender, device, message_id, copy)
        return message_id

    def send_to_self(self, account: Account, plain: bytes, device: Device) -> str:
        """A peer message of the phone to one of its companions (keys, history)."""
        message_id = new_message_id()
        self._journal_sent(account, message_id, str(account.lid), "peer")
        sent = Sent(Outgoing(plain), peer=True)
        self._remember(self._sent, account, message_id, sent)
        self._to_device(account, device, message_id, sent)
        return message_id

    def send_to_group(self, sender: Account, group: Group, message: Outgoing) -> str:
        """A group message: encrypted once, the sender key distributed to whoever does not know it yet."""
        device, signal = sender.phone, _signal(sender.phone)
        if sender.lid_user not in group.members:
            raise RequestRefused("only members send to a group")
        if group.announce and not group.members[sender.lid_user]:
            raise RequestRefused("only admins send to this group")
        message_id, jid = message.id or new_message_id(), group.jid
        self._journal_sent(sender, message_id, str(jid), message.kind)
        self._know(sender, message_id, jid, message.plain)
        sent = Sent(message, group=group.id)
        self._remember(self._sent, sender, message_id, sent)
        own_key = signal.own_sender_key(str(jid))
        distribution = compose.with_distribution(b"", str(jid), own_key.distribution())
        attrs = {"v": 2, "type": "skmsg", "mediatype": message.media_type}
        common = element("enc", attrs, own_key.encrypt(pad(message.plain)))
        count(self._context, device, str(jid), message_id, common)
        for account in self._context.world.members(group):
            for receiver in list(account.devices.values()):
                if receiver is device or receiver.signed_prekey is None:
                    continue
                parts = [common]
                if receiver.key not in own_key.known_to:
                    told = self._encrypt(device, receiver, message_id, Outgoing(distribution))
                    if told is None:
                        continue
                    parts.insert(0, told)
                    own_key.known_to.add(receiver.key)
                self._delivery.deliver(receiver, self._stanza(sender, message_id, parts, sent), device)
        return message_id

    def _know(self, sender: Account, message_id: str, chat: Jid, plain: bytes) -> None:
        content = read(plain)
        known = Known(
            message_id,
            sender,
            chat,
            from_me=True,
            message=plain,
            at=self._context.timestamp(),
            secret=content.secret,
            options=tuple(content.details.options),
        )
        self._memory.remember(sender, known)

    def forget_sender_keys(self, account: Account, group: Group) -> None:
        """After a change of members the next message brings a new sender key."""
        _signal(account.phone).own_sender_keys.pop(str(group.jid), None)

    def answer_retry(self, device: Device, receipt: Node) -> None:
        """As whatsmeow: without keys the same session again, with keys a new session."""
        asker = self._context.world.device(receipt.get_jid("participant") or receipt.jid("from"))
        message_id, keys = receipt.text("id"), receipt.child("keys")
        memory = self._copies if asker is not None and asker.number == device.number else self._sent
        sent = memory.get((device.number, message_id)) or self._sent.get((device.number, message_id))
        if asker is None or sent is None:
            return
        signal, plain, peer = _signal(device), sent.message.plain, str(asker.lid)
        if keys is not None:
            signal.start_session(peer, _bundle_of(keys))
        if sent.group is not None:
            jid = Jid(sent.group, GROUP_SERVER)
            plain = compose.with_distribution(plain, str(jid), signal.own_sender_key(str(jid)).distribution())
        retry = receipt.need("retry").number("count")
        part = self._encrypt(device, asker, message_id, replace(sent.message, plain=plain), retry)
        if part is None:
            return
        account = self._context.world.account(device.number)
        self._context.journal.message(
            MessageStep.RETRY_ANSWERED, message_id, sender=device.key, receiver=asker.key, detail=f"retry {retry}"
        )
        self._delivery.deliver(asker, self._stanza(account, message_id, [part], sent), device)

    def _to_device(self, sender: Account, device: Device, message_id: str, sent: Sent) -> None:
        part = self._encrypt(sender.phone, device, message_id, sent.message)
        if part is not None:
            self._delivery.deliver(device, self._stanza(sender, message_id, [part], sent), sender.phone)

    def _encrypt(
        self, device: Device, receiver: Device, message_id: str, message: Outgoing, retry: int | None = None
    ) -> Node | None:
        """The `<enc>` for one device; `None` when there are no keys to encrypt with, or none that a peer may trust."""

        def fetch() -> Bundle:
            return bundle(self._context, receiver)

        try:
            kind, data = _signal(device).encrypt(str(receiver.lid), message.plain, fetch)
        except NoSession:
            return None
        except BadSignature as error:
            self._context.journal.violation(ViolationKind.BAD_SIGNATURE, receiver.key, str(error))
            return None
        part = element("enc", {"v": 2, "type": kind, "count": retry, "mediatype": message.media_type}, data)
        count(self._context, device, receiver.key, message_id, part)
        return part

    def _stanza(self, sender: Account, message_id: str, parts: list[Node], sent: Sent) -> Node:
        message, recipient = sent.message, sent.recipient
        attrs: dict[str, str | int | Jid | None] = {
            "id": message_id,
            "t": self._context.timestamp() if message.timestamp is None else message.timestamp,
            "type": message.kind,
            "notify": sender.name,
            "edit": message.edit,
            "addressing_mode": "lid",
            "category": "peer" if sent.peer else None,
            "recipient": recipient.lid if recipient else None,
            "peer_recipient_pn": recipient.pn if recipient else None,
        }
        if sent.group is not None:
            attrs |= {"from": Jid(sent.group, GROUP_SERVER), "participant": sender.lid, "participant_pn": sender.pn}
        else:
            attrs |= {"from": sender.lid, "sender_pn": sender.pn}
        meta = [element("meta", {"polltype": message.poll_type})] if message.poll_type else []
        return element("message", attrs, [*parts, *meta])

    def _remember(
        self, memory: OrderedDict[tuple[str, str], Sent], sender: Account, message_id: str, sent: Sent
    ) -> None:
        memory[sender.number, message_id] = sent
        if len(memory) > MAX_REMEMBERED:
            memory.popitem(last=False)

    def _journal_sent(self, sender: Account, message_id: str, chat: str, kind: str) -> None:
        self._context.journal.message(MessageStep.RECEIVED, message_id, sender=sender.phone.key, chat=chat, detail=kind)


def new_message_id() -> str:
    """An id in the form that phones use."""
    return "3A" + os.urandom(9).hex().upper()


def _signal(device: Device) -> SignalDevice:
    if device.signal is None:
        raise RequestRefused("this device does not live in the simulator")
    return device.signal


def _bundle_of(keys: Node) -> Bundle:
    signed, one_time = keys.need("skey"), keys.child("key")
    return Bundle(
        raw_public(keys.need("identity").data),
        int.from_bytes(signed.need("id").data),
        raw_public(signed.need("value").data),
        int.from_bytes(one_time.need("id").data) if one_time else None,
        raw_public(one_time.need("value").data) if one_time else None,
    )
