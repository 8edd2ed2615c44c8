"""Takes rows of one session in hand: claims for its outbox, and what is known of rows that are `sending`.

A claim may be made ahead, while the last row in hand is with the engine: the engine then need not wait for the
database between two messages.
"""

import asyncio
from collections.abc import Sequence
from enum import Enum
from typing import Protocol
from uuid import UUID

from whatsam_connector.messages.desk import Claim, Desk, Wish
from whatsam_connector.messages.results import Results
from whatsam_connector.messages.rules import OutRow, run_length
from whatsam_connector.state import SendCredit


class TakenRows(Protocol):
    """The session's rows, as far as taking goes. Every call may raise `DatabaseUnavailable`."""

    async def claim(self, session: str, message: UUID, *, epoch: int, boot: str) -> bool: ...
    async def put_back_lost(self, session: str, *, epoch: int, boot: str, besides: list[UUID]) -> int: ...
    async def mark_uncertain(self, session: str, message: UUID | None = None) -> int: ...


class Taking:
    """The claims of one session under one epoch. Every call may raise `DatabaseUnavailable`."""

    def __init__(
        self, *, session: str, epoch: int, boot: str, rows: TakenRows, desk: Desk, credit: SendCredit, results: Results
    ) -> None:
        self._session = session
        self._epoch = epoch
        self._boot = boot
        self._rows = rows
        self._desk = desk
        self._credit = credit
        self._results = results
        self._claims = _Claims.OF_OTHERS
        self._ahead: asyncio.Task[Claim] | None = None
        self._more = True

    @property
    def more(self) -> bool:
        """Whether the line may go on behind what was claimed last; rows that were written since are not counted."""
        return self._more

    @property
    def looking_ahead(self) -> bool:
        """Whether `came` has something to tell."""
        return self._ahead is not None

    async def recover(self) -> bool:
        """Before the first claim, and after one whose answer was lost: rows that only look as if they were in hand.

        Whether some of them are uncertain now.
        """
        uncertain = False
        match self._claims:
            case _Claims.KNOWN:
                return False
            case _Claims.OF_OTHERS:
                # Whoever had them in hand is gone: this session has one holder, and that is this outbox from now on.
                uncertain = bool(await self._rows.mark_uncertain(self._session))
            case _Claims.LOST:
                # Every row that went to an engine is written or among the unwritten: the others never left.
                besides = list(self._results.unwritten)
                await self._rows.put_back_lost(self._session, epoch=self._epoch, boot=self._boot, besides=besides)
        self._claims = _Claims.KNOWN
        return uncertain

    async def next(self, in_hand: Sequence[UUID] = (), *, own_ids: bool) -> Claim:
        """The next rows of the line, behind those `in_hand` and those whose results are being written."""
        wish = Wish(
            session=self._session,
            epoch=self._epoch,
            boot=self._boot,
            most=run_length(self._credit.room),
            own_ids=own_ids,
            in_hand=(*self._results.unwritten, *in_hand),
        )
        self._claims = _Claims.LOST
        claim = await self._desk.claim(wish)
        self._claims, self._more = _Claims.KNOWN, claim.more
        return claim

    def look_ahead(self, in_hand: Sequence[UUID], *, own_ids: bool) -> None:
        """Ask for the next rows beside whatever comes next; `came` has them. Once at a time."""
        self._ahead = asyncio.create_task(self.next(in_hand, own_ids=own_ids), name=f"claim ahead {self._session}")

    async def came(self) -> tuple[OutRow, ...]:
        """The rows that were claimed ahead. Whoever looked ahead must ask, even if he cannot send them any more."""
        ahead, self._ahead = self._ahead, None
        return () if ahead is None else (await ahead).rows

    async def one(self, row: OutRow) -> bool:
        """Take this one row in hand. False: it is not free any more."""
        self._claims = _Claims.LOST
        claimed = await self._rows.claim(self._session, row.id, epoch=self._epoch, boot=self._boot)
        self._claims = _Claims.KNOWN
        return claimed

    def cancel(self) -> None:
        """Leave everything as it is."""
        if self._ahead is not None:
            self._ahead.cancel()


class _Claims(Enum):
    """What is known about the session's rows that are `sending`."""

    OF_OTHERS = "some may be of whoever held the session before: nobody works on those"
    LOST = "a claim was asked for and its answer did not come: some may be claimed for us without our knowing"
    KNOWN = "we know each that we have claimed"
