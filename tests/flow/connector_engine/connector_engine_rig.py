"""Runs real engine processes against a real simulator for the flow tests, and records what they say."""

import asyncio
import os
import select
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from connector_engines import Engine

from bench.engines import Account
from whatsam_connector.content.building import plain_text
from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.fence import boottime
from whatsam_connector.journal import Entry, InboundMessage, Reader
from whatsam_connector.supervision import (
    Connected,
    EngineExit,
    EngineProcess,
    EngineSession,
    OfflineDrained,
    OutgoingMessage,
    Paired,
    PairingRequest,
    QrShown,
)
from whatsam_simulator.client import SimulatorClient

LIMIT_SECONDS = 60.0
"""For conditions that hold within a second on an idle machine; tests share two cores."""

FAR = 3600.0
"""A hard fence that no test reaches unless it wants to."""

Event = TypeVar("Event", bound=EngineEvent)


class Running:
    """One engine process and everything it has said."""

    def __init__(self) -> None:
        self.events: list[EngineEvent] = []
        self._more = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.process: EngineProcess

    def on_event(self, event: EngineEvent) -> None:
        self.events.append(event)
        task = asyncio.get_running_loop().create_task(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._more:
            self._more.notify_all()

    async def event(self, kind: type[Event], uid: str | None = None, nth: int = 1) -> Event:
        """The nth event of a kind (of a session), waiting for it if need be."""

        def matching() -> list[Event]:
            return [event for event in self.events if isinstance(event, kind) and uid in (None, event.uid)]

        async with self._more:
            try:
                await asyncio.wait_for(self._more.wait_for(lambda: len(matching()) >= nth), LIMIT_SECONDS)
            except TimeoutError:
                kinds = [type(event).__name__ for event in self.events]
                raise AssertionError(f"no {kind.__name__} no. {nth} in time; saw {kinds}") from None
        return matching()[nth - 1]

    async def exit(self) -> EngineExit:
        """The end of the process, waiting for it if need be."""
        return await asyncio.wait_for(self.process.exited, LIMIT_SECONDS)

    def has(self, kind: type[EngineEvent]) -> bool:
        return any(isinstance(event, kind) for event in self.events)


class Rig:
    """Makes accounts and engines; ends every process at the end of the test."""

    def __init__(
        self, simulator: SimulatorClient, engine: Engine, environment: Mapping[str, str], folder: Path
    ) -> None:
        self.simulator = simulator
        self.engine = engine
        self.environment = environment
        self.folder = folder
        self.run_dir = folder / "run"
        self._running: list[Running] = []

    def account(self, number: str, *, folder: str | None = None) -> Account:
        place = self.folder / (folder or number)
        place.mkdir()
        return Account(number, place)

    def contact(self, number: str) -> str:
        """Somebody on WhatsApp with this number."""
        self.simulator.contact(number)
        return number

    async def spawn(
        self,
        *sessions: EngineSession,
        deadline_in: float = FAR,
        environment: Mapping[str, str] | None = None,
        engine: Engine | None = None,
    ) -> Running:
        """Start sessions in an engine, the rig's own unless another is named."""
        running = Running()
        running.process = await EngineProcess.spawn(
            sessions,
            environment=self.environment if environment is None else environment,
            run_dir=self.run_dir,
            deadline=boottime() + deadline_in,
            on_event=running.on_event,
            program=(engine or self.engine).program,
        )
        self._running.append(running)
        return running

    async def pair(self, account: Account) -> Running:
        """Pair by QR code and wait until the session is connected."""
        running = await self.spawn(account.session(PairingRequest("QR")))
        shown = await running.event(QrShown)
        await asyncio.to_thread(self.simulator.scan, account.number, shown.code)
        account.jid = (await running.event(Paired)).jid
        await running.event(OfflineDrained)
        return running

    async def resume(self, account: Account) -> Running:
        """Start the paired session and wait until it is connected."""
        running = await self.spawn(account.session())
        await running.event(Connected)
        await running.event(OfflineDrained)
        return running

    async def say(self, sender: str, to: str, text: str) -> str:
        return await asyncio.to_thread(self.simulator.say, sender, to, text)

    async def texts(self, number: str, count: int) -> list[str]:
        """What a contact can read, once there are `count` texts."""

        async def enough() -> list[str]:
            while len(texts := await asyncio.to_thread(self.simulator.texts, number)) < count:  # noqa: ASYNC110 - no push
                await asyncio.sleep(0.02)
            return texts

        return await asyncio.wait_for(enough(), LIMIT_SECONDS)

    async def close(self) -> None:
        for running in self._running:
            running.process.kill()
        for running in self._running:
            await running.process.exited


def text(to: str, content: str) -> OutgoingMessage:
    return OutgoingMessage("row", to, plain_text(content))


async def journal_entries(reader: Reader, count: int) -> list[Entry]:
    """The next `count` message entries of a journal, waiting for them if need be."""
    found: list[Entry] = []

    async def enough() -> None:
        while len(found) < count:
            found.extend(entry for entry in reader if isinstance(entry.record, InboundMessage))
            await asyncio.sleep(0.02)

    await asyncio.wait_for(enough(), LIMIT_SECONDS)
    return found


def message_of(entry: Entry) -> InboundMessage:
    assert isinstance(entry.record, InboundMessage)
    return entry.record


def freeze(pid: int) -> None:
    """Stops a child with SIGSTOP and returns when all of its threads stand still (or it has ended): one thread takes
    the signal, and the others run on until that one was scheduled, which a busy machine delays (wait(2), WUNTRACED)."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def dies(descriptor: int) -> bool:
    """Whether the process behind a pidfd dies within the limit."""
    ended, _, _ = select.select([descriptor], [], [], LIMIT_SECONDS)
    return bool(ended)
