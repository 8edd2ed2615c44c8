"""What the tests of lost messages ask again and again."""

import asyncio
from collections.abc import Callable
from typing import Final

from bench.engines import LIMIT, Account

NEVER: Final = 600_000
"""Milliseconds: longer than any test."""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - another process works; nobody tells us
            await asyncio.sleep(0.02)


def ids(account: Account) -> list[str]:
    return [message.wa_id for message in account.messages()]
