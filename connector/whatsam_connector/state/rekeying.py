"""Wraps the data keys of all sessions with the current key of the ring. Called by `whatsam-connector rekey`.

Where it stands is in the store alone: a record names the key that wraps it. So it may be killed at any moment, started
again, and run twice at once; connectors may run meanwhile, because the data keys themselves stay as they are. States,
whatever kinds of objects they consist of, are sealed with the data keys and are not touched.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from whatsam_connector.state import data_keys
from whatsam_connector.state.errors import DataKeyUnusable, RingKeyMissing, StateTooNew
from whatsam_connector.state.keyring import KeyRing
from whatsam_core.sessions_state import WrappedKey, auth_prefix, key_object
from whatsam_core.storage.objects import ObjectMissing, ObjectStore, ObjectStoreError, ObjectStoreUnreachable

AT_ONCE: Final = 8
"""Sessions that are worked on at one time."""
TRIES: Final = 5
FIRST_WAIT: Final = 0.5
"""Seconds before a request that was not answered is made again; doubled each time."""


class Wrapping(Enum):
    """What was found of a session's data key, and what became of it."""

    CURRENT = "wrapped by the current key"
    REWRAPPED = "wrapped by the current key now"
    OTHER = "wrapped by another key of the ring"
    """Only when nothing is written."""
    GONE = "destroyed meanwhile"
    LACKS_KEY = "wrapped by a key that the ring does not have"
    DAMAGED = "does not open"
    TOO_NEW = "stored by a newer Whatsam"
    UNREACHABLE = "the object store did not answer"


PROBLEMS: Final = frozenset({Wrapping.LACKS_KEY, Wrapping.DAMAGED, Wrapping.TOO_NEW, Wrapping.UNREACHABLE})
"""What somebody must look at. Nothing was written in these cases."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """One session's answer. `key_id` wraps its data key now, None when that is not known."""

    session: str
    wrapping: Wrapping
    key_id: str | None = None
    problem: str = ""


@dataclass(slots=True)
class Tally:
    """What a pass came to."""

    answers: list[Wrapped] = field(default_factory=list[Wrapped])

    @property
    def by_wrapping(self) -> Counter[Wrapping]:
        """How many sessions had which answer."""
        return Counter(answer.wrapping for answer in self.answers)

    @property
    def by_key(self) -> Counter[str]:
        """How many data keys each ring key wraps now."""
        return Counter(answer.key_id for answer in self.answers if answer.key_id is not None)

    @property
    def problems(self) -> list[Wrapped]:
        """The sessions that somebody must look at."""
        return [answer for answer in self.answers if answer.wrapping in PROBLEMS]

    def dispensable(self, ring: KeyRing) -> list[str]:
        """Ring keys that wrap nothing any more. None while some answers are not known."""
        unknown = {Wrapping.DAMAGED, Wrapping.TOO_NEW, Wrapping.UNREACHABLE}
        if any(answer.wrapping in unknown and answer.key_id is None for answer in self.answers):
            return []
        return sorted(name for name in ring.keys if name != ring.current and not self.by_key[name])


async def rekey(
    store: ObjectStore,
    ring: KeyRing,
    installation: str,
    *,
    write: bool,
    progress: Callable[[int, int], None],
    first_wait: float = FIRST_WAIT,
) -> Tally:
    """Look at every session's data key once; with `write`, wrap it anew where another key than the current one does.

    `progress` hears how many of how many are done. Raises an object store error when the sessions cannot be listed.
    """
    start = auth_prefix(installation)
    listed = {item.key for item in await store.list(start)}
    objects = Counter(_prefix_of(key, start) for key in listed)
    places = sorted(prefix for prefix in objects if key_object(prefix) in listed)
    tally, rest = Tally(), iter(places)
    progress(0, len(places))

    async def work() -> None:
        for prefix in rest:
            look = _Look(store, ring, prefix, prefix.removeprefix(start).rstrip("/"), had_state=objects[prefix] > 1)
            tally.answers.append(await _patiently(look, write=write, wait=first_wait))
            progress(len(tally.answers), len(places))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, len(places))):
            group.create_task(work())
    tally.answers.sort(key=lambda answer: answer.session)
    return tally


def _prefix_of(key: str, start: str) -> str:
    """The prefix of the session that an object belongs to; a session may itself be named `key`."""
    return f"{start}{'/'.join(key.removeprefix(start).split('/')[:2])}/"


def _refused(error: StateTooNew | DataKeyUnusable) -> Wrapping:
    match error:
        case RingKeyMissing():
            return Wrapping.LACKS_KEY
        case StateTooNew():
            return Wrapping.TOO_NEW
        case DataKeyUnusable():
            return Wrapping.DAMAGED


async def _patiently(look: "_Look", *, write: bool, wait: float) -> Wrapped:
    for attempt in range(TRIES):
        try:
            return await look.once(write=write)
        except ObjectStoreUnreachable as error:
            if attempt + 1 == TRIES:
                return Wrapped(look.session, Wrapping.UNREACHABLE, problem=str(error))
            await asyncio.sleep(wait * 2**attempt)
        except ObjectStoreError as error:
            return Wrapped(look.session, Wrapping.UNREACHABLE, problem=str(error))
    raise AssertionError("the last try returns")


@dataclass(frozen=True, slots=True)
class _Look:
    """One session's turn."""

    store: ObjectStore
    ring: KeyRing
    prefix: str
    session: str
    had_state: bool
    """More than its key lay there when the sessions were listed."""

    async def once(self, *, write: bool) -> Wrapped:
        try:
            raw = await self.store.get(key_object(self.prefix))
        except ObjectMissing:
            return Wrapped(self.session, Wrapping.GONE)
        record: WrappedKey | None = None
        try:
            record = data_keys.decoded(raw)
            value = self.ring.unwrap(record, prefix=self.prefix)
        except (StateTooNew, DataKeyUnusable) as error:
            return Wrapped(self.session, _refused(error), record.key_id if record else None, str(error))
        if record.key_id == self.ring.current:
            return Wrapped(self.session, Wrapping.CURRENT, record.key_id)
        return (
            await self._write(record.tenant, value) if write else Wrapped(self.session, Wrapping.OTHER, record.key_id)
        )

    async def _write(self, tenant: str, value: bytes) -> Wrapped:
        anew = data_keys.encoded(data_keys.wrapped(self.ring, self.prefix, tenant, value, datetime.now(UTC)))
        await self.store.put(key_object(self.prefix), anew)
        if self.had_state and await self._is_alone():
            return await self._take_back(anew)
        return Wrapped(self.session, Wrapping.REWRAPPED, self.ring.current)

    async def _is_alone(self) -> bool:
        return [item.key for item in await self.store.list(self.prefix)] == [key_object(self.prefix)]

    async def _take_back(self, written: bytes) -> Wrapped:
        """The state was destroyed between our read and our write: its key must not come back."""
        await self.store.delete(key_object(self.prefix))
        if [item.key for item in await self.store.list(self.prefix)]:
            # A new session of the name was faster, and found the key that we had put there.
            await self.store.put(key_object(self.prefix), written)
            return Wrapped(self.session, Wrapping.REWRAPPED, self.ring.current)
        return Wrapped(self.session, Wrapping.GONE)
