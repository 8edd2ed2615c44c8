"""A logged-in client's queries (`<iq>`), one handler per namespace. What is not known gets an empty result.

What clients need at least is listed in the design's `neonize.md`, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from whatsam_simulator.errors import QueryRefused
from whatsam_simulator.journal.records import EndReason
from whatsam_simulator.server import prekeys
from whatsam_simulator.server.connection import refusal, result
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.group_queries import GroupQueries
from whatsam_simulator.server.groups import Groups
from whatsam_simulator.server.profiles import Profiles
from whatsam_simulator.wire.jid import SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Device

Handler = Callable[[Link, Device, Node], None]


class Queries:
    """Answers queries; `more`: handlers of further namespaces; `on_active` is called when a client has asked for its
    messages."""

    def __init__(
        self,
        context: Context,
        groups: Groups,
        profiles: Profiles,
        more: Mapping[str, Handler],
        on_active: Callable[[Device], None],
    ) -> None:
        self._context = context
        self._on_active = on_active
        self._handlers: dict[str, Handler] = {
            "encrypt": self._encrypt,
            "passive": self._passive,
            "w:m": self._media,
            "md": self._devices,
            "w:g2": GroupQueries(context, groups).handle,
            "usync": profiles.usync,
            "w:profile:picture": profiles.picture,
            "status": profiles.status,
            "blocklist": profiles.blocklist,
            "privacy": profiles.privacy,
            "disappearing_mode": profiles.disappearing_mode,
            "w:biz": profiles.business,
            **more,
        }

    def handle(self, link: Link, device: Device, iq: Node) -> None:
        """One query."""
        if iq.get("type") in ("result", "error"):
            return
        faults, namespace = self._context.faults, iq.get("xmlns") or ""
        concerned = faults.concern(device.number)
        if concerned and namespace in faults.empty:
            link.send(result(iq))
        elif concerned and namespace in faults.error:
            link.send(refusal(iq, 500, "internal-server-error"))
        elif handler := self._handlers.get(namespace):
            try:
                handler(link, device, iq)
            except QueryRefused as refused:
                link.send(refusal(iq, refused.code, refused.text))
        else:
            if namespace != "w:p":
                self._context.unknown[f"iq {namespace} {iq.get('type')}"] += 1
            link.send(result(iq))

    def _encrypt(self, link: Link, device: Device, iq: Node) -> None:
        wanted = iq.child("key")
        if iq.child("count") is not None:
            link.send(result(iq, [element("count", {"value": len(device.prekeys)})]))
        elif wanted is not None:
            users = [self._bundle(user.jid("jid")) for user in wanted.every("user")]
            link.send(result(iq, [element("list", {}, users)]))
        else:
            if iq.child("list") is not None:
                prekeys.upload(self._context, device, iq)
            link.send(result(iq))

    def _bundle(self, jid: Jid) -> Node:
        device = self._context.world.device(jid)
        content = [element("error", {"code": 404, "text": "item-not-found"})]
        if device is not None and device.signed_prekey is not None:
            content = prekeys.bundle_node(self._context, device, device.signed_prekey)
        return element("user", {"jid": jid}, content)

    def _passive(self, link: Link, device: Device, iq: Node) -> None:
        link.send(result(iq))
        link.active = iq.child("active") is not None
        if not link.active:
            return
        backlog = self._context.world.mailbox(device).waiting()
        counts = {tag: sum(stanza.tag == tag for stanza in backlog) for tag in ("message", "receipt", "notification")}
        preview = element("offline_preview", {"count": len(backlog), **counts, "appdata": 0})
        link.send(element("ib", {"from": SERVER}, [preview]))
        for stanza in backlog:
            link.send(Node(stanza.tag, {**stanza.attrs, "offline": "1"}, stanza.content))
        link.send(element("ib", {"from": SERVER}, [element("offline", {"count": len(backlog)})]))
        self._on_active(device)

    def _media(self, link: Link, device: Device, iq: Node) -> None:
        attrs = {"auth": "simulator", "ttl": 300, "auth_ttl": 21600, "max_buckets": 12}
        host = element("host", {"hostname": "mmg.whatsapp.net"})
        link.send(result(iq, [element("media_conn", attrs, [host])]))

    def _devices(self, link: Link, device: Device, iq: Node) -> None:
        link.send(result(iq))
        if iq.child("remove-companion-device") is not None:
            self._context.world.remove_device(device)
            self._context.journal.release(link.id, EndReason.LOGGED_OUT)
