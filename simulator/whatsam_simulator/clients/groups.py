"""Groups as people use them."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import TypeAdapter

from whatsam_simulator.clients.connection import ControlConnection
from whatsam_simulator.control.group_models import GroupView, Joined
from whatsam_simulator.control.models import MessageId


class GroupMethods(ControlConnection):
    """`group`: its id or its address."""

    def create_group(self, creator: str, members: list[str], subject: str = "") -> GroupView:
        return self._post(GroupView, "/groups", {"subject": subject, "creator": creator, "members": members})

    def groups(self) -> list[GroupView]:
        return TypeAdapter(list[GroupView]).validate_json(self._ask("GET", "/groups").content)

    def group(self, group: str) -> GroupView:
        return self._get(GroupView, f"/groups/{group}")

    def change_group(
        self,
        group: str,
        actor: str,
        add: list[str] | None = None,
        remove: list[str] | None = None,
        *,
        promote: list[str] | None = None,
        demote: list[str] | None = None,
        **settings: Any,
    ) -> GroupView:
        """Members, and settings: `subject`, `description`, `announce`, `locked`, `ephemeral` (seconds), `approval`,
        `member_add_mode`, `picture` (JPEG bytes), `reset_invite`."""
        if settings:
            if isinstance(settings.get("picture"), bytes):
                settings["picture"] = base64.b64encode(settings["picture"]).decode()
            self._ask("PATCH", f"/groups/{group}", {"actor": actor, **settings})
        lists = {"add": add or [], "remove": remove or [], "promote": promote or [], "demote": demote or []}
        return self._post(GroupView, f"/groups/{group}/members", {"actor": actor, **lists})

    def leave_group(self, group: str, number: str) -> GroupView:
        return self._post(GroupView, f"/groups/{group}/leave", {"number": number})

    def join_group(self, group: str, number: str) -> bool:
        """Opens the invite link; false: waits for approval."""
        return self._post(Joined, f"/groups/{group}/join", {"number": number}).joined

    def decide_requests(
        self, group: str, actor: str, *, approve: list[str] | None = None, reject: list[str] | None = None
    ) -> GroupView:
        body = {"actor": actor, "approve": approve or [], "reject": reject or []}
        return self._post(GroupView, f"/groups/{group}/requests", body)

    def say_to_group(self, sender: str, group: str, text: str, **more: Any) -> str:
        return self._post(MessageId, f"/groups/{group}/messages", {"from": sender, "text": text, **more}).id
