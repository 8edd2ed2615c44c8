"""What the control API can do, on one simulation. Used by the routes only."""

from __future__ import annotations

from dataclasses import dataclass

from whatsam_simulator.contacts.compose import compose_text
from whatsam_simulator.contacts.inbox import Inbox
from whatsam_simulator.contacts.outgoing import MessageBody
from whatsam_simulator.contacts.phone import HistoryEntry
from whatsam_simulator.contacts.sending import Outgoing
from whatsam_simulator.control.models import (
    Contact,
    GroupView,
    PairedDevice,
    ServerInfo,
    Stanza,
)
from whatsam_simulator.crypto import media as media_crypto
from whatsam_simulator.errors import RequestRefused, UnknownItem
from whatsam_simulator.faults import Faults
from whatsam_simulator.journal.journal import Journal
from whatsam_simulator.journal.records import EndReason
from whatsam_simulator.server.connection import stream_error
from whatsam_simulator.server.context import Link
from whatsam_simulator.server.login import unlink
from whatsam_simulator.server.site import MEDIA_PATH
from whatsam_simulator.simulation import Simulation
from whatsam_simulator.world.records import Account, Device, Group


@dataclass(frozen=True)
class Listening:
    """The addresses that `GET /info` tells."""

    host: str
    tls_port: int
    proxy_port: int
    control_port: int


class ControlService:
    """One method per thing that a test may want."""

    def __init__(self, simulation: Simulation, listening: Listening) -> None:
        self._simulation = simulation
        self._context = simulation.context
        self._world = simulation.context.world
        self._listening = listening

    def info(self) -> ServerInfo:
        at, context = self._listening, self._context
        queues = {
            device.key: len(self._world.mailbox(device))
            for account in self._world.accounts.values()
            for device in account.companions
        }
        return ServerInfo(
            host=at.host,
            tls_port=at.tls_port,
            proxy_port=at.proxy_port,
            control_port=at.control_port,
            control_url=f"http://{at.host}:{at.control_port}",
            proxy_url=f"http://{at.host}:{at.proxy_port}",
            ca_file=str(self._simulation.ca_file.resolve()),
            ca_pem=self._simulation.ca_file.read_text(),
            root_key=self._simulation.root.public.hex(),
            online=sorted(context.online),
            pairing=self._simulation.pairing.waiting,
            queues=queues,
            unknown=dict(context.unknown),
        )

    # phones

    def scan(self, number: str, qr: str) -> PairedDevice:
        return _paired(self._simulation.pairing.scan(number, qr))

    async def enter_code(self, number: str, code: str) -> PairedDevice:
        return _paired(await self._simulation.pairing.enter_code(number, code))

    def unlink(self, number: str) -> list[str]:
        companions = self._world.account(number).companions
        for device in companions:
            unlink(self._context, device)
        return [device.key for device in companions]

    def history(self, number: str, chat: str, entries: list[HistoryEntry]) -> list[str]:
        return self._simulation.phone.send_history(self._world.account(number), chat, entries)

    def app_state_keys(self, number: str) -> list[str]:
        return self._simulation.phone.share_app_state_key(self._world.account(number))

    def stream_error(self, number: str, code: int | None, conflict: str | None) -> int:
        reason = EndReason.REPLACED if conflict == "replaced" else EndReason.STREAM_ERROR
        links = self._links(number)
        for link in links:
            link.end(stream_error(code, conflict), reason)
        return len(links)

    def cut(self, number: str) -> int:
        links = self._links(number)
        for link in links:
            link.cut()
        return len(links)

    def cut_pairing(self) -> int:
        return self._simulation.pairing.close_all()

    def _links(self, number: str) -> list[Link]:
        links = [self._context.link(device) for device in self._world.account(number).companions]
        return [link for link in links if link is not None]

    # contacts

    def ensure_contact(self, number: str, name: str | None) -> tuple[Contact, bool]:
        """The contact, and whether it is new."""
        new = number not in self._world.accounts
        return _contact(self._world.ensure_account(number, name)), new

    def contacts(self) -> list[Contact]:
        return [_contact(account) for account in self._world.accounts.values()]

    def contact(self, number: str) -> Contact:
        return _contact(self._world.account(number))

    def send(self, number: str, to: str, body: MessageBody) -> str:
        if to.endswith("@g.us"):
            return self.send_to_group(to, number, body)
        sender, receiver = self._world.account(number), self._world.account(to)
        return self._simulation.sending.send(sender, receiver, self._simulation.authoring.write(sender, body))

    def send_batch(self, texts: list[tuple[str, str, str]]) -> list[str]:
        """(sender, receiver, text) each; all or, where a number is unknown, none."""
        known = [(self._world.account(sender), self._world.account(to), text) for sender, to, text in texts]
        return [self._simulation.sending.send(sender, to, Outgoing(compose_text(text))) for sender, to, text in known]

    def inbox(self, number: str) -> Inbox:
        self._world.account(number)
        return self._simulation.receiving.inbox(number)

    def mark_read(self, number: str, message_id: str, *, played: bool) -> None:
        account = self._world.account(number)
        message = self._simulation.receiving.inbox(number).find(message_id)
        if message is None:
            raise UnknownItem(f"no message {message_id} in this inbox")
        if not message.readable:
            raise RequestRefused("a message that could not be decrypted cannot be read")
        for kind in ("read", "played") if played else ("read",):
            self._simulation.receiving.mark(account, message, kind)

    def media(self, number: str, message_id: str) -> tuple[str, bytes]:
        """Media type and bytes of a file that came with a message."""
        self._world.account(number)
        reference = self._simulation.receiving.media(number, message_id)
        if reference is None:
            raise UnknownItem(f"no file came with message {message_id}")
        token = reference.path.removeprefix(MEDIA_PATH).split("?")[0]
        sealed = self._world.media.get(token)
        if sealed is None:
            raise UnknownItem("the file is not on the media host")
        plain = media_crypto.open_sealed(reference.kind, reference.key, sealed, reference.plain_sha256)
        return reference.mimetype or "application/octet-stream", plain

    # groups

    def groups(self) -> list[GroupView]:
        return [self._group_view(group) for group in self._world.groups.values()]

    def group(self, group_id: str) -> GroupView:
        return self._group_view(self._world.group(group_id))

    def create_group(self, subject: str, creator: str, members: list[str]) -> GroupView:
        accounts = [self._world.account(number) for number in members]
        owner = self._world.account(creator)
        return self._group_view(self._simulation.groups.create(owner.phone, subject, accounts))

    def change_group(self, group_id: str, actor: str, add: list[str], remove: list[str]) -> GroupView:
        group, by = self._world.group(group_id), self._world.account(actor)
        for kind, numbers in (("add", add), ("remove", remove)):
            accounts = [self._world.account(number) for number in numbers]
            if accounts:
                self._simulation.groups.change_members(group, by.phone, kind, accounts)
        for member in self._world.members(group):
            self._simulation.sending.forget_sender_keys(member, group)
        return self._group_view(group)

    def send_to_group(self, group_id: str, number: str, body: MessageBody) -> str:
        group, sender = self._world.group(group_id), self._world.account(number)
        return self._simulation.sending.send_to_group(sender, group, self._simulation.authoring.write(sender, body))

    def _group_view(self, group: Group) -> GroupView:
        members = {self._world.by_lid(lid).number: str(role) for lid, role in group.members.items()}
        creator = self._world.by_lid(group.creator).number
        return GroupView(id=group.id, jid=str(group.jid), subject=group.subject, creator=creator, members=members)

    # faults and journal

    @property
    def faults(self) -> Faults:
        return self._context.faults

    def set_faults(self, faults: Faults) -> None:
        self._context.faults = faults

    @property
    def journal(self) -> Journal:
        return self._context.journal

    def stanzas(self, limit: int) -> list[Stanza]:
        recent = list(self._context.trace)[-limit:]
        return [
            Stanza(monotonic=at, direction="from" if direction == "from" else "to", who=who, text=str(stanza))
            for at, direction, who, stanza in recent
        ]


def _paired(device: Device) -> PairedDevice:
    return PairedDevice(device=device.key, jid=str(device.pn), lid=str(device.lid))


def _contact(account: Account) -> Contact:
    companions = [device.key for device in account.companions]
    return Contact(number=account.number, name=account.name, lid=str(account.lid), companions=companions)
