"""The one place where the outboxes of a connector meet the table: claims and settlements of all sessions, gathered.

With twenty busy sessions a statement claims for all that wait, and another settles what all of them have sent, so the
database's work grows with time and not with messages. Each outbox still waits for its own answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from whatsam_connector.messages.gathering import Gathering
from whatsam_connector.messages.rules import OutRow

_MOST = 64
"""Questions in one statement: what one statement may hold up when it fails."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A session may send: it asks for the next rows of its line."""

    session: str
    epoch: int
    boot: str
    most: int
    """Rows it could send now."""
    in_hand: tuple[UUID, ...] = ()
    """Rows that it has sent already and that are being settled: they do not stand in the line any more."""
    own_ids: bool = False
    """The engine takes ids from us: each row gets its id with its first claim and keeps it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a session got."""

    rows: tuple[OutRow, ...] = ()
    """Claimed, in their order: they are `sending` from now on. `attempts` counts those before."""
    head: OutRow | None = None
    """With no row claimed: the head of the line, which is not free (`sending` or `uncertain`). None: no open row."""
    more: bool = True
    """Whether the line may go on behind these rows."""


@dataclass(frozen=True, slots=True)
class SentRow:
    """A message that WhatsApp has taken."""

    session: str
    id: UUID
    wa_id: str
    status: str
    """sent, or what a receipt says already."""
    at: datetime | None
    """WhatsApp's time."""


class BatchRows(Protocol):
    """The table. Each call is one transaction and may raise `DatabaseUnavailable`."""

    async def claim_runs(self, wishes: Sequence[Wish]) -> Sequence[Claim]:
        """One claim for each wish. Sessions differ."""
        ...

    async def settle(self, sent: Sequence[SentRow]) -> None:
        """Write the ids; a row that is settled already stays as it is."""
        ...


class Desk:
    """Shared by all outboxes of a connector."""

    def __init__(self, rows: BatchRows) -> None:
        self._claims = Gathering(rows.claim_runs, _MOST)
        self._settlements: Gathering[SentRow, None] = Gathering(_settling(rows), _MOST)

    async def claim(self, wish: Wish) -> Claim:
        """Take the next rows of a session in hand. Raises `DatabaseUnavailable`; then they may be claimed or not."""
        return await self._claims.ask(wish)

    async def settle(self, sent: SentRow) -> None:
        """Write that a row was sent. Raises `DatabaseUnavailable`; then it may be written or not: write it again."""
        await self._settlements.ask(sent)


def _settling(rows: BatchRows):
    async def settle(sent: Sequence[SentRow]) -> list[None]:
        await rows.settle(sent)
        return [None] * len(sent)

    return settle
