"""How a phone or contact receives: decrypts, fills its inbox, sends receipts, asks again for what it could not read.

It refuses what a real peer refuses (used counters, wrong MACs and signatures); each refusal is in the journal.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Protocol

from whatsam_simulator.contacts import fields
from whatsam_simulator.contacts.compose import option_hash
from whatsam_simulator.contacts.content import Content, MediaReference, read
from whatsam_simulator.contacts.inbox import Inbox, InboxEvent, InboxMedia, InboxMessage, InboxReceipt
from whatsam_simulator.contacts.memory import Known, Memory, open_vote
from whatsam_simulator.crypto import ratchet
from whatsam_simulator.crypto.device_identity import check_attached
from whatsam_simulator.crypto.keys import raw_public
from whatsam_simulator.crypto.signal_device import SignalDevice, unpad
from whatsam_simulator.errors import BadMac, BadSignature, MalformedInput, NoSession, ProtocolError, UsedMessageKey
from whatsam_simulator.journal.records import MessageStep, ViolationKind
from whatsam_simulator.server.context import Context
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.server.prekeys import prekey_node, signed_prekey_node
from whatsam_simulator.wire.jid import GROUP_SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import Fields, decode
from whatsam_simulator.world.records import Account, Device

MAX_RETRIES = 4
"""Retry receipts for one message, as whatsmeow."""

MAX_FILES = 50_000
"""Files and retries that are remembered, of all accounts."""
EVENT_KINDS = {"w:gp2": "group", "chatstate": "typing", "status": "about"}


class RetryAnswerer(Protocol):
    """What answers a retry receipt for a phone or contact."""

    def answer_retry(self, device: Device, receipt: Node) -> None: ...


class PeerAnswerer(Protocol):
    """What answers requests of companions to their phone."""

    def answer_peer(self, companion: Device, message_id: str, protocol: Fields) -> None: ...


@dataclass(frozen=True)
class _Parties:
    """Who a message is from, and where."""

    sender: Device
    chat: Jid
    group: bool


class Receiving:
    """Implements `delivery.SimulatedReceiver`; `connect` completes it, since deliveries and answers need each other."""

    def __init__(self, context: Context, memory: Memory) -> None:
        self._context = context
        self._memory = memory
        self._inboxes: dict[str, Inbox] = {}
        self._retries: dict[tuple[str, str, str], int] = {}
        self._media: dict[tuple[str, str], MediaReference] = {}
        self._delivery: Delivery | None = None
        self._answerer: RetryAnswerer | None = None
        self._phone: PeerAnswerer | None = None

    def connect(self, delivery: Delivery, answerer: RetryAnswerer, phone: PeerAnswerer) -> None:
        self._delivery, self._answerer, self._phone = delivery, answerer, phone

    def inbox(self, number: str) -> Inbox:
        inbox = self._inboxes.get(number)
        if inbox is None:
            inbox = self._inboxes[number] = Inbox(self._context.journal)
        return inbox

    def media(self, number: str, message_id: str) -> MediaReference | None:
        return self._media.get((number, message_id))

    def receive(self, device: Device, stanza: Node) -> None:
        """A stanza for a simulated device. Nothing in it can harm the connection it came from."""
        try:
            if stanza.tag == "message":
                self._message(device, stanza)
            elif stanza.tag == "receipt":
                self._receipt(device, stanza)
            else:
                self._event(device, stanza)
        except ProtocolError as error:
            self._violation(error, None, stanza)

    def _receipt(self, device: Device, receipt: Node) -> None:
        if receipt.get("type") == "retry" and self._answerer is not None:
            self._answerer.answer_retry(device, receipt)
        sender = self._context.world.device(receipt.get_jid("participant") or receipt.jid("from"))
        if sender is None:
            return
        inbox, listed = self.inbox(device.number), receipt.child("list")
        for message_id in [receipt.text("id"), *(item.text("id") for item in (listed.children if listed else []))]:
            inbox.add_receipt(
                InboxReceipt(
                    sequence=inbox.next(),
                    message_id=message_id,
                    type=receipt.get("type") or "delivered",
                    sender=sender.number,
                    sender_device=sender.id,
                    received_at=self._context.clock.now().wall,
                )
            )

    def _event(self, device: Device, stanza: Node) -> None:
        """Typing, group changes, calls: what the person would see."""
        origin, inner = stanza.jid("from"), stanza.children[0] if stanza.children else Node(stanza.tag)
        sender = self._context.world.find(stanza.get_jid("participant") or origin)
        chat = str(origin) if origin.server == GROUP_SERVER else sender.number if sender else str(origin)
        members = [self._context.world.find(member.jid("jid")) for member in inner.every("participant")]
        body = inner.child("body")
        inbox = self.inbox(device.number)
        inbox.add_event(
            InboxEvent.model_construct(
                sequence=inbox.next(),
                kind=EVENT_KINDS.get(stanza.get("type") or stanza.tag, stanza.tag),
                change=inner.tag,
                chat=chat,
                sender=sender.number if sender else "",
                attributes={name: str(value) for name, value in inner.attrs.items()},
                members=[member.number for member in members if member is not None],
                text=body.data.decode(errors="replace") if body is not None else None,
                received_at=self._context.clock.now().wall,
            )
        )

    def _message(self, device: Device, message: Node) -> None:
        origin = message.jid("from")
        sender = self._context.world.device(message.get_jid("participant") or origin)
        if sender is None or device.signal is None:
            return
        parties = _Parties(sender, origin, origin.server == GROUP_SERVER)
        failure: ProtocolError | None = None
        for part in message.every("enc"):
            try:
                content, plain = self._open(device.signal, parties, message, part)
            except UsedMessageKey as error:
                self._step(MessageStep.DROPPED, parties, device, message, str(error))
                if self._context.faults.used_keys == "retry":
                    failure = error
            except ProtocolError as error:
                self._violation(error, sender, message)
                failure = error
            else:
                self._keep(device, parties, message, content, plain)
        self._answer(device, parties, message, failure)

    def _open(self, signal: SignalDevice, parties: _Parties, message: Node, part: Node) -> tuple[Content, bytes]:
        kind, faults, group = part.get("type") or "", self._context.faults, str(parties.chat)
        peer = str(parties.sender.lid)
        if kind == "skmsg":
            plain = unpad(signal.sender_keys_of(group, peer).decrypt(part.data))
            return read(plain), plain
        if faults.unreadable_at_contacts:
            faults.unreadable_at_contacts -= 1
            raise NoSession("unreadable by order of the control API")
        if kind == "pkmsg":
            self._check_identity(parties.sender, message, part.data)
        plain = signal.decrypt(peer, kind, part.data)
        content = read(plain)
        if content.distribution is not None and parties.group:
            keys = signal.sender_keys_of(group, peer)
            keys.learn(content.distribution, replace=faults.repeated_sender_key == "replace")
        return content, plain

    def _check_identity(self, sender: Device, message: Node, data: bytes) -> None:
        """The first message of a companion must prove that the account vouches for it."""
        identity = raw_public(ratchet.read_prekey_message(data).data(ratchet.IDENTITY_KEY))
        if identity != sender.identity:
            raise BadSignature("a first message with another identity than the device's")
        attached = message.child("device-identity")
        if sender.id and attached is None:
            raise BadSignature("a companion's first message without its device identity")
        if attached is not None:
            account = self._context.world.account(sender.number)
            check_attached(attached.data, account.keys.public, sender.identity)

    def _keep(self, device: Device, parties: _Parties, message: Node, content: Content, plain: bytes) -> None:
        message_id = message.text("id")
        if content.kind == "sender-key":
            return
        self._step(MessageStep.READ, parties, device, message, content.kind)
        if content.media is not None:
            self._media[device.number, message_id] = content.media
            if len(self._media) > MAX_FILES:
                del self._media[next(iter(self._media))]
        if content.kind == "vote":
            self._read_vote(device, parties, content)
        if content.kind == "protocol" and parties.sender.number == device.number and self._phone is not None:
            self._phone.answer_peer(parties.sender, message_id, content.message.message(fields.PROTOCOL))
        self._remember(device, parties, message, content)
        self._add(device, parties, message, content, plain=plain)

    def _remember(self, device: Device, parties: _Parties, message: Node, content: Content) -> None:
        chat = parties.chat.bare
        own = parties.sender.number == device.number
        if own and not parties.group:
            chat = message.get_jid("recipient") or Jid.parse(content.destination or str(chat))
        account = self._context.world.account(device.number)
        known = Known(
            message.text("id"),
            self._context.world.account(parties.sender.number),
            chat,
            from_me=own,
            message=content.message.raw,
            at=message.number("t", 0),
            secret=content.secret,
            options=tuple(content.details.options),
        )
        self._memory.remember(account, known)

    def _read_vote(self, device: Device, parties: _Parties, content: Content) -> None:
        """Fills in what was voted for, when the poll is known."""
        target = content.details.target
        poll = self._memory.find(device.number, target.id) if target is not None else None
        if poll is None:
            return
        sealed = content.message.message(fields.VOTE).message(2)
        voter = self._context.world.account(parties.sender.number)
        chosen = set(decode(open_vote(poll, voter, sealed.data(1), sealed.data(2))).every(1))
        content.details.options = [option for option in poll.options if option_hash(option) in chosen]

    def _add(
        self,
        device: Device,
        parties: _Parties,
        message: Node,
        content: Content | None,
        *,
        reason: str | None = None,
        plain: bytes = b"",
    ) -> None:
        inbox, media = self.inbox(device.number), content.media if content else None
        file = None
        if media is not None:
            file = InboxMedia(
                mimetype=media.mimetype, size=media.size, sha256=media.plain_sha256.hex(), file_name=media.file_name
            )
        own = content.own if content else parties.sender.number == device.number
        inbox.add(
            InboxMessage(
                **(vars(content.details) if content else {}),
                sequence=inbox.next(),
                id=message.text("id"),
                chat=self._chat(parties, message, content),
                group=parties.group,
                sender=parties.sender.number,
                sender_device=parties.sender.id,
                own=own,
                readable=content is not None,
                reason=reason,
                kind=content.kind if content else "",
                text=content.text if content else None,
                media=file,
                raw=base64.b64encode(plain).decode(),
                type=message.get("type") or "",
                edit=message.get("edit"),
                received_at=self._context.clock.now().wall,
                read=False,
            )
        )

    def _chat(self, parties: _Parties, message: Node, content: Content | None) -> str:
        if parties.group:
            return str(parties.chat)
        destination = message.get_jid("recipient")
        if destination is None and content is not None and content.destination:
            destination = Jid.parse(content.destination)
        if destination is None:
            return parties.sender.number
        account = self._context.world.find(destination)
        return account.number if account else str(destination)

    def _answer(self, device: Device, parties: _Parties, message: Node, failure: ProtocolError | None) -> None:
        if failure is not None:
            self._ask_again(device, parties, message, failure)
        elif parties.sender.number != device.number:
            self._send(parties.sender, element("receipt", self._receipt_attrs(device, parties, message.text("id"))))

    def _ask_again(self, device: Device, parties: _Parties, message: Node, failure: ProtocolError) -> None:
        """A retry receipt as whatsmeow sends it: with new keys from the second on."""
        message_id, signal = message.text("id"), device.signal
        key = device.key, parties.sender.key, message_id
        asked = self._retries[key] = self._retries.get(key, 0) + 1
        if len(self._retries) > MAX_FILES:
            del self._retries[next(iter(self._retries))]
        if asked == 1:
            self._step(MessageStep.UNREADABLE, parties, device, message, str(failure))
            self._add(device, parties, message, None, reason=str(failure))
        if asked > MAX_RETRIES or signal is None:
            return
        attrs = {"count": asked, "id": message_id, "t": message.get("t"), "v": 1}
        content = [element("retry", attrs), element("registration", {}, device.registration)]
        if asked > 1 and device.signed_prekey is not None:
            number, public = next(iter(signal.make_prekeys(1).items()))
            keys = [
                element("type", {}, b"\x05"),
                element("identity", {}, device.identity),
                prekey_node(number.to_bytes(3).hex(), public),
                signed_prekey_node(device.signed_prekey),
            ]
            content.append(element("keys", {}, keys))
        self._step(MessageStep.RETRY_ASKED, parties, device, message, f"retry {asked}")
        receipt = {**self._receipt_attrs(device, parties, message_id), "type": "retry"}
        if parties.sender.number == device.number:
            receipt["recipient"] = message.attrs.get("recipient")
        self._send(parties.sender, element("receipt", receipt, content))

    def _receipt_attrs(self, device: Device, parties: _Parties, message_id: str) -> dict[str, str | int | Jid | None]:
        attrs: dict[str, str | int | Jid | None] = {"id": message_id, "t": self._context.timestamp()}
        if parties.group:
            return {**attrs, "from": parties.chat, "participant": device.lid, "participant_pn": device.pn}
        return {**attrs, "from": device.lid, "sender_pn": device.pn}

    def mark(self, account: Account, message: InboxMessage, kind: str) -> None:
        """The person has opened the chat (`read`), or played what came (`played`): every device of the sender gets a
        receipt. `read-self`, `played-self`: only the account's own companions learn of it."""
        device, sender = account.phone, self._context.world.account(message.sender)
        message.read = True
        chat = self._context.world.group(message.chat).jid if message.group else sender.lid
        to_self = kind.endswith("-self")
        for receiver in account.companions if to_self else list(sender.devices.values()):
            parties = _Parties(receiver, chat, message.group)
            attrs = {**self._receipt_attrs(device, parties, message.id), "type": kind}
            if to_self and not message.group:
                attrs["recipient"] = sender.lid
            elif to_self:
                attrs["recipient"] = chat
            self._send(receiver, element("receipt", attrs))

    def _send(self, device: Device, stanza: Node) -> None:
        if self._delivery is not None:
            self._delivery.deliver(device, stanza)

    def _step(self, step: MessageStep, parties: _Parties, device: Device, message: Node, detail: str) -> None:
        self._context.journal.message(
            step,
            message.text("id"),
            sender=parties.sender.key,
            receiver=device.key,
            chat=str(parties.chat),
            detail=detail,
        )

    def _violation(self, error: ProtocolError, sender: Device | None, message: Node) -> None:
        kinds: dict[type[ProtocolError], ViolationKind] = {
            BadMac: ViolationKind.BAD_MAC,
            BadSignature: ViolationKind.BAD_SIGNATURE,
            MalformedInput: ViolationKind.MALFORMED,
        }
        kind = kinds.get(type(error))
        if kind is not None:
            key = sender.key if sender else None
            self._context.journal.violation(kind, key, f"{message.tag} {message.get('id')}: {error}")
