"""What the inbox asks of the engine: who is an admin of a group, and to decline a call. It never waits for an answer.

A message must not be held up by an answer that may take minutes: questions run beside the inbox, and what depends on an
answer waits in the database.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from whatsam_connector.messages.inbound.names import PHONE_SERVER
from whatsam_connector.supervision.errors import EngineError
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_KNOWN_FOR = 600.0
"""Seconds for which an answer about a group counts."""
_MOST_GROUPS = 256
_MOST_CALLS = 256
_AT_ONCE = 4
"""Questions under way; further ones are dropped, and asked again with the next record that needs them."""
_TIME = 20.0


class Caller(Protocol):
    """The engine."""

    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float) -> Any:
        """Raises any `EngineError`."""
        ...


class Questions:
    """Of one session."""

    def __init__(self, uid: str, session: str, answered: Callable[[str], None]) -> None:
        """`answered` is called with a group when its admins have become known."""
        self._uid = uid
        self._session = session
        self._answered = answered
        self._engine: Caller | None = None
        self._admins: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()
        self._declined: OrderedDict[str, None] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}

    def link(self, engine: Caller | None) -> None:
        """This engine is connected; None: none is."""
        self._engine = engine

    def admins(self) -> Mapping[str, frozenset[str]]:
        """Every name of the admins of those groups that are known."""
        now = asyncio.get_running_loop().time()
        return {group: names for group, (until, names) in self._admins.items() if until > now}

    def forget(self, group: str) -> None:
        """Something about the group has changed."""
        self._admins.pop(group, None)

    def ask_admins(self, group: str) -> None:
        """Find out who its admins are, if an engine can tell."""
        self._ask(f"admins {group}", lambda engine: self._find_admins(engine, group))

    def decline(self, caller: str, call_id: str) -> None:
        """Decline a call, once."""
        if call_id in self._declined:
            return
        if self._ask(f"call {call_id}", lambda engine: self._decline(engine, caller, call_id)):
            self._declined[call_id] = None
            while len(self._declined) > _MOST_CALLS:
                self._declined.popitem(last=False)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ask(self, name: str, question: Callable[[Caller], Coroutine[Any, Any, None]]) -> bool:
        engine = self._engine
        if engine is None or name in self._asking or len(self._asking) >= _AT_ONCE:
            return False
        task = asyncio.create_task(question(engine), name=f"{name} {self._session}")
        self._asking[name] = task
        task.add_done_callback(lambda _task: self._asking.pop(name, None))
        return True

    async def _find_admins(self, engine: Caller, group: str) -> None:
        try:
            answer = await engine.call(self._uid, "group", {"jid": group}, _TIME)
        except EngineError as error:
            _log.info("inbox.admins_unknown", session=self._session, error=type(error).__name__)
            return
        self._admins[group] = (asyncio.get_running_loop().time() + _KNOWN_FOR, _admins_of(answer))
        self._admins.move_to_end(group)
        while len(self._admins) > _MOST_GROUPS:
            self._admins.popitem(last=False)
        self._answered(group)

    async def _decline(self, engine: Caller, caller: str, call_id: str) -> None:
        try:
            await engine.call(self._uid, "reject_call", {"from": caller, "call_id": call_id}, _TIME)
        except EngineError as error:
            _log.warning("inbox.call_not_declined", session=self._session, error=type(error).__name__)


def _admins_of(answer: Any) -> frozenset[str]:
    names: set[str] = set()
    members: list[Any] = answer.get("participants", []) if isinstance(answer, dict) else []
    for member in members:
        if member.get("role") in {"admin", "superadmin"}:
            names |= {str(member[key]) for key in ("jid", "lid") if member.get(key)}
            if member.get("phone"):
                names.add(f"{member['phone']}@{PHONE_SERVER}")
    return frozenset(names)
