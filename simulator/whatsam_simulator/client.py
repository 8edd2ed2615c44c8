"""The control API for Python tests: one method per route, typed answers."""

from __future__ import annotations

import base64
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter

from whatsam_simulator.contacts.inbox import InboxMessage, InboxReceipt
from whatsam_simulator.control.models import (
    Contact,
    Count,
    Counters,
    Devices,
    GroupView,
    Holders,
    Inbox,
    MessageId,
    MessageIds,
    Messages,
    PairedDevice,
    Receipts,
    ServerInfo,
    Stanza,
    Stanzas,
    Violations,
)
from whatsam_simulator.errors import SimulatorError
from whatsam_simulator.faults import Faults
from whatsam_simulator.journal.records import CounterUse, Holder, MessageEvent, Violation

Answer = TypeVar("Answer", bound=BaseModel)
REQUEST_SECONDS = 30


class ControlError(SimulatorError):
    """The control API has refused a request."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


class SimulatorClient:
    """Talks to one simulator; use it as a context manager or call `close`."""

    def __init__(self, url: str) -> None:
        # A proxy in the environment is meant for clients of WhatsApp, never for the control API.
        self._http = httpx.Client(base_url=url, timeout=REQUEST_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, body: object = None, **query: str | int | bool | None) -> httpx.Response:
        params = {name: value for name, value in query.items() if value is not None}
        response = self._http.request(method, path, json=body, params=params)
        if response.is_error:
            raise ControlError(response.status_code, response.text)
        return response

    def _get(self, answer: type[Answer], path: str, **query: str | int | bool | None) -> Answer:
        return answer.model_validate_json(self._ask("GET", path, **query).content)

    def _post(self, answer: type[Answer], path: str, body: object = None) -> Answer:
        return answer.model_validate_json(self._ask("POST", path, body).content)

    def info(self) -> ServerInfo:
        return self._get(ServerInfo, "/info")

    # phones

    def scan(self, number: str, qr: str) -> PairedDevice:
        return self._post(PairedDevice, f"/phones/{number}/scan", {"qr": qr})

    def enter_pairing_code(self, number: str, code: str) -> PairedDevice:
        return self._post(PairedDevice, f"/phones/{number}/pairing-code", {"code": code})

    def unlink(self, number: str) -> list[str]:
        return self._post(Devices, f"/phones/{number}/unlink").devices

    def send_history(self, number: str, chat: str, texts: list[str]) -> list[str]:
        body = {"chat": chat, "messages": [{"text": text} for text in texts]}
        return self._post(MessageIds, f"/phones/{number}/history", body).ids

    def share_app_state_keys(self, number: str) -> list[str]:
        return self._post(MessageIds, f"/phones/{number}/app-state-keys").ids

    def cut(self, number: str) -> int:
        return self._post(Count, f"/phones/{number}/connections/cut").count

    def stream_error(self, number: str, code: int | None = 503, conflict: str | None = None) -> int:
        body = {"code": code, "conflict": conflict}
        return self._post(Count, f"/phones/{number}/connections/stream-error", body).count

    def replace(self, number: str) -> int:
        return self._post(Count, f"/phones/{number}/connections/replace").count

    def cut_pairing(self) -> int:
        return self._post(Count, "/pairing/cut").count

    # contacts

    def contact(self, number: str, name: str | None = None) -> Contact:
        """Makes sure that the contact exists."""
        return self._post(Contact, f"/contacts/{number}", {"name": name})

    def contacts(self) -> list[Contact]:
        return TypeAdapter(list[Contact]).validate_json(self._ask("GET", "/contacts").content)

    def say(self, sender: str, to: str, text: str) -> str:
        """A contact writes a text; returns the message's id."""
        return self._post(MessageId, f"/contacts/{sender}/messages", {"to": to, "text": text}).id

    def say_all(self, texts: list[tuple[str, str, str]]) -> list[str]:
        """Many texts, each (sender, receiver, text), in one request; returns the messages' ids."""
        messages = [{"from": sender, "to": to, "text": text} for sender, to, text in texts]
        return self._post(MessageIds, "/contacts/messages/batch", {"messages": messages}).ids

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
    ) -> str:
        """A contact sends a file; returns the message's id."""
        media: dict[str, Any] = {
            "kind": kind,
            "mimetype": mimetype,
            "data": base64.b64encode(data).decode(),
            "caption": caption,
            "file_name": file_name,
        }
        return self._post(MessageId, f"/contacts/{sender}/messages", {"to": to, "media": media}).id

    def inbox(self, number: str, after: int = 0) -> list[InboxMessage]:
        return self._get(Inbox, f"/contacts/{number}/inbox", after=after).messages

    def texts(self, number: str) -> list[str]:
        """The texts of all readable messages from others, in order."""
        return [m.text for m in self.inbox(number) if m.readable and not m.own and m.text is not None]

    def receipts(self, number: str, after: int = 0) -> list[InboxReceipt]:
        return self._get(Receipts, f"/contacts/{number}/receipts", after=after).receipts

    def read(self, number: str, message_id: str) -> None:
        self._ask("POST", f"/contacts/{number}/read", {"id": message_id})

    def media(self, number: str, message_id: str) -> bytes:
        return self._ask("GET", f"/contacts/{number}/media/{message_id}").content

    # groups

    def create_group(self, creator: str, members: list[str], subject: str = "") -> GroupView:
        return self._post(GroupView, "/groups", {"subject": subject, "creator": creator, "members": members})

    def groups(self) -> list[GroupView]:
        return TypeAdapter(list[GroupView]).validate_json(self._ask("GET", "/groups").content)

    def group(self, group: str) -> GroupView:
        return self._get(GroupView, f"/groups/{group}")

    def change_group(
        self, group: str, actor: str, add: list[str] | None = None, remove: list[str] | None = None
    ) -> GroupView:
        body = {"actor": actor, "add": add or [], "remove": remove or []}
        return self._post(GroupView, f"/groups/{group}/members", body)

    def say_to_group(self, sender: str, group: str, text: str) -> str:
        return self._post(MessageId, f"/groups/{group}/messages", {"from": sender, "text": text}).id

    # faults

    def faults(self) -> Faults:
        return self._get(Faults, "/faults")

    def set_faults(self, faults: Faults | None = None, **changes: Any) -> Faults:
        """Replaces all faults: `set_faults(damage_messages=1)`."""
        wanted = (faults or Faults()).model_copy(update=changes)
        body = Faults.model_validate(wanted.model_dump()).model_dump(mode="json")
        return Faults.model_validate_json(self._ask("PUT", "/faults", body).content)

    def clear_faults(self) -> None:
        self._ask("DELETE", "/faults")

    # journal

    def holders(self, device: str | None = None) -> list[Holder]:
        return self._get(Holders, "/journal/holders", device=device).holders

    def message_events(self, message_id: str | None = None, after: int = 0) -> list[MessageEvent]:
        return self._get(Messages, "/journal/messages", message_id=message_id, after=after, limit=100_000).events

    def counters(self, sender: str | None = None, reused: bool | None = None) -> list[CounterUse]:
        return self._get(Counters, "/journal/counters", sender=sender, reused=reused, limit=100_000).counters

    def violations(self, after: int = 0) -> list[Violation]:
        return self._get(Violations, "/journal/violations", after=after).violations

    def stanzas(self, limit: int = 200) -> list[Stanza]:
        return self._get(Stanzas, "/journal/stanzas", limit=limit).stanzas
