"""What clients ask and set about people: `usync`, pictures, about texts, block list, privacy, default timer.

Source: whatsmeow, `user.go`, `privacysettings.go`. Changes that a contact makes come from the control API.
"""

from __future__ import annotations

import hashlib
import os

from whatsam_simulator.errors import QueryRefused
from whatsam_simulator.server.connection import result
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.server.groups import Groups
from whatsam_simulator.server.site import MEDIA_HOST, PICTURE_PATH
from whatsam_simulator.wire.jid import GROUP_SERVER, PHONE_SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.wire.protobuf import encode
from whatsam_simulator.world.records import Account, Device

NOT_FOUND = QueryRefused(404, "item-not-found")
NOT_AUTHORIZED = QueryRefused(401, "not-authorized")


class Profiles:
    """One method per namespace; each takes one query and may raise `QueryRefused`."""

    def __init__(self, context: Context, delivery: Delivery, groups: Groups) -> None:
        self._context = context
        self._delivery = delivery
        self._groups = groups

    # usync

    def usync(self, link: Link, device: Device, iq: Node) -> None:
        usync = iq.need("usync")
        kinds = {query.tag for query in usync.need("query").children}
        users = [self._user(user, kinds) for user in usync.need("list").children]
        attrs = {name: usync.get(name) for name in ("sid", "mode", "context")}
        content = [element("result"), element("list", {}, users)]
        link.send(result(iq, [element("usync", attrs, content)]))

    def _user(self, user: Node, kinds: set[str]) -> Node:
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
        if account is not None:
            content += _about(account, kinds)
        if query is not None and account is not None:
            return element("user", {"jid": account.lid, "pn_jid": account.pn}, content)
        return element("user", {"jid": jid}, content)

    # pictures

    def picture(self, link: Link, device: Device, iq: Node) -> None:
        target = iq.get_jid("target")
        if iq.get("type") == "set":
            link.send(result(iq, self._set_picture(device, target, iq.child("picture"))))
        else:
            link.send(result(iq, [self._get_picture(target, iq.need("picture"))]))

    def _set_picture(self, device: Device, target: Jid | None, given: Node | None) -> list[Node]:
        jpeg = given.data if given is not None else b""
        if jpeg and not jpeg.startswith(b"\xff\xd8"):
            raise QueryRefused(406, "not-acceptable")
        if target is not None and target.server == GROUP_SERVER:
            group = self._context.world.groups.get(target.user)
            if group is None:
                raise NOT_FOUND
            if device.lid_user not in group.members or (group.locked and not group.is_admin(device.lid_user)):
                raise QueryRefused(403, "forbidden")
            picture_id = self._groups.set_picture(group, device, jpeg)
        else:
            account = self._context.world.account(device.number)
            account.profile.set_picture(jpeg)
            self.tell_picture(account, device)
            picture_id = account.profile.picture_id
        self._context.world.changed.add(device.number)
        return [element("picture", {"id": picture_id})] if jpeg else []

    def _get_picture(self, target: Jid | None, asked: Node) -> Node:
        jpeg, picture_id = self._picture_of(target)
        if asked.get("id") == picture_id:
            return element("picture", {"status": 304})
        path = f"{PICTURE_PATH}{picture_id}.jpg?ccb=11-4&oh=x&oe=y"
        self._context.world.show_picture(f"{picture_id}.jpg", jpeg)
        attrs = {"id": picture_id, "type": asked.get("type") or "image", "url": MEDIA_HOST + path, "direct_path": path}
        return element("picture", attrs)

    def _picture_of(self, target: Jid | None) -> tuple[bytes, str]:
        if target is not None and target.server == GROUP_SERVER:
            group = self._context.world.groups.get(target.user)
            if group is None or not group.picture_id:
                raise NOT_FOUND
            return group.picture, group.picture_id
        account = self._context.world.find(target) if target is not None else None
        if account is None:
            raise NOT_FOUND
        if account.profile.picture_hidden:
            raise NOT_AUTHORIZED
        if not account.profile.picture_id:
            raise NOT_FOUND
        return account.profile.picture, account.profile.picture_id

    def tell_picture(self, account: Account, author: Device | None) -> None:
        """Everybody who shares a device or a group with the account learns of its new picture."""
        picture_id = account.profile.picture_id
        attrs = {"jid": account.lid, "id": picture_id or None, "author": account.lid}
        self._notify(account, author, "picture", element("set" if picture_id else "delete", attrs))

    def tell_about(self, account: Account, author: Device | None) -> None:
        self._notify(account, author, "status", element("set", {}, account.profile.about))

    def _notify(self, account: Account, author: Device | None, kind: str, content: Node) -> None:
        for device in self._context.watchers(account):
            if device is not author:
                attrs = {"from": account.lid, "type": kind, "id": os.urandom(6).hex(), "t": self._context.timestamp()}
                self._delivery.deliver(device, element("notification", attrs, [content]))

    # own settings

    def status(self, link: Link, device: Device, iq: Node) -> None:
        """The older way to set the about text."""
        given = iq.child("status")
        if given is not None:
            self.set_about(device, given.data.decode(errors="replace"))
        link.send(result(iq))

    def set_about(self, device: Device, text: str) -> None:
        account = self._context.world.account(device.number)
        account.profile.about, account.profile.about_at = text, self._context.timestamp()
        self._context.world.changed.add(device.number)
        self.tell_about(account, device)

    def blocklist(self, link: Link, device: Device, iq: Node) -> None:
        world, account = self._context.world, self._context.world.account(device.number)
        item, blocked = iq.child("item"), account.profile.blocked
        if item is not None:
            other = world.find(item.jid("jid"))
            if other is None:
                raise NOT_FOUND
            if item.get("action") == "block" and other.lid_user not in blocked:
                blocked.append(other.lid_user)
            elif item.get("action") == "unblock" and other.lid_user in blocked:
                blocked.remove(other.lid_user)
            world.changed.add(device.number)
        items = [element("item", {"jid": world.by_lid(lid_user).lid}) for lid_user in blocked]
        digest = hashlib.sha256("".join(blocked).encode()).hexdigest()[:16]
        link.send(result(iq, [element("list", {"dhash": digest}, items)]))

    def privacy(self, link: Link, device: Device, iq: Node) -> None:
        settings = self._context.world.account(device.number).profile.privacy
        given = iq.child("privacy")
        if iq.get("type") == "get":
            categories = [element("category", {"name": name, "value": value}) for name, value in settings.items()]
            link.send(result(iq, [element("privacy", {}, categories)]))
            return
        changes = given.every("category") if given is not None else []
        if any(change.text("name") not in settings for change in changes):
            raise QueryRefused(400, "bad-request")
        settings.update({change.text("name"): change.text("value") for change in changes})
        self._context.world.changed.add(device.number)
        link.send(result(iq, [element("privacy", {}, changes)] if changes else None))

    def disappearing_mode(self, link: Link, device: Device, iq: Node) -> None:
        profile, given = self._context.world.account(device.number).profile, iq.child("disappearing_mode")
        if iq.get("type") == "set" and given is not None:
            profile.default_timer = given.number("duration", 0)
            self._context.world.changed.add(device.number)
        link.send(result(iq, [element("disappearing_mode", {"duration": profile.default_timer})]))

    def business(self, link: Link, device: Device, iq: Node) -> None:
        """`w:biz`: a business account's profile."""
        asked = iq.need("business_profile").need("profile")
        account = self._context.world.find(asked.jid("jid"))
        if account is None or not account.profile.business_name:
            raise NOT_FOUND
        inner = element("profile", {"jid": asked.jid("jid")}, [element("address", {}, "1 Simulator Street")])
        link.send(result(iq, [element("business_profile", {}, [inner])]))


def _about(account: Account, kinds: set[str]) -> list[Node]:
    profile, content = account.profile, list[Node]()
    if "devices" in kinds:
        content.append(element("devices", {}, [_device_list(account)]))
    if "lid" in kinds:
        content.append(element("lid", {"val": account.lid}))
    if "status" in kinds:
        content.append(element("status", {"t": profile.about_at or None}, profile.about))
    if "picture" in kinds and profile.picture_id and not profile.picture_hidden:
        content.append(element("picture", {"id": profile.picture_id}))
    if "business" in kinds and profile.business_name:
        content.append(element("business", {}, [_verified_name(profile.business_name)]))
    if "disappearing_mode" in kinds:
        content.append(element("disappearing_mode", {"duration": profile.default_timer}))
    return content


def _device_list(account: Account) -> Node:
    devices = [element("device", {"id": device.id, "key-index": device.id}) for device in account.devices.values()]
    return element("device-list", {"hash": "2:simulator"}, devices)


def _verified_name(name: str) -> Node:
    """A business's name in a certificate; clients read it without checking its signature."""
    details = encode((1, 1), (2, "smb:wa"), (4, name))
    certificate = encode((1, details), (2, os.urandom(64)))
    attrs = {"verified_level": "unknown", "v": 1, "host_storage": 1, "actual_actors": 1, "privacy_mode_ts": 0}
    return element("verified_name", attrs, certificate)
