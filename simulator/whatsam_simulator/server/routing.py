"""Everything a logged-in client sends that is no query: messages, receipts, acks, presence, typing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from whatsam_simulator.crypto import ratchet, sender_keys
from whatsam_simulator.crypto.keys import raw_public
from whatsam_simulator.errors import MalformedInput
from whatsam_simulator.journal.records import MessageStep, ViolationKind
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.server.presence import Presence
from whatsam_simulator.server.queries import Handler, Queries
from whatsam_simulator.wire.jid import GROUP_SERVER, NEWSLETTER_SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Device

FORWARDED = ("device-identity", "meta", "multicast")
"""Children of a message that go to every receiver."""
OWN_RECEIPTS = ("sender", "peer_msg", "hist_sync", "server-error")
"""Receipts that end at the server."""


class Routing:
    """Sorts stanzas by tag; `more`: handlers of further tags, and of messages to a `newsletter`."""

    def __init__(
        self, context: Context, delivery: Delivery, queries: Queries, presence: Presence, more: Mapping[str, Handler]
    ) -> None:
        self._context = context
        self._delivery = delivery
        self._queries = queries
        self._handlers = {
            "iq": queries.handle,
            "message": self._message,
            "receipt": self._receipt,
            "ack": self._ack,
            "presence": presence.handle,
            "chatstate": presence.chatstate,
            **more,
        }

    def handle(self, link: Link, device: Device, stanza: Node) -> None:
        """One stanza of a logged-in client."""
        faults = self._context.faults
        if faults.ignore and faults.concern(device.number) and {stanza.tag, stanza.get("xmlns")} & set(faults.ignore):
            return
        to = stanza.get_jid("to")
        for_newsletter = stanza.tag == "message" and to is not None and to.server == NEWSLETTER_SERVER
        handler = self._handlers.get("newsletter" if for_newsletter else stanza.tag)
        if handler is not None:
            handler(link, device, stanza)
        elif stanza.tag != "ib":
            self._context.unknown[stanza.tag] += 1

    def _message(self, link: Link, sender: Device, message: Node) -> None:
        context, to, message_id = self._context, message.jid("to"), message.text("id")
        ack = {"class": "message", "id": message_id, "from": to, "t": context.timestamp()}
        error = context.faults.message_error if context.faults.concern(sender.number) else None
        if error is None and to.server == GROUP_SERVER and not self._may_write(to, sender):
            error = 403
        delay = context.faults.ack_delay_seconds if context.faults.concern(sender.number) else 0
        self._later(delay, link, element("ack", {**ack, "error": error}))
        context.journal.message(
            MessageStep.RECEIVED, message_id, sender=sender.key, chat=str(to), detail=message.get("type")
        )
        if error is None:
            self._forward(sender, to, message)

    @staticmethod
    def _later(delay: float, link: Link, stanza: Node) -> None:
        if delay:
            asyncio.get_running_loop().call_later(delay, link.send, stanza)
        else:
            link.send(stanza)

    def _may_write(self, to: Jid, sender: Device) -> bool:
        group = self._context.world.groups.get(to.user)
        if group is None or sender.lid_user not in group.members:
            return False
        return not group.announce or group.is_admin(sender.lid_user)

    def _forward(self, sender: Device, to: Jid, message: Node) -> None:
        common = [child for child in message.children if child.tag in FORWARDED]
        direct = message.every("enc")
        in_group = to.server == GROUP_SERVER
        target = message.get_jid("participant") if in_group else to
        if direct and target is not None:
            self._answer_or_peer(sender, to, target, message, [*direct, *common])
            return
        participants = message.child("participants")
        copies = {copy.jid("jid"): copy.children for copy in (participants.children if participants else [])}
        if in_group:
            self._group_message(sender, to, message, copies=copies, direct=direct, common=common)
            return
        for address, encrypted in copies.items():
            receiver = self._context.world.device(address)
            if receiver is None:
                continue
            self._context.acquaint(sender.number, receiver.number)
            attrs = self._from_sender(sender, message)
            if receiver.number == sender.number:
                attrs |= {"recipient": to, "peer_recipient_pn": message.attrs.get("peer_recipient_pn")}
            self._count(sender, receiver.key, message, encrypted)
            self._delivery.deliver(receiver, element("message", attrs, [*encrypted, *common]), sender)

    def _answer_or_peer(self, sender: Device, to: Jid, target: Jid, message: Node, content: list[Node]) -> None:
        """An answer to a retry receipt, or a message to one of the account's own devices: one receiver only."""
        receiver = self._context.world.device(target)
        if receiver is None:
            return
        attrs = self._in_group(sender, to, message) if to.server == GROUP_SERVER else self._from_sender(sender, message)
        attrs |= {"category": message.get("category"), "recipient": message.attrs.get("recipient")}
        self._count(sender, receiver.key, message, content)
        self._delivery.deliver(receiver, element("message", attrs, content), sender)

    def _group_message(
        self,
        sender: Device,
        to: Jid,
        message: Node,
        *,
        copies: dict[Jid, list[Node]],
        direct: list[Node],
        common: list[Node],
    ) -> None:
        world = self._context.world
        self._count(sender, str(to), message, direct)
        for account in world.members(world.group(to.user)):
            for receiver in list(account.devices.values()):
                if receiver is sender:
                    continue
                own = copies.get(receiver.lid) or copies.get(receiver.pn) or []
                self._count(sender, receiver.key, message, own)
                content = [*own, *direct, *common]
                self._delivery.deliver(
                    receiver, element("message", self._in_group(sender, to, message), content), sender
                )

    def _stamp(self, sender: Device, message: Node) -> dict[str, str | int | Jid | None]:
        return {
            "id": message.text("id"),
            "t": self._context.timestamp(),
            "type": message.get("type") or "text",
            "notify": self._context.world.account(sender.number).name,
            "edit": message.get("edit"),
            "addressing_mode": "lid",
        }

    def _from_sender(self, sender: Device, message: Node) -> dict[str, str | int | Jid | None]:
        return {**self._stamp(sender, message), "from": sender.lid, "sender_pn": sender.pn}

    def _in_group(self, sender: Device, group: Jid, message: Node) -> dict[str, str | int | Jid | None]:
        parties = {"from": group, "participant": sender.lid, "participant_pn": sender.pn}
        return {**self._stamp(sender, message), **parties}

    def _count(self, sender: Device, receiver: str, message: Node, encrypted: list[Node]) -> None:
        for part in encrypted:
            if part.tag == "enc":
                count(self._context, sender, receiver, message.text("id"), part)

    def _receipt(self, link: Link, device: Device, receipt: Node) -> None:
        context, to, kind = self._context, receipt.jid("to"), receipt.get("type")
        link.send(element("ack", {"class": "receipt", "id": receipt.text("id"), "from": to, "type": kind}))
        mailbox = context.world.mailbox(device)
        retry = receipt.need("retry").number("count") if kind == "retry" else None
        listed = receipt.child("list")
        ids = [receipt.text("id"), *(item.text("id") for item in (listed.children if listed else []))]
        participant = receipt.get_jid("participant")
        sender = context.world.device(participant or to)
        if self._loses(device, kind):
            return
        for message_id in ids:
            waited = mailbox.acknowledge_message(message_id, retry)
            if waited or retry is not None:
                step = MessageStep.ACKNOWLEDGED if retry is None else MessageStep.RETRY_ASKED
                by = sender.key if sender else str(participant or to)
                context.journal.message(step, message_id, sender=by, receiver=device.key, detail=kind)
        if kind not in OWN_RECEIPTS:
            self._forward_receipt(device, to, participant, kind, receipt)

    def _loses(self, device: Device, kind: str | None) -> bool:
        """Whether this receipt is lost by order: its message will be delivered again at the next login."""
        faults = self._context.faults
        if faults.lose_receipts == 0 or kind not in (None, "inactive", "sender") or not faults.concern(device.number):
            return False
        faults.lose_receipts -= 1
        return True

    def _forward_receipt(
        self, device: Device, to: Jid, participant: Jid | None, kind: str | None, receipt: Node
    ) -> None:
        attrs: dict[str, str | int | Jid | None] = {
            "id": receipt.text("id"),
            "t": self._context.timestamp(),
            "type": kind if kind != "inactive" else None,
            "recipient": receipt.attrs.get("recipient"),
        }
        if to.server == GROUP_SERVER:
            target = participant
            attrs |= {"from": to, "participant": device.lid, "participant_pn": device.pn}
        else:
            target = to
            attrs |= {"from": device.lid, "sender_pn": device.pn}
        if target is None:
            return
        account = self._context.world.find(target)
        receivers = list(account.devices.values()) if account else []
        if kind == "retry":
            receivers = [receiver for receiver in receivers if receiver.id == target.device]
        for receiver in receivers:
            if receiver is not device:
                self._delivery.deliver(receiver, element("receipt", attrs, receipt.content))

    def _ack(self, link: Link, device: Device, ack: Node) -> None:
        tag, sender, participant = ack.get("class") or "", ack.get("to") or "", ack.get("participant")
        mailbox = self._context.world.mailbox(device)
        mailbox.acknowledge(tag, ack.text("id"), sender, participant, ack.get("type"))


def count(context: Context, sender: Device, receiver: str, message_id: str, encrypted: Node) -> None:
    """Journals the counter that a ciphertext carries in the clear; a ciphertext that carries none is a violation."""
    kind, data = encrypted.get("type") or "", encrypted.data
    if context.journal.settings.keep == "counts":
        context.journal.counted += 1
        return
    try:
        if kind == "skmsg":
            fields = sender_keys.read_message(data)
            chain, counter = f"{fields.integer(sender_keys.KEY_ID):08x}", fields.integer(sender_keys.ITERATION, 0)
        else:
            inner = ratchet.read_prekey_message(data).data(ratchet.INNER_MESSAGE) if kind == "pkmsg" else data
            fields = ratchet.read_message(inner)
            chain, counter = raw_public(fields.data(ratchet.RATCHET_KEY)).hex(), fields.integer(ratchet.COUNTER, 0)
    except MalformedInput as error:
        context.journal.violation(ViolationKind.MALFORMED, sender.key, f"{kind} {message_id}: {error}")
        return
    context.journal.counter(
        receiver=receiver,
        sender=sender.key,
        kind=kind,
        chain=chain,
        counter=counter,
        message_id=message_id,
        ciphertext=data,
    )
