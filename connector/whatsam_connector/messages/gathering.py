"""Many callers, one statement: gathers what is asked while an earlier piece of work is under way. Used by `desk`.

No timer: a question that comes alone is worked on at once, and the busier the database, the more questions share the
next statement.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from whatsam_connector.errors import DatabaseUnavailable

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Gathering(Generic[Question, Answer]):
    """Asks `work` for the answers to at most `most` questions at a time, in the order in which they came."""

    def __init__(self, work: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]], most: int) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """The answer to one question. Raises what `work` raises; after a cancellation the work may be done anyway."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._working is None:
            self._working = asyncio.create_task(self._work_off(), name="gathered questions")
        return await answer

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                count = min(self._most, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(count)]
                await self._answer([one for one in batch if not one[1].done()])
        finally:
            self._working = None

    async def _answer(self, batch: list[tuple[Question, "asyncio.Future[Answer]"]]) -> None:
        if not batch:
            return
        try:
            answers = await self._work([question for question, _ in batch])
        except DatabaseUnavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - handed to those who asked
            if len(batch) == 1:
                _fail(batch, error)
                return
            for one in batch:  # one question that cannot be answered must not cost the others their answers
                await self._answer([one])
        except BaseException:
            _fail(batch, DatabaseUnavailable("the connector is stopping"))
            raise
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _fail(batch: "list[tuple[Question, asyncio.Future[Answer]]]", error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
