"""Newsletters (channels): followers, messages, and what clients ask. Source: whatsmeow, `newsletter.go`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from whatsam_simulator.errors import QueryRefused, UnknownItem
from whatsam_simulator.server.connection import result
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.delivery import Delivery
from whatsam_simulator.server.graph import Answerer
from whatsam_simulator.wire.jid import NEWSLETTER_SERVER, Jid
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Account, Device

LIVE_SECONDS = 300
QUERIES = {
    "subscribed": ("6388546374527196", "8621797084555037"),
    "fetch": ("6563316087068696", "9779843322044422"),
    "create": ("6234210096708695", "27527996220149684"),
    "follow": ("9926858900719341", "8621797084555037"),
    "unfollow": ("6392786840836363", "8782612271820087"),
    "mute": ("6274038279359549", "5971669009605755"),
    "unmute": ("6068417879924485", "6104029483058502"),
}
"""What → query ids of web and of desktop clients. The desktop's `follow` is the same as its `subscribed`."""


@dataclass(frozen=True)
class Post:
    """One message of a newsletter, in the clear."""

    server_id: int
    id: str
    message: bytes
    kind: str
    at: int


@dataclass
class Newsletter:
    """A newsletter; people are named by number."""

    id: str
    name: str
    description: str
    owner: str
    created: int
    invite: str = field(default_factory=lambda: os.urandom(11).hex())
    followers: set[str] = field(default_factory=set[str])
    muted: set[str] = field(default_factory=set[str])
    posts: list[Post] = field(default_factory=list[Post])
    reactions: dict[int, dict[str, str]] = field(default_factory=dict[int, dict[str, str]])
    """Server id of a post → number → emoji."""
    viewed: set[int] = field(default_factory=set[int])

    @property
    def jid(self) -> Jid:
        return Jid(self.id, NEWSLETTER_SERVER)


class Newsletters:
    """All newsletters; they live as long as the simulator's process."""

    def __init__(self, context: Context, delivery: Delivery) -> None:
        self._context = context
        self._delivery = delivery
        self.all: dict[str, Newsletter] = {}

    def answerers(self) -> dict[str, Answerer]:
        """For `graph.py`: query id → what answers it."""
        made: dict[str, Answerer] = {
            "follow": lambda device, variables: self._follow(device, variables, on=True),
            "subscribed": self._subscribed,
            "fetch": self._fetch,
            "create": self._create,
            "unfollow": lambda device, variables: self._follow(device, variables, on=False),
            "mute": lambda device, variables: self._mute(device, variables, on=True),
            "unmute": lambda device, variables: self._mute(device, variables, on=False),
        }
        return {number: answerer for name, answerer in made.items() for number in QUERIES[name]}

    # people

    def create(self, owner: Account, name: str, description: str) -> Newsletter:
        now = self._context.timestamp()
        newsletter_id = f"120363{now:010d}{len(self.all):02d}"
        made = self.all[newsletter_id] = Newsletter(newsletter_id, name, description, owner.number, now)
        made.followers.add(owner.number)
        return made

    def one(self, newsletter_id: str) -> Newsletter:
        """By id or address; raises `UnknownItem`."""
        found = self.all.get(newsletter_id.split("@", maxsplit=1)[0])
        if found is None:
            raise UnknownItem(f"no newsletter {newsletter_id}")
        return found

    def post(self, newsletter: Newsletter, message: bytes, kind: str, message_id: str, author: Device | None) -> int:
        """A new message for all followers; returns its server id."""
        post = Post(100 + len(newsletter.posts), message_id, message, kind, self._context.timestamp())
        newsletter.posts.append(post)
        for number in sorted(newsletter.followers):
            for device in self._context.world.account(number).companions:
                if device is not author:
                    self._delivery.deliver(device, self._node(newsletter, post, {"from": newsletter.jid}))
        return post.server_id

    @staticmethod
    def _node(newsletter: Newsletter, post: Post, more: dict[str, Jid]) -> Node:
        reactions = newsletter.reactions.get(post.server_id, {})
        counts = {emoji: list(reactions.values()).count(emoji) for emoji in reactions.values()}
        content = [element("plaintext", {}, post.message)]
        if not more:
            content.append(element("views_count", {"count": int(post.server_id in newsletter.viewed)}))
            codes = [element("reaction", {"code": emoji, "count": count}) for emoji, count in counts.items()]
            content.append(element("reactions", {}, codes))
        attrs = {"id": post.id, "server_id": post.server_id, "type": post.kind, "t": post.at}
        return element("message", attrs | more, content)

    # what clients send and ask in nodes

    def take(self, link: Link, device: Device, message: Node) -> None:
        """A message or reaction of a client for a newsletter."""
        newsletter, message_id = self.all.get(message.jid("to").user), message.text("id")
        ack = {"class": "message", "id": message_id, "from": message.jid("to"), "t": self._context.timestamp()}
        plain, reaction = message.child("plaintext"), message.child("reaction")
        if newsletter is None or (plain is not None and newsletter.owner != device.number):
            link.send(element("ack", {**ack, "error": 403}))
        elif reaction is not None:
            given = newsletter.reactions.setdefault(message.number("server_id"), {})
            given.pop(device.number, None)
            if reaction.get("code"):
                given[device.number] = reaction.text("code")
            link.send(element("ack", ack))
        elif plain is not None:
            kind = message.get("type") or "text"
            server_id = self.post(newsletter, plain.data, kind, message_id, device)
            link.send(element("ack", {**ack, "server_id": server_id}))

    def handle(self, link: Link, _device: Device, iq: Node) -> None:
        """The namespace `newsletter`: messages, updates, live updates."""
        asked = iq.children[0] if iq.children else Node("")
        jid = asked.get_jid("jid") or iq.jid("to")
        newsletter = self.all.get(jid.user)
        if newsletter is None:
            raise QueryRefused(404, "item-not-found")
        if asked.tag == "live_updates":
            link.send(result(iq, [element("live_updates", {"duration": LIVE_SECONDS})]))
            return
        before, count = asked.number("before", 1 << 30), asked.number("count", 50)
        page = [post for post in newsletter.posts if post.server_id < before][-count:]
        messages = element("messages", {}, [self._node(newsletter, post, {}) for post in page])
        content = element("message_updates", {}, [messages]) if asked.tag == "message_updates" else messages
        link.send(result(iq, [content]))

    # what clients ask in JSON

    def _subscribed(self, device: Device, variables: dict[str, Any]) -> dict[str, Any]:
        if "newsletter_id" in variables:
            return self._follow(device, variables, on=True)
        mine = [each for each in self.all.values() if device.number in each.followers]
        return {"xwa2_newsletter_subscribed": [self._metadata(each, device.number) for each in mine]}

    def _fetch(self, device: Device, variables: dict[str, Any]) -> dict[str, Any]:
        asked = variables["input"]
        key = str(asked["key"])
        by_invite = next((each for each in self.all.values() if each.invite == key), None)
        found = self.all.get(key.split("@", maxsplit=1)[0]) or by_invite
        if found is None:
            raise QueryRefused(404, "item-not-found")
        return {"xwa2_newsletter": self._metadata(found, device.number if asked.get("type") == "JID" else None)}

    def _create(self, device: Device, variables: dict[str, Any]) -> dict[str, Any]:
        asked = variables["newsletter_input"]
        owner = self._context.world.account(device.number)
        made = self.create(owner, str(asked["name"]), str(asked.get("description") or ""))
        return {"xwa2_newsletter_create": self._metadata(made, device.number)}

    def _follow(self, device: Device, variables: dict[str, Any], *, on: bool) -> dict[str, Any]:
        newsletter = self._named(variables)
        (newsletter.followers.add if on else newsletter.followers.discard)(device.number)
        return {f"xwa2_newsletter_{'join' if on else 'leave'}_v2": {"id": str(newsletter.jid)}}

    def _mute(self, device: Device, variables: dict[str, Any], *, on: bool) -> dict[str, Any]:
        newsletter = self._named(variables)
        (newsletter.muted.add if on else newsletter.muted.discard)(device.number)
        return {"xwa2_newsletter_update": {"id": str(newsletter.jid)}}

    def _named(self, variables: dict[str, Any]) -> Newsletter:
        found = self.all.get(str(variables["newsletter_id"]).split("@")[0])
        if found is None:
            raise QueryRefused(404, "item-not-found")
        return found

    def _metadata(self, newsletter: Newsletter, viewer: str | None) -> dict[str, Any]:
        stamp = str(newsletter.created * 1_000_000)
        path = f"/v/t61.24694-24/{newsletter.id}.jpg"
        metadata: dict[str, Any] = {
            "id": str(newsletter.jid),
            "state": {"type": "ACTIVE"},
            "thread_metadata": {
                "creation_time": str(newsletter.created),
                "invite": newsletter.invite,
                "name": {"text": newsletter.name, "id": "1", "update_time": stamp},
                "description": {"text": newsletter.description, "id": "1", "update_time": stamp},
                "subscribers_count": str(len(newsletter.followers)),
                "verification": "UNVERIFIED",
                "preview": {"url": "", "id": "0", "type": "PREVIEW", "direct_path": path},
                "settings": {"reaction_codes": {"value": "ALL"}},
            },
        }
        if viewer is not None:
            role = (
                "OWNER" if viewer == newsletter.owner else "SUBSCRIBER" if viewer in newsletter.followers else "GUEST"
            )
            metadata["viewer_metadata"] = {"mute": "ON" if viewer in newsletter.muted else "OFF", "role": role}
        return metadata
