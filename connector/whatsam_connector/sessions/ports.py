"""What a session's runner needs from the rest of the connector, as protocols. `factory` gives the real ones."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from whatsam_connector.messages.inbound import Wants
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.state import Prepared, Replicated, SessionIdentity
from whatsam_connector.supervision import (
    Capabilities,
    EngineExit,
    EngineSession,
    MemberEvent,
    OutgoingMessage,
    SendResult,
)
from whatsam_core.resources.session import Handover, Pacing, SecretKeyRef, UncertainSends, WhatsAppSession


class Engine(Protocol):
    """The engine of one session, which it may share with others."""

    @property
    def pid(self) -> int: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def exited(self) -> "asyncio.Future[EngineExit]": ...
    async def arm(self, deadline: float) -> None: ...
    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult: ...
    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float) -> Any: ...
    async def disconnect(self, uid: str) -> None: ...
    async def logout(self, uid: str, timeout: float) -> None: ...
    async def ping(self, timeout: float) -> None: ...
    async def stop(self, grace: float) -> EngineExit: ...
    def kill(self) -> None: ...


SpawnEngine = Callable[[EngineSession, Callable[[MemberEvent], None]], Awaitable[Engine]]
"""Start an engine for one session under the present fence deadline. Raises `EngineStartFailed` or `Fenced`."""


class Announce(Protocol):
    """Tell who starts engines that this session will soon ask for one that it can share, or that it will not."""

    def __call__(self, uid: str, *, comes: bool) -> None: ...


class Proxies(Protocol):
    """Where sessions' proxies come from."""

    async def usable(self, reference: SecretKeyRef) -> str:
        """URL of the proxy that the Secret names, after it has opened a way to WhatsApp. Raises `ProxyUnusable`."""
        ...


Tell = Callable[[WhatsAppSession, str, str], Coroutine[Any, Any, None]]
"""Tells people something about a session in a Warning Event: its reason and its message. One that is lost is logged."""


class AuthState(Protocol):
    """The state keeper, as a runner uses it."""

    async def prepare(
        self, identity: SessionIdentity, *, epoch: int, boot: str, jid: str | None, handover: Handover | None
    ) -> Prepared: ...
    async def track(self, uid: str) -> None: ...
    async def flush(self, uid: str, timeout: float) -> Replicated: ...
    async def release(self, uid: str, timeout: float) -> Handover: ...
    async def forget(self, uid: str) -> None: ...


class SessionInbox(Protocol):
    """The journal of one session, on its way to the database."""

    @property
    def owner(self) -> InboxOwner: ...
    @property
    def behind(self) -> bool: ...
    def want(self, wants: Wants) -> None: ...
    def named(self, *own: str) -> None: ...
    def link(self, engine: Engine | None) -> None: ...
    def wake(self) -> None: ...
    def wake_soon(self) -> None: ...
    async def run(self) -> None: ...
    async def drain(self, timeout: float) -> bool: ...


class SessionOutbox(Protocol):
    """The outgoing messages of one session."""

    def link(self, engine: Engine) -> None: ...
    def unlink(self) -> None: ...
    def want(self, pacing: Pacing, uncertain: UncertainSends) -> None: ...
    def wake(self, message: UUID | None = None) -> None: ...
    def replicated(self, covered: float) -> None: ...
    def inbound(self, at: float) -> None: ...
    def beside(self) -> AbstractContextManager[bool]: ...
    async def quiet(self, timeout: float) -> bool: ...
    async def run(self) -> None: ...


class Mailroom(Protocol):
    """Makes the two message pumps of a session."""

    def open(self, owner: InboxOwner, journal: Path, epoch: int) -> tuple[SessionInbox, SessionOutbox]: ...


@dataclass(frozen=True)
class SessionPlaces:
    """Where a session's files are on this pod."""

    folder: Path

    @property
    def database(self) -> Path:
        """whatsmeow's SQLite file."""
        return self.folder / "session.db"

    @property
    def journal(self) -> Path:
        """What the engine has received and the database does not have yet."""
        return self.folder / "journal"

    @property
    def owner(self) -> Path:
        """Whose journal it is, for the next boot of this pod."""
        return self.folder / "owner.json"
