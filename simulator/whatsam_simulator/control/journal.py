"""Routes that read the journal."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Protocol, TypeVar

from fastapi import APIRouter, Query

from whatsam_simulator.control.dependencies import Service
from whatsam_simulator.control.models import Counters, Holders, Messages, Stanzas, Violations
from whatsam_simulator.journal.records import JournalSettings, JournalSummary

router = APIRouter(prefix="/journal", tags=["journal"])


class _Numbered(Protocol):
    @property
    def sequence(self) -> int: ...


Entry = TypeVar("Entry", bound=_Numbered)
After = Annotated[int, Query(ge=0, description="Only entries with a greater sequence")]
Limit = Annotated[int, Query(ge=1, le=100_000)]
Device = Annotated[str | None, Query(description="number:id")]


def _page(entries: Iterable[Entry], after: int, limit: int) -> list[Entry]:
    return list(islice((entry for entry in entries if entry.sequence > after), limit))


@router.get("")
async def summary(service: Service) -> JournalSummary:
    """What is kept, and how much was seen."""
    return service.journal.summary()


@router.put("")
async def settings(body: JournalSettings, service: Service) -> JournalSummary:
    """What to keep from now on; for volume runs."""
    service.journal.settings = body
    return service.journal.summary()


@router.delete("")
async def clear(service: Service) -> JournalSummary:
    """Forgets messages, counters and violations."""
    service.journal.clear()
    return service.journal.summary()


@router.get("/holders")
async def holders(service: Service, device: Device = None) -> Holders:
    """Which connection was logged in as which device, from when to when."""
    return Holders(holders=[entry for entry in service.journal.holders if device in (None, entry.device)])


@router.get("/messages")
async def messages(
    service: Service, message_id: str | None = None, after: After = 0, limit: Limit = 10_000
) -> Messages:
    """Every step of every message, oldest first."""
    found = (event for event in service.journal.messages if message_id in (None, event.message_id))
    return Messages(events=_page(found, after, limit))


@router.get("/counters")
async def counters(
    service: Service, sender: Device = None, reused: bool | None = None, after: After = 0, limit: Limit = 10_000
) -> Counters:
    """Every Signal counter that was used, oldest first; `reused=true` for those used twice."""
    found = (
        use
        for use in service.journal.counters
        if sender in (None, use.sender) and (reused is None or use.reused == reused)
    )
    return Counters(counters=_page(found, after, limit))


@router.get("/violations")
async def violations(service: Service, after: After = 0, limit: Limit = 10_000) -> Violations:
    """Two holders of one device, used counters, wrong MACs and signatures, malformed input."""
    return Violations(violations=_page(service.journal.violations, after, limit))


@router.get("/stanzas")
async def stanzas(service: Service, limit: Annotated[int, Query(ge=1, le=2_000)] = 200) -> Stanzas:
    """The newest stanzas, abbreviated, for debugging."""
    return Stanzas(stanzas=service.stanzas(limit))
