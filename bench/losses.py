"""Messages that are sent while an engine is killed again and again, and what is missing or there twice afterwards.

What counts is what the journals hold after the last restart, when everything that still comes has come.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.engines import Account, Disk, Engine, Engines, copy_of_database, cut_power

_CHUNK = 10
"""Messages of one request to the simulator: between two of them the engine works."""
_SILENCE = 15.0
"""Seconds without anything new in the journals after which nothing more is expected."""
_LOOK = 0.3


@dataclass(frozen=True)
class Chat:
    """Somebody writes to a person or to a group, and who of the accounts gets it."""

    sender: str
    to: str
    receivers: tuple[Account, ...]


@dataclass(frozen=True)
class Plan:
    """How the messages are sent and the engine is killed."""

    program: Sequence[str]
    kills: int
    messages: int
    """To be sent for each kill, all chats in turn."""
    disk: Disk = field(default_factory=Disk)
    power: bool = False
    """The machine loses power each time: what was not synced is gone."""
    within: float = 1.5
    """Seconds of a round in which the kill comes at a random moment."""


@dataclass
class Outcome:
    """What became of the messages."""

    sent: int = 0
    """Counted once for each account that should get it."""
    missing: int = 0
    """In no journal."""
    twice: int = 0
    """Records too many by event id: what the inbox drops, because it has that event already."""
    renamed: int = 0
    """Records too many by id of the message and kind that have event ids of their own: the inbox would keep both."""
    undecryptable: int = 0
    """Messages that were noted as undecryptable at some time and are missing."""
    kills: int = 0
    bytes_gone: int = 0
    """Of the journals, in power cuts."""
    seconds: float = 0.0


class Losses:
    """One run over some accounts."""

    def __init__(self, engines: Engines, accounts: Sequence[Account], chats: Sequence[Chat], seed: int) -> None:
        self._engines = engines
        self._accounts = accounts
        self._chats = chats
        self._chance = random.Random(seed)  # noqa: S311 - moments, no secrets
        self._wanted: dict[str, set[str]] = defaultdict(set)
        self._outcome = Outcome()

    async def run(self, plan: Plan) -> Outcome:
        """Send, kill, restart; then wait for the rest and count. Nothing runs afterwards."""
        began = time.monotonic()
        engine = await self._engines.connected(self._accounts, plan.program, plan.disk)
        for number in range(plan.kills):
            sending = asyncio.create_task(asyncio.to_thread(self._send, number, plan.messages))
            await self._interrupt(engine, plan, number)
            engine = await self._engines.start(self._accounts, plan.program, plan.disk)
            await sending
        await self._drain()
        await engine.process.stop(60)
        await asyncio.to_thread(self._count)
        self._outcome.seconds = time.monotonic() - began
        return self._outcome

    def _send(self, number: int, messages: int) -> None:
        chats = [self._chats[place % len(self._chats)] for place in range(messages)]
        for first in range(0, messages, _CHUNK):
            part = chats[first : first + _CHUNK]
            texts = [(chat.sender, chat.to, f"{number} {place}") for place, chat in enumerate(part, first)]
            for chat, wa_id in zip(part, self._engines.simulator.say_all(texts), strict=True):
                for account in chat.receivers:
                    self._wanted[account.uid].add(wa_id)

    async def _interrupt(self, engine: Engine, plan: Plan, number: int) -> None:
        moment = self._chance.uniform(0, plan.within)
        looked = self._chance.uniform(0, moment)
        copies: list[Path | None] = [None] * len(self._accounts)
        await asyncio.sleep(looked)
        if plan.power:
            copies = [await asyncio.to_thread(copy_of_database, account, number) for account in self._accounts]
        await asyncio.sleep(moment - looked)
        await engine.kill()
        self._outcome.kills += 1
        if plan.power:
            for account, copy in zip(self._accounts, copies, strict=True):
                self._outcome.bytes_gone += await asyncio.to_thread(cut_power, account, copy, self._chance)

    async def _drain(self) -> None:
        """Until everything is there, or nothing has come for a while."""
        before, since = -1, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK)
            size = sum(path.stat().st_size for one in self._accounts for path in one.journal.glob("*.segment"))
            if size == before:
                if time.monotonic() - since > _SILENCE or await asyncio.to_thread(self._complete):
                    return
            else:
                before, since = size, time.monotonic()

    def _complete(self) -> bool:
        return all(self._wanted[one.uid] <= {message.wa_id for message in one.messages()} for one in self._accounts)

    def _count(self) -> None:
        outcome = self._outcome
        for account in self._accounts:
            wanted = self._wanted[account.uid]
            messages = [message for message in account.messages() if message.wa_id in wanted]
            found = {message.wa_id for message in messages}
            events = {message.event_id for message in messages}
            outcome.sent += len(wanted)
            outcome.missing += len(wanted - found)
            outcome.twice += len(messages) - len(events)
            outcome.renamed += len(events) - len({(message.wa_id, message.type) for message in messages})
            outcome.undecryptable += len((wanted - found) & {one.wa_id for one in account.unreadable()})
