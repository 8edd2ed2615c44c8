"""Phones and contacts as people use them: write every kind of message, read what came, show presence."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import TypeAdapter

from whatsam_simulator.clients.connection import ControlConnection
from whatsam_simulator.contacts.inbox import InboxEvent, InboxMessage, InboxReceipt
from whatsam_simulator.control.contact_models import Contact, Events, Inbox, ProfileView, Receipts
from whatsam_simulator.control.models import MessageId, MessageIds


class ContactMethods(ControlConnection):
    """`sender` is a number; `to` a number or a group's address (`…@g.us`). Send methods return the message's id.

    `more` takes the other fields of `MessageBody`: `quote`, `mentions`, `expiration`, `ephemeral`, `forwarded`, `id` …
    """

    def contact(self, number: str, name: str | None = None) -> Contact:
        """Makes sure that the contact exists."""
        return self._post(Contact, f"/contacts/{number}", {"name": name})

    def contacts(self) -> list[Contact]:
        return TypeAdapter(list[Contact]).validate_json(self._ask("GET", "/contacts").content)

    def get_contact(self, number: str) -> Contact:
        return self._get(Contact, f"/contacts/{number}")

    def profile(self, number: str) -> ProfileView:
        """Name, about text, picture, privacy, blocked numbers; of a linked account: what its client has set."""
        return self._get(ProfileView, f"/contacts/{number}/profile")

    def set_profile(self, number: str, *, picture: bytes | None = None, **changes: Any) -> ProfileView:
        """`name`, `about`, `picture` (JPEG, empty: none), `picture_hidden`, `business_name`, `privacy` ({name: value};
        `groupadd=none`: cannot be added to groups)."""
        encoded = {} if picture is None else {"picture": base64.b64encode(picture).decode()}
        body = {**changes, **encoded}
        return ProfileView.model_validate_json(self._ask("PATCH", f"/contacts/{number}/profile", body).content)

    def type(self, number: str, to: str, state: str = "composing") -> None:
        """`composing`, `recording` or `paused`, in a chat or group."""
        self._ask("POST", f"/contacts/{number}/typing", {"to": to, "state": state})

    def set_presence(self, number: str, *, available: bool, last_seen: int | None = None) -> None:
        self._ask("PUT", f"/contacts/{number}/presence", {"available": available, "last_seen": last_seen})

    # sending

    def send(self, sender: str, to: str, **body: Any) -> str:
        """Any message: the fields of `MessageBody`."""
        return self._post(MessageId, f"/contacts/{sender}/messages", {"to": to, **body}).id

    def say(self, sender: str, to: str, text: str, **more: Any) -> str:
        return self.send(sender, to, text=text, **more)

    def say_all(self, texts: list[tuple[str, str, str]]) -> list[str]:
        """Many texts, each (sender, receiver, text), in one request; returns the messages' ids."""
        messages = [{"from": sender, "to": to, "text": text} for sender, to, text in texts]
        return self._post(MessageIds, "/contacts/messages/batch", {"messages": messages}).ids

    def send_all(self, messages: list[dict[str, Any]]) -> list[str]:
        """Many messages of any kind in one request: `{"from", "to", …}` with the fields of `MessageBody`."""
        return self._post(MessageIds, "/contacts/messages/batch", {"messages": messages}).ids

    def send_raw(
        self, sender: str, to: str, message: bytes, *, message_id: str | None = None, timestamp: int | None = None
    ) -> str:
        """A serialized `Message` protobuf as it is. `timestamp`: Unix seconds."""
        raw = base64.b64encode(message).decode()
        return self.send(sender, to, raw=raw, id=message_id, timestamp=timestamp)

    def send_media(
        self,
        sender: str,
        to: str,
        data: bytes,
        *,
        kind: str = "document",
        mimetype: str = "application/octet-stream",
        caption: str | None = None,
        file_name: str | None = None,
        thumbnail: bytes | None = None,
        media: dict[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """A file. `kind`: image, video, gif, ptv, audio, voice, document, sticker. `media`: further fields of `Media`
        (`view_once`, `seconds`, `width`, `height`, `missing`, `wrong_hash`)."""
        body: dict[str, Any] = {
            "kind": kind,
            "mimetype": mimetype,
            "data": base64.b64encode(data).decode(),
            "caption": caption,
            "file_name": file_name,
            "thumbnail": base64.b64encode(thumbnail).decode() if thumbnail else None,
            **(media or {}),
        }
        return self.send(sender, to, media=body, **more)

    def send_location(
        self,
        sender: str,
        to: str,
        latitude: float,
        longitude: float,
        *,
        name: str | None = None,
        address: str | None = None,
        **more: Any,
    ) -> str:
        place = {"latitude": latitude, "longitude": longitude, "name": name, "address": address}
        return self.send(sender, to, location=place, **more)

    def send_live_location(
        self, sender: str, to: str, latitude: float, longitude: float, *, sequence: int = 1, **more: Any
    ) -> str:
        place = {"latitude": latitude, "longitude": longitude, "sequence": sequence}
        return self.send(sender, to, live_location=place, **more)

    def send_contacts(self, sender: str, to: str, cards: list[tuple[str, str]], **more: Any) -> str:
        """Contact cards: (name, vCard) each; one is a card, several are an array."""
        return self.send(sender, to, contacts=[{"name": name, "vcard": vcard} for name, vcard in cards], **more)

    def send_poll(
        self, sender: str, to: str, question: str, options: list[str], *, selectable: int = 1, **more: Any
    ) -> str:
        return self.send(sender, to, poll={"question": question, "options": options, "selectable": selectable}, **more)

    def vote(self, sender: str, to: str, poll: str, options: list[str]) -> str:
        """A vote, encrypted with the poll's secret; `poll` is the id of its message."""
        return self.send(sender, to, vote={"id": poll, "options": options})

    def react(self, sender: str, to: str, message_id: str, emoji: str) -> str:
        """A reaction; an empty emoji takes it back."""
        return self.send(sender, to, reaction={"id": message_id, "emoji": emoji})

    def edit(self, sender: str, to: str, message_id: str, text: str) -> str:
        return self.send(sender, to, edit={"id": message_id, "text": text})

    def revoke(self, sender: str, to: str, message_id: str) -> str:
        """Deletes for everyone: an own message, or, as a group's admin, anybody's."""
        return self.send(sender, to, revoke=message_id)

    def set_timer(self, sender: str, to: str, seconds: int) -> str:
        """Sets the timer of a 1:1 chat for disappearing messages; 0 switches it off."""
        return self.send(sender, to, timer=seconds)

    # reading

    def inbox(self, number: str, after: int = 0) -> list[InboxMessage]:
        return self._get(Inbox, f"/contacts/{number}/inbox", after=after).messages

    def message(self, number: str, message_id: str) -> InboxMessage | None:
        """The readable copy of one message in an inbox."""
        found = [message for message in self.inbox(number) if message.id == message_id and message.readable]
        return found[-1] if found else None

    def texts(self, number: str) -> list[str]:
        """The texts of all readable text messages and captions from others, in order."""
        seen = [m for m in self.inbox(number) if m.readable and not m.own and (m.kind == "text" or m.media is not None)]
        return [m.text for m in seen if m.text is not None]

    def receipts(self, number: str, after: int = 0) -> list[InboxReceipt]:
        return self._get(Receipts, f"/contacts/{number}/receipts", after=after).receipts

    def events(self, number: str, after: int = 0) -> list[InboxEvent]:
        """Typing, group changes, calls and pictures, as the person has seen them."""
        return self._get(Events, f"/contacts/{number}/events", after=after).events

    def read(self, number: str, message_id: str, *, on_companion: bool = False) -> None:
        """`on_companion`: the account's own linked devices get `read-self`, and nobody else learns of it."""
        self._ask("POST", f"/contacts/{number}/read", {"id": message_id, "on_companion": on_companion})

    def play(self, number: str, message_id: str) -> None:
        """Reads and plays a voice note or video."""
        self._ask("POST", f"/contacts/{number}/read", {"id": message_id, "played": True})

    def media(self, number: str, message_id: str) -> bytes:
        """The decrypted bytes of a file that came with a message."""
        return self._ask("GET", f"/contacts/{number}/media/{message_id}").content
