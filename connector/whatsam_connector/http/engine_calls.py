"""Look-ups and changes asked of a session's engine: the service behind `POST /sessions/{uid}/calls/{method}`.

Bounded in every direction: only known methods, a time limit for each, few waiting at a time, and no argument of a
caller ever names a file of this machine.
"""

import asyncio
import base64
import binascii
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from whatsam_connector.engine.methods import METHODS
from whatsam_connector.http.holding import Address, Refusal
from whatsam_connector.sessions.runner import SessionRunner
from whatsam_connector.supervision import EngineError, EngineRefused, EngineUncertain

INTERNAL = frozenset({"upload"})
"""Methods that take a file of this machine as it is: for this process only."""
PICTURES = frozenset({"set_group_picture", "set_profile_picture", "create_newsletter"})
"""Methods whose argument `picture` (base64) reaches the engine as a file (`path`)."""
PER_SESSION = 16
"""Calls that may wait for one session: its engine works them off one after another."""
IN_ALL = 256
"""Calls that may wait in this worker."""

_GROUP = "@g.us"
_PREFIX = "picture-"
_AWAY = frozenset({"NotConnected", "EngineGone", "UnknownSession"})
"""Codes of engines that mean: ask again when the session is connected."""


class CallEnd(Enum):
    """How a call ends that gives no value; the value is the code that the caller gets."""

    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    BUSY = "BUSY"
    """Too many wait already, or the session was busy until the time limit: certainly not done."""
    NOT_CONNECTED = "NOT_CONNECTED"
    TIMED_OUT = "TIMED_OUT"
    """A look-up that was not answered."""
    UNCERTAIN = "UNCERTAIN"
    """A change that may have been made."""


@dataclass(frozen=True)
class Value:
    """What the engine answered: JSON."""

    value: Any


@dataclass(frozen=True)
class Declined:
    """The engine or WhatsApp refused; nothing was done. `code` is a word of `EngineRefused`."""

    code: str
    message: str


Outcome = Value | Declined | CallEnd | Refusal


class EngineCalls:
    """Takes forwarded look-ups and changes."""

    def __init__(self, holder_of: Callable[[Address], SessionRunner | Refusal], folder: Path) -> None:
        """`holder_of` compares holder, epoch and fence; `folder` takes pictures for as long as a call lasts."""
        self._holder_of = holder_of
        self._folder = folder
        for left in folder.glob(f"{_PREFIX}*"):  # by a boot of this pod that was killed over a call
            left.unlink(missing_ok=True)
        self._waiting: Counter[str] = Counter()

    async def call(self, address: Address, method: str, arguments: dict[str, Any], wait: float) -> Outcome:
        """Carry out a call; give up after `wait` seconds or the method's own limit, whichever comes first."""
        known = METHODS.get(method)
        if known is None or method in INTERNAL:
            return CallEnd.UNKNOWN_METHOD
        runner = self._holder_of(address)
        if isinstance(runner, Refusal):
            return runner
        if self._waiting[runner.uid] >= PER_SESSION or self._waiting.total() >= IN_ALL:
            return CallEnd.BUSY
        with self._counted(runner.uid), _moving_chain(runner, method, arguments) as allowed:
            if not allowed:
                return CallEnd.BUSY
            return await self._carry_out(runner, method, arguments, min(wait, known.timeout_seconds))

    async def _carry_out(
        self, runner: SessionRunner, method: str, arguments: dict[str, Any], timeout: float
    ) -> Outcome:
        try:
            async with self._local(method, arguments) as passed_on:
                return Value(await runner.call(method, passed_on, timeout))
        except EngineRefused as refused:
            return _declined(refused)
        except EngineUncertain:
            return CallEnd.UNCERTAIN
        except EngineError:
            return CallEnd.TIMED_OUT
        except (ValueError, RecursionError):
            return Declined("Invalid", "the arguments cannot be passed on")

    @asynccontextmanager
    async def _local(self, method: str, arguments: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The arguments as the engine takes them: a picture lies in a file for as long as the call lasts."""
        if "path" in arguments:
            raise EngineRefused("Invalid", "a call names no files")
        if method not in PICTURES:
            yield arguments
            return
        picture = await self._picture(arguments.get("picture"))
        passed_on = {name: value for name, value in arguments.items() if name != "picture"}
        try:
            yield {**passed_on, "path": None if picture is None else str(picture)}
        finally:
            if picture is not None:
                await asyncio.to_thread(picture.unlink, missing_ok=True)

    async def _picture(self, encoded: object) -> Path | None:
        if encoded is None:
            return None
        if not isinstance(encoded, str):
            raise EngineRefused("Invalid", "the picture is base64")
        try:
            content = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise EngineRefused("Invalid", "the picture is base64") from None
        return await asyncio.to_thread(self._write, content)

    def _write(self, content: bytes) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=_PREFIX, delete=False) as file:
            file.write(content)
        return Path(file.name)

    @contextmanager
    def _counted(self, uid: str) -> Generator[None]:
        self._waiting[uid] += 1
        try:
            yield
        finally:
            self._waiting[uid] -= 1
            if not self._waiting[uid]:
                del self._waiting[uid]


def _declined(refused: EngineRefused) -> Outcome:
    if refused.code in _AWAY:
        return CallEnd.NOT_CONNECTED
    return CallEnd.BUSY if refused.code == "NotStarted" else Declined(refused.code, refused.message)


@contextmanager
def _moving_chain(runner: SessionRunner, method: str, arguments: dict[str, Any]) -> Generator[bool]:
    """What is a message in truth uses up send credit like one, or has to wait like one."""
    if not _is_message(method, arguments):
        yield True
        return
    with runner.outbox.beside() as allowed:
        yield allowed


def _is_message(method: str, arguments: dict[str, Any]) -> bool:
    """A timer for a person is a message to that person, a question for older history one to the own phone."""
    if method == "set_disappearing":
        return not str(arguments.get("chat", "")).endswith(_GROUP)
    return method == "request_history"
