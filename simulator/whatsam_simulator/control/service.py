"""What the control API can do, on one simulation. Used by the routes only."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from urllib.parse import quote

from whatsam_simulator.contacts.app_state import ChatChangeRequest, MutationView, RawChangeRequest
from whatsam_simulator.contacts.authoring import decoded
from whatsam_simulator.contacts.history import HistoryRequest
from whatsam_simulator.contacts.outgoing import MessageBody
from whatsam_simulator.control.contact_service import ContactService
from whatsam_simulator.control.group_service import GroupService
from whatsam_simulator.control.models import (
    CallChangeRequest,
    CallRequest,
    JidAttribute,
    MediaBehaviourRequest,
    NewsletterView,
    PairedDevice,
    PasskeyRequest,
    PasskeyView,
    ProxyRequest,
    ProxyView,
    ServerInfo,
    Stanza,
    StanzaNode,
    StanzaRequest,
    Uploaded,
    UploadRequest,
)
from whatsam_simulator.crypto import media
from whatsam_simulator.crypto.webauthn import from_text, public_key
from whatsam_simulator.errors import MalformedInput, RequestRefused, UnknownItem
from whatsam_simulator.faults import Faults
from whatsam_simulator.journal.journal import Journal
from whatsam_simulator.journal.records import EndReason
from whatsam_simulator.server.connection import stream_error
from whatsam_simulator.server.context import Link
from whatsam_simulator.server.forward_proxies import Address, ForwardProxy
from whatsam_simulator.server.login import unlink
from whatsam_simulator.server.newsletters import Newsletter
from whatsam_simulator.server.passkeys import Passkey, Progress
from whatsam_simulator.server.site import MEDIA_HOST, MEDIA_PATH, media_path
from whatsam_simulator.simulation import Simulation
from whatsam_simulator.wire.jid import Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Device, MediaBehaviour


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
        self.contacts = ContactService(simulation)
        self.groups = GroupService(simulation)

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

    def set_passkey(self, number: str, body: PasskeyRequest) -> None:
        more = body.model_dump(exclude={"credential", "public_key"})
        try:
            credential, key = from_text(body.credential), from_text(body.public_key)
            public_key(key)
        except MalformedInput as error:
            raise RequestRefused(str(error)) from None
        self._simulation.pairing.passkeys.of[number] = Passkey(credential, key, **more)

    def remove_passkey(self, number: str) -> None:
        self._simulation.pairing.passkeys.of.pop(number, None)

    def passkey(self, number: str) -> PasskeyView:
        progress = self._simulation.pairing.passkeys.progress.get(number, Progress())
        return PasskeyView(**asdict(progress))

    def unlink(self, number: str) -> list[str]:
        companions = self._world.account(number).companions
        for device in companions:
            unlink(self._context, device)
        return [device.key for device in companions]

    def history(self, number: str, body: HistoryRequest) -> list[str]:
        return self._simulation.phone.send_history(self._world.account(number), body)

    def change_chat(self, number: str, body: ChatChangeRequest) -> None:
        self._simulation.phone_app_state.change(self._world.account(number), body)

    def change_app_state(self, number: str, body: RawChangeRequest) -> None:
        self._simulation.phone_app_state.change_raw(self._world.account(number), body)

    def app_state(self, number: str) -> list[MutationView]:
        return self._simulation.phone_app_state.mutations(self._world.account(number))

    def send_stanza(self, number: str, body: StanzaRequest) -> int:
        stanza, companions = _node(body.stanza), self._world.account(number).companions
        for device in companions:
            if body.keep:
                self._simulation.delivery.deliver(device, stanza)
            else:
                self._simulation.delivery.pass_on(device, stanza)
        return len(self._links(number))

    def call(self, number: str, body: CallRequest) -> str:
        group = self._world.group(body.group) if body.group else None
        caller, to = self._world.account(number), self._world.account(body.to)
        return self._simulation.calls.ring(caller, to, video=body.video, group=group)

    def change_call(self, number: str, call_id: str, body: CallChangeRequest) -> None:
        caller, to = self._world.account(number), self._world.account(body.to)
        self._simulation.calls.follow(caller, to, call_id, body.change, body.reason)

    # newsletters

    def newsletters(self) -> list[NewsletterView]:
        return [_newsletter(each) for each in self._simulation.newsletters.all.values()]

    def create_newsletter(self, owner: str, name: str, description: str) -> NewsletterView:
        return _newsletter(self._simulation.newsletters.create(self._world.account(owner), name, description))

    def follow_newsletter(self, newsletter_id: str, number: str, *, on: bool) -> NewsletterView:
        newsletter, account = self._simulation.newsletters.one(newsletter_id), self._world.account(number)
        (newsletter.followers.add if on else newsletter.followers.discard)(account.number)
        return _newsletter(newsletter)

    def post_to_newsletter(self, newsletter_id: str, body: MessageBody, message_id: str) -> str:
        newsletter = self._simulation.newsletters.one(newsletter_id)
        message = self._simulation.authoring.write(self._world.account(newsletter.owner), body)
        name = message.id or message_id
        self._simulation.newsletters.post(newsletter, message.plain, message.kind, name, None)
        return name

    # proxies

    def proxies(self) -> list[ProxyView]:
        return [self._proxy_view(proxy) for proxy in self._simulation.forward_proxies.all()]

    def proxy(self, port: int) -> ProxyView:
        return self._proxy_view(self._proxy(port))

    async def add_proxy(self, body: ProxyRequest) -> ProxyView:
        target = Address(self._listening.host, self._listening.tls_port, self._listening.proxy_port)
        proxy = ForwardProxy(body.kind, target, body.user, body.password, silent=body.silent)
        try:
            await self._simulation.forward_proxies.add(proxy, self._listening.host, body.port)
        except OSError as error:
            raise RequestRefused(f"no proxy on port {body.port}: {error.strerror}") from None
        return self._proxy_view(proxy)

    def cut_proxy(self, port: int) -> int:
        return self._proxy(port).cut()

    async def remove_proxy(self, port: int) -> None:
        self._proxy(port)
        await self._simulation.forward_proxies.remove(port)

    def _proxy(self, port: int) -> ForwardProxy:
        proxy = self._simulation.forward_proxies.get(port)
        if proxy is None:
            raise UnknownItem(f"no proxy on port {port}")
        return proxy

    def _proxy_view(self, proxy: ForwardProxy) -> ProxyView:
        login = f"{quote(proxy.user)}:{quote(proxy.password)}@" if proxy.user else ""
        return ProxyView(
            kind=proxy.kind,
            port=proxy.port,
            url=f"{proxy.kind}://{login}{self._listening.host}:{proxy.port}",
            connections=proxy.counts.connections,
            tunnels=proxy.counts.tunnels,
            refused=proxy.counts.refused,
            targets=proxy.counts.targets,
        )

    # media

    def upload(self, body: UploadRequest) -> Uploaded:
        sealed, token = media.seal(body.kind, decoded(body.data, "data")), os.urandom(16).hex()
        self._world.store_media(token, sealed.sealed)
        path = media_path(token)
        return Uploaded(
            url=MEDIA_HOST + path,
            direct_path=path,
            media_key=sealed.key.hex(),
            sha256=sealed.plain_sha256.hex(),
            enc_sha256=sealed.sealed_sha256.hex(),
            size=sealed.size,
        )

    def behave(self, body: MediaBehaviourRequest) -> None:
        token = body.direct_path.removeprefix(MEDIA_PATH).split("?")[0]
        if token not in self._world.media:
            raise UnknownItem("no such file on the media host")
        behaviour = MediaBehaviour(body.status, body.silent, body.corrupt, body.bytes_per_second)
        self._world.media_behaviour[token] = behaviour

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

    def swallow(self, number: str) -> int:
        links = self._links(number)
        for link in links:
            link.swallow()
        return len(links)

    def cut_pairing(self) -> int:
        return self._simulation.pairing.close_all()

    def _links(self, number: str) -> list[Link]:
        links = [self._context.link(device) for device in self._world.account(number).companions]
        return [link for link in links if link is not None]

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


def _node(asked: StanzaNode) -> Node:
    attrs = {
        name: Jid.parse(value.jid) if isinstance(value, JidAttribute) else value
        for name, value in asked.attributes.items()
    }
    if asked.data is not None:
        return element(asked.tag, attrs, decoded(asked.data, "data"))
    return element(asked.tag, attrs, [_node(child) for child in asked.children] or None)


def _newsletter(newsletter: Newsletter) -> NewsletterView:
    return NewsletterView(
        id=newsletter.id,
        jid=str(newsletter.jid),
        name=newsletter.name,
        description=newsletter.description,
        owner=newsletter.owner,
        invite=newsletter.invite,
        followers=sorted(newsletter.followers),
        muted=sorted(newsletter.muted),
        posts=[post.id for post in newsletter.posts],
        reactions=newsletter.reactions,
    )
