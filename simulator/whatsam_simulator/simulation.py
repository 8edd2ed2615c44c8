"""Builds the simulator from its parts and runs its sockets: the TLS site, the proxy, the control API."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from whatsam_simulator.clock import Clock
from whatsam_simulator.contacts.app_state import PhoneAppState
from whatsam_simulator.contacts.authoring import Authoring
from whatsam_simulator.contacts.calls import Calls
from whatsam_simulator.contacts.memory import Memory
from whatsam_simulator.contacts.phone import Phone
from whatsam_simulator.contacts.receiving import Receiving
from whatsam_simulator.contacts.sending import Sending
from whatsam_simulator.crypto.noise import certificate_chain
from whatsam_simulator.journal.journal import Journal
from whatsam_simulator.server.app_state import AppState
from whatsam_simulator.server.connection import Connection, ServerIdentity
from whatsam_simulator.server.context import Context
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.server.forward_proxies import ForwardProxies
from whatsam_simulator.server.graph import Graph
from whatsam_simulator.server.groups import Groups
from whatsam_simulator.server.login import Login
from whatsam_simulator.server.newsletters import Newsletters
from whatsam_simulator.server.pairing import Pairing
from whatsam_simulator.server.presence import Presence
from whatsam_simulator.server.profiles import Profiles
from whatsam_simulator.server.proxy import ProxyProtocol
from whatsam_simulator.server.queries import Queries
from whatsam_simulator.server.routing import Routing
from whatsam_simulator.server.site import Site
from whatsam_simulator.server.tls import prepare
from whatsam_simulator.wire.binary_xml import Codec
from whatsam_simulator.wire.node import Node
from whatsam_simulator.wire.protobuf import decode
from whatsam_simulator.wire.tokens import library_path, read_tokens
from whatsam_simulator.world.records import Group
from whatsam_simulator.world.storage import ROOT_KEY, STATIC_KEY, Storage, stored_key
from whatsam_simulator.world.world import World

log = logging.getLogger(__name__)

PAIRING_DATA = 19
SAVE_SECONDS = 0.5
"""How long a change of devices may stay unsaved."""


@dataclass(frozen=True)
class Options:
    """Where the simulator listens and keeps its state; port 0 takes a free one."""

    host: str = "127.0.0.1"
    tls_port: int = 0
    proxy_port: int = 0
    control_port: int = 0
    state: Path = Path("simulator-state")
    root_key_file: Path | None = None


@dataclass(frozen=True)
class Ports:
    """Where it really listens."""

    tls: int
    proxy: int


class Simulation:
    """All parts of one simulator."""

    def __init__(self, options: Options, clock: Clock | None = None) -> None:
        self.options = options
        clock = clock or Clock()
        codec = Codec(*read_tokens(library_path()))
        self.storage = Storage(options.state, codec)
        self.root = stored_key(options.root_key_file or options.state / ROOT_KEY)
        static = stored_key(options.state / STATIC_KEY)
        self.ca_file, self._tls = prepare(options.state, clock.now().wall)
        chain = certificate_chain(self.root, static.public, clock.seconds())
        self.context = Context(World(), Journal(clock), clock)
        self.storage.load(self.context.world)
        self.memory = Memory()
        self.receiving = Receiving(self.context, self.memory)
        self.delivery = Delivery(self.context, self.receiving)
        self.sending = Sending(self.context, self.delivery, self.memory)
        self.authoring = Authoring(self.context, self.memory)
        self.phone = Phone(self.context, self.sending, self.memory)
        self.receiving.connect(self.delivery, self.sending, self.phone)
        self.pairing = Pairing(self.context)
        self._login = Login(self.context)
        self.groups = Groups(self.context, self.delivery, self._forget_sender_keys)
        self.profiles = Profiles(self.context, self.delivery, self.groups)
        self.presence = Presence(self.context, self.delivery)
        self.app_state = AppState(self.context, self.delivery)
        self.phone_app_state = PhoneAppState(self.context, self.app_state)
        self.newsletters = Newsletters(self.context, self.delivery)
        graph = Graph(self.context, self.profiles, self.newsletters.answerers())
        handlers = {
            "w:sync:app:state": self.app_state.handle,
            "w:mex": graph.handle,
            "newsletter": self.newsletters.handle,
        }
        queries = Queries(self.context, self.groups, self.profiles, handlers, self.phone.welcome)
        self.calls = Calls(self.context, self.delivery)
        self._routing = Routing(
            self.context,
            self.delivery,
            queries,
            self.presence,
            {"call": self.calls.handle, "newsletter": self.newsletters.take},
        )
        identity = ServerIdentity(static, chain, codec)
        self._site = Site(self.context, identity, self._begin, self._handle, self.pairing.gone)
        self._runner: web.AppRunner | None = None
        self._proxy: asyncio.Server | None = None
        self.forward_proxies = ForwardProxies()
        self._saver: asyncio.Task[None] | None = None

    def _forget_sender_keys(self, group: Group) -> None:
        for member in self.context.world.members(group):
            self.sending.forget_sender_keys(member, group)

    def _begin(self, connection: Connection, payload: bytes) -> None:
        fields = decode(payload)
        if PAIRING_DATA in fields:
            self.pairing.begin(connection, fields.message(PAIRING_DATA))
        else:
            self._login.begin(connection, fields)

    def _handle(self, connection: Connection, stanza: Node) -> None:
        if connection.device is None:
            self.pairing.handle(connection, stanza)
        else:
            self._routing.handle(connection, connection.device, stanza)

    async def start(self) -> Ports:
        """Opens the sockets that clients use."""
        loop, host = asyncio.get_running_loop(), self.options.host
        self._runner = web.AppRunner(self._site.application(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("aiohttp has built no server")
        site = web.TCPSite(self._runner, host, self.options.tls_port, ssl_context=self._tls)
        await site.start()
        self._proxy = await loop.create_server(
            lambda: ProxyProtocol(self.context, self._tls, server), host, self.options.proxy_port
        )
        self._saver = asyncio.ensure_future(self._save_changes())
        tls_port = next(int(address[1]) for address in self._runner.addresses)
        return Ports(tls_port, self._proxy.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cuts all connections, stores everything."""
        if self._proxy is not None:
            self._proxy.close()
        await self.forward_proxies.stop()
        for link in list(self.context.links.values()):
            link.cut()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._saver is not None:
            self._saver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._saver
        self.storage.save_all(self.context.world)

    async def _save_changes(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                self.storage.save_changed(self.context.world)
            except OSError:
                log.exception("the state could not be stored")
