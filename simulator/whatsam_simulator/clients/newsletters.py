"""Newsletters as their owners and followers use them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from whatsam_simulator.clients.connection import ControlConnection
from whatsam_simulator.control.models import MessageId, NewsletterView


class NewsletterMethods(ControlConnection):
    """`newsletter`: its id or its address."""

    def create_newsletter(self, owner: str, name: str, description: str = "") -> NewsletterView:
        body = {"owner": owner, "name": name, "description": description}
        return self._post(NewsletterView, "/newsletters", body)

    def newsletters(self) -> list[NewsletterView]:
        return TypeAdapter(list[NewsletterView]).validate_json(self._ask("GET", "/newsletters").content)

    def follow_newsletter(self, newsletter: str, number: str, *, on: bool = True) -> NewsletterView:
        return self._post(NewsletterView, f"/newsletters/{newsletter}/followers", {"number": number, "on": on})

    def post_to_newsletter(self, newsletter: str, text: str | None = None, **body: Any) -> str:
        """A text, or any other field of `MessageBody`; returns the message's id."""
        given = {**({"text": text} if text is not None else {}), **body}
        return self._post(MessageId, f"/newsletters/{newsletter}/messages", given).id
