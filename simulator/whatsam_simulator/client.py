"""The control API for Python tests: one method per route, typed answers."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from whatsam_simulator.clients.connection import ControlError
from whatsam_simulator.clients.contacts import ContactMethods
from whatsam_simulator.clients.groups import GroupMethods
from whatsam_simulator.clients.newsletters import NewsletterMethods
from whatsam_simulator.clients.phones import PhoneMethods
from whatsam_simulator.clients.proxies import ProxyMethods
from whatsam_simulator.control.models import (
    Counters,
    Holders,
    Messages,
    ServerInfo,
    Stanza,
    Stanzas,
    Violations,
)
from whatsam_simulator.faults import Faults
from whatsam_simulator.journal.records import CounterUse, Holder, JournalSummary, MessageEvent, Violation

__all__ = ["ControlError", "SimulatorClient"]


class SimulatorClient(ContactMethods, GroupMethods, NewsletterMethods, PhoneMethods, ProxyMethods):
    """Talks to one simulator; use it as a context manager or call `close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def info(self) -> ServerInfo:
        return self._get(ServerInfo, "/info")

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

    def journal(self) -> JournalSummary:
        """What is kept, and how much was seen."""
        return self._get(JournalSummary, "/journal")

    def set_journal(self, **settings: Any) -> JournalSummary:
        """For volume runs: `keep="counts"`, `inbox=1000`; nothing: as at the start."""
        return self._put(JournalSummary, "/journal", settings)

    def clear_journal(self) -> None:
        self._ask("DELETE", "/journal")

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
