"""Phones as their owners use them, towards linked devices; calls; files on the media host."""

from __future__ import annotations

import base64
from typing import Any

from whatsam_simulator.authenticator import SoftwareAuthenticator
from whatsam_simulator.clients.connection import ControlConnection
from whatsam_simulator.contacts.app_state import MutationView
from whatsam_simulator.control.models import (
    CallId,
    Count,
    Devices,
    MessageIds,
    Mutations,
    PairedDevice,
    PasskeyView,
    Uploaded,
)
from whatsam_simulator.crypto.webauthn import to_text


class PhoneMethods(ControlConnection):
    """`number`: the phone's."""

    def scan(self, number: str, qr: str) -> PairedDevice:
        return self._post(PairedDevice, f"/phones/{number}/scan", {"qr": qr})

    def enter_pairing_code(self, number: str, code: str) -> PairedDevice:
        return self._post(PairedDevice, f"/phones/{number}/pairing-code", {"code": code})

    def demand_passkey(self, number: str, authenticator: SoftwareAuthenticator, **more: Any) -> None:
        """Companions must present this passkey before they are linked. `more`: the other fields of `PasskeyRequest`."""
        key = {"credential": to_text(authenticator.credential), "public_key": to_text(authenticator.public_key)}
        self._ask("PUT", f"/phones/{number}/passkey", {**key, "rp_id": authenticator.rp_id, **more})

    def passkey(self, number: str) -> PasskeyView:
        """How far the newest linking by passkey has come."""
        return self._get(PasskeyView, f"/phones/{number}/passkey")

    def unlink(self, number: str) -> list[str]:
        return self._post(Devices, f"/phones/{number}/unlink").devices

    def share_app_state_keys(self, number: str) -> list[str]:
        return self._post(MessageIds, f"/phones/{number}/app-state-keys").ids

    # history and app state

    def send_history(self, number: str, chat: str, texts: list[str]) -> list[str]:
        """Past texts of one chat."""
        return self.send_conversations(number, [{"chat": chat, "messages": [{"text": text} for text in texts]}])

    def send_conversations(self, number: str, conversations: list[dict[str, Any]], **more: Any) -> list[str]:
        """A history blob of many chats (`PastChat`, `PastMessage`). `more`: `push_names`, `type`, `inline=False` (as a
        file on the media host), `chunk`, `progress`."""
        body = {"conversations": conversations, **more}
        return self._post(MessageIds, f"/phones/{number}/history", body).ids

    def send_history_raw(self, number: str, history: bytes, **more: Any) -> list[str]:
        """A serialized `HistorySync` protobuf."""
        body = {"raw": base64.b64encode(history).decode(), **more}
        return self._post(MessageIds, f"/phones/{number}/history", body).ids

    def change_chat(self, number: str, chat: str = "", **change: Any) -> None:
        """On the phone: `archived`, `pinned`, `muted` (and `muted_until`), `read`, `deleted`, `cleared`,
        `contact_name` of a chat; `push_name` of the account."""
        self._ask("POST", f"/phones/{number}/chats", {"chat": chat, **change})

    def change_app_state(
        self, number: str, collection: str, index: list[str], value: bytes, *, version: int = 1, remove: bool = False
    ) -> None:
        """Any mutation; `value`: a `SyncActionValue`."""
        encoded = base64.b64encode(value).decode()
        body = {"collection": collection, "index": index, "value": encoded, "version": version, "remove": remove}
        self._ask("POST", f"/phones/{number}/app-state", body)

    def app_state(self, number: str) -> list[MutationView]:
        """All changes, by the phone and by linked devices."""
        return self._get(Mutations, f"/phones/{number}/app-state").mutations

    # connections

    def cut(self, number: str) -> int:
        return self._post(Count, f"/phones/{number}/connections/cut").count

    def swallow(self, number: str) -> int:
        """Nothing goes through the present connections any more, and nobody is told."""
        return self._post(Count, f"/phones/{number}/connections/swallow").count

    def stream_error(self, number: str, code: int | None = 503, conflict: str | None = None) -> int:
        body = {"code": code, "conflict": conflict}
        return self._post(Count, f"/phones/{number}/connections/stream-error", body).count

    def replace(self, number: str) -> int:
        return self._post(Count, f"/phones/{number}/connections/replace").count

    def cut_pairing(self) -> int:
        return self._post(Count, "/pairing/cut").count

    def send_stanza(
        self,
        number: str,
        tag: str,
        attributes: dict[str, Any],
        children: list[dict[str, Any]] | bytes | None = None,
        *,
        keep: bool = False,
    ) -> int:
        """Any stanza to all linked devices. Attributes: text, or `{"jid": "…"}`; children: `{"tag", "attributes",
        "children" or "data" (base64)}`, or the stanza's bytes. Tells how many devices are online."""
        stanza: dict[str, Any] = {"tag": tag, "attributes": attributes}
        if isinstance(children, bytes):
            stanza["data"] = base64.b64encode(children).decode()
        elif children:
            stanza["children"] = children
        return self._post(Count, f"/phones/{number}/stanzas", {"stanza": stanza, "keep": keep}).count

    # calls

    def call(self, caller: str, to: str, *, video: bool = False, group: str | None = None) -> str:
        """A contact rings a linked account; returns the call's id."""
        return self._post(CallId, f"/contacts/{caller}/calls", {"to": to, "video": video, "group": group}).id

    def change_call(
        self, caller: str, to: str, call_id: str, change: str = "terminate", reason: str | None = None
    ) -> None:
        """`terminate`, `accept`, `preaccept`, `reject`, `transport`, `relaylatency`."""
        self._ask("POST", f"/contacts/{caller}/calls/{call_id}", {"to": to, "change": change, "reason": reason})

    # media host

    def upload(self, kind: str, data: bytes) -> Uploaded:
        """Puts an encrypted file on the media host, for messages that a test builds itself."""
        return self._post(Uploaded, "/media", {"kind": kind, "data": base64.b64encode(data).decode()})

    def set_media_behaviour(self, direct_path: str, **behaviour: Any) -> None:
        """`status=404`, `silent=True`, `corrupt=True`, `bytes_per_second=…`; nothing: as any other file."""
        self._ask("PUT", "/media/behaviour", {"direct_path": direct_path, **behaviour})
