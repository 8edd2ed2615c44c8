"""A logged-in client's queries (`<iq>`), one handler per namespace. What is not known gets an empty result.

What clients need at least is listed in the design's `neonize.md`, section 3.
"""

from __future__ import annotations

from collections.abc import Callable

from whatsam_simulator.crypto.keys import HexBytes
from whatsam_simulator.journal.records import EndReason
from whatsam_simulator.server import prekeys
from whatsam_simulator.server.connection import refusal, result
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.groups import CHANGES, Groups
from whatsam_simulator.wire.jid import PHONE_SERVER, SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import encode
from whatsam_simulator.world.records import Account, Device, Group

Handler = Callable[[Link, Device, Node], None]
PRIVACY_CATEGORIES = ("last", "online", "profile", "status", "readreceipts", "groupadd", "calladd")


class Queries:
    """Answers queries; `on_active` is called when a client has asked for its messages."""

    def __init__(self, context: Context, groups: Groups, on_active: Callable[[Device], None]) -> None:
        self._context = context
        self._groups = groups
        self._on_active = on_active
        self._handlers: dict[str, Handler] = {
            "encrypt": self._encrypt,
            "passive": self._passive,
            "usync": self._usync,
            "w:m": self._media,
            "w:sync:app:state": self._app_state,
            "privacy": self._privacy,
            "md": self._devices,
            "w:g2": self._group,
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
            handler(link, device, iq)
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

    def _usync(self, link: Link, device: Device, iq: Node) -> None:
        usync = iq.need("usync")
        kinds = {query.tag for query in usync.need("query").children}
        users = [self._usync_user(user, kinds) for user in usync.need("list").children]
        attrs = {name: usync.get(name) for name in ("sid", "mode", "context")}
        content = [element("result"), element("list", {}, users)]
        link.send(result(iq, [element("usync", attrs, content)]))

    def _usync_user(self, user: Node, kinds: set[str]) -> Node:
        contact, jid, query = user.child("contact"), user.get_jid("jid"), None
        if jid is None and contact is not None:
            query = contact.data
            jid = Jid(query.decode(errors="replace").lstrip("+").split("@")[0], PHONE_SERVER)
        if jid is None:
            return element("user")
        account = self._context.world.find(jid)
        content: list[Node] = []
        if "contact" in kinds:
            content.append(element("contact", {"type": "in" if account else "out"}, query))
        if account is not None and "devices" in kinds:
            content.append(element("devices", {}, [_device_list(account)]))
        if account is not None and "lid" in kinds:
            content.append(element("lid", {"val": account.lid}))
        if "status" in kinds:
            content.append(element("status", {}, b"available"))
        if query is not None and account is not None:
            return element("user", {"jid": account.lid, "pn_jid": account.pn}, content)
        return element("user", {"jid": jid}, content)

    def _media(self, link: Link, device: Device, iq: Node) -> None:
        attrs = {"auth": "simulator", "ttl": 300, "auth_ttl": 21600, "max_buckets": 12}
        host = element("host", {"hostname": "mmg.whatsapp.net"})
        link.send(result(iq, [element("media_conn", attrs, [host])]))

    def _app_state(self, link: Link, device: Device, iq: Node) -> None:
        account = self._context.world.account(device.number)
        collections = [self._collection(account, wanted) for wanted in iq.need("sync").children]
        link.send(result(iq, [element("sync", {}, collections)]))

    def _collection(self, account: Account, wanted: Node) -> Node:
        name, have = wanted.text("name"), wanted.number("version", 0)
        patches, new = account.app_state.setdefault(name, []), wanted.child("patch")
        missing = [element("patch", {}, patch) for patch in patches[have:]]
        content: list[Node] = [element("patches", {}, missing)] if missing else []
        kind = "result"
        if new is not None and have != len(patches):
            kind = "error"
            if not self._context.faults.conflict_with_patches:
                content = []
            content.insert(0, element("error", {"code": 409, "text": "conflict"}))
        elif new is not None:
            stored: HexBytes = encode((1, encode((1, have + 1)))) + new.data
            patches.append(stored)
            self._context.world.changed.add(account.number)
        return element("collection", {"name": name, "type": kind, "version": len(patches)}, content or None)

    def _privacy(self, link: Link, device: Device, iq: Node) -> None:
        if iq.get("type") != "get":
            link.send(result(iq))
            return
        categories = [element("category", {"name": name, "value": "all"}) for name in PRIVACY_CATEGORIES]
        link.send(result(iq, [element("privacy", {}, categories)]))

    def _devices(self, link: Link, device: Device, iq: Node) -> None:
        link.send(result(iq))
        if iq.child("remove-companion-device") is not None:
            self._context.world.remove_device(device)
            self._context.journal.release(link.id, EndReason.LOGGED_OUT)

    def _group(self, link: Link, device: Device, iq: Node) -> None:
        world = self._context.world
        account, create = world.account(device.number), iq.child("create")
        if create is not None:
            members = [world.find(member.jid("jid")) for member in create.every("participant")]
            known = [member for member in members if member is not None]
            group = self._groups.create(device, create.get("subject") or "", known)
            link.send(result(iq, [self._groups.node(group)]))
            return
        if iq.child("participating") is not None:
            mine = [group for group in world.groups.values() if account.lid_user in group.members]
            content = [self._groups.node(group) for group in mine]
            link.send(result(iq, [element("groups", {}, content)]))
            return
        group = world.groups.get(iq.jid("to").user)
        leave = iq.child("leave")
        if leave is not None:
            for wanted in leave.children:
                left = world.groups.get(wanted.jid("id").user or wanted.text("id"))
                if left is not None:
                    self._groups.change_members(left, device, "leave", [account])
            link.send(result(iq, [leave]))
        elif group is None:
            link.send(refusal(iq, 404, "item-not-found"))
        elif iq.child("query") is not None:
            link.send(result(iq, [self._groups.node(group)]))
        else:
            self._change_members(link, device, group, iq)

    def _change_members(self, link: Link, device: Device, group: Group, iq: Node) -> None:
        world = self._context.world
        change = next((child for child in iq.children if child.tag in CHANGES), None)
        if change is None:
            link.send(result(iq))
            return
        if group.members.get(device.lid_user) not in ("admin", "superadmin"):
            link.send(refusal(iq, 403, "forbidden"))
            return
        found = [world.find(wanted.jid("jid")) for wanted in change.every("participant")]
        accounts = [member for member in found if member is not None]
        self._groups.change_members(group, device, change.tag, accounts)
        content = [element("participant", {"jid": member.lid}) for member in accounts]
        link.send(result(iq, [element(change.tag, {}, content)]))


def _device_list(account: Account) -> Node:
    devices = [element("device", {"id": device.id, "key-index": device.id}) for device in account.devices.values()]
    return element("device-list", {"hash": "2:simulator"}, devices)
