"""What the control API can do with phones and contacts. Used by its routes."""

from __future__ import annotations

import asyncio
import hashlib

from whatsam_simulator.contacts.authoring import decoded
from whatsam_simulator.contacts.inbox import Inbox
from whatsam_simulator.contacts.sending import Outgoing
from whatsam_simulator.control.contact_models import (
    BatchedMessage,
    Contact,
    MessageRequest,
    ProfileRequest,
    ProfileView,
    TypingRequest,
)
from whatsam_simulator.crypto import media as media_crypto
from whatsam_simulator.errors import RequestRefused, UnknownItem
from whatsam_simulator.server.site import MEDIA_PATH
from whatsam_simulator.simulation import Simulation
from whatsam_simulator.world.records import PRIVACY, Account, Group

BREATH = 20
"""Messages of a batch between two looks at the sockets."""


class ContactService:
    """One method per route."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._world = simulation.context.world

    def ensure(self, number: str, name: str | None) -> tuple[Contact, bool]:
        """The contact, and whether it is new."""
        new = number not in self._world.accounts
        return _contact(self._world.ensure_account(number, name)), new

    def all(self) -> list[Contact]:
        return [_contact(account) for account in self._world.accounts.values()]

    def one(self, number: str) -> Contact:
        return _contact(self._world.account(number))

    # profile

    def profile(self, number: str) -> ProfileView:
        account = self._world.account(number)
        profile = account.profile
        return ProfileView(
            number=number,
            name=account.name,
            about=profile.about,
            picture_id=profile.picture_id,
            picture_sha256=hashlib.sha256(profile.picture).hexdigest() if profile.picture else "",
            picture_hidden=profile.picture_hidden,
            business_name=profile.business_name,
            privacy=profile.privacy,
            blocked=[self._world.by_lid(lid_user).number for lid_user in profile.blocked],
            default_timer=profile.default_timer,
        )

    def change_profile(self, number: str, body: ProfileRequest) -> ProfileView:
        account, profiles = self._world.account(number), self._simulation.profiles
        profile = account.profile
        unknown = set(body.privacy or ()) - set(PRIVACY)
        if unknown:
            raise RequestRefused(f"no privacy setting {unknown.pop()}")
        profile.privacy.update(body.privacy or {})
        account.name = body.name or account.name
        if body.picture_hidden is not None:
            profile.picture_hidden = body.picture_hidden
        if body.business_name is not None:
            profile.business_name = body.business_name
        if body.about is not None:
            profiles.set_about(account.phone, body.about)
        if body.picture is not None:
            profile.set_picture(decoded(body.picture, "picture"))
            profiles.tell_picture(account, None)
        self._world.changed.add(number)
        return self.profile(number)

    # messages

    def send(self, number: str, body: MessageRequest) -> str:
        sender, to = self._world.account(number), self._receiver(body.to)
        return self._send(sender, to, self._simulation.authoring.write(sender, body))

    def _receiver(self, to: str) -> Account | Group:
        return self._world.group(to) if to.endswith("@g.us") else self._world.account(to)

    def _send(self, sender: Account, to: Account | Group, message: Outgoing) -> str:
        if isinstance(to, Group):
            return self._simulation.sending.send_to_group(sender, to, message)
        return self._simulation.sending.send(sender, to, message)

    async def send_batch(self, messages: list[BatchedMessage]) -> list[str]:
        """All, in order; or, where a number is unknown, none. Connections are served in between."""
        known = [(self._world.account(body.sender), self._receiver(body.to), body) for body in messages]
        ids: list[str] = []
        for sender, to, body in known:
            ids.append(self._send(sender, to, self._simulation.authoring.write(sender, body)))
            if len(ids) % BREATH == 0:
                await asyncio.sleep(0)
        return ids

    def inbox(self, number: str) -> Inbox:
        self._world.account(number)
        return self._simulation.receiving.inbox(number)

    def mark_read(self, number: str, message_id: str, *, played: bool, on_companion: bool) -> None:
        account = self._world.account(number)
        message = self._simulation.receiving.inbox(number).find(message_id)
        if message is None:
            raise UnknownItem(f"no message {message_id} in this inbox")
        if not message.readable:
            raise RequestRefused("a message that could not be decrypted cannot be read")
        for kind in ("read", "played") if played else ("read",):
            self._simulation.receiving.mark(account, message, f"{kind}-self" if on_companion else kind)

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

    # presence

    def type(self, number: str, body: TypingRequest) -> None:
        account = self._world.account(number)
        to = self._world.group(body.to).jid if body.to.endswith("@g.us") else self._world.account(body.to).lid
        self._simulation.presence.type(account, to, body.state)

    def set_presence(self, number: str, *, available: bool, last_seen: int | None) -> None:
        self._simulation.presence.set(self._world.account(number), available=available, last_seen=last_seen)


def _contact(account: Account) -> Contact:
    companions = [device.key for device in account.companions]
    return Contact(number=account.number, name=account.name, lid=str(account.lid), companions=companions)
