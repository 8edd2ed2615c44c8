"""A paired session whose journal goes through the real inbox into a real PostgreSQL, its media into a real store."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
from connector_engine_rig import LIMIT_SECONDS, Account, Rig, Running

from whatsam_connector.messages.inbound import Wants
from whatsam_connector.messages.inbox import Inbox
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.messages.media.downloader import Downloader
from whatsam_connector.messages.media.work import Route
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.media_host import WhatsAppMediaHost
from whatsam_connector.storage.media_work import MediaWork
from whatsam_connector.storage.messages import MessageTable
from whatsam_connector.supervision import Connected
from whatsam_core.message_ids import message_at, new_message_id
from whatsam_core.storage.objects import ObjectStore

TENANT = "t-1"

Found = TypeVar("Found")


class InboxRig:
    """One session. `own` is the number behind it, `ada` a contact."""

    def __init__(
        self, engines: Rig, sql: asyncpg.Connection, database: Database, objects: ObjectStore, own: str, ada: str
    ) -> None:
        self.engines = engines
        self.simulator = engines.simulator
        self.sql = sql
        self.objects = objects
        self.own = own
        self.ada = engines.contact(ada)
        self.session = f"whatsam/{uuid4().hex[:8]}"
        self.counts: dict[str, int] = {}
        self.account: Account
        self.running: Running
        self.inbox: Inbox
        self._database = database
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, wants: Wants | None = None) -> None:
        """Pair, and let inbox and downloader run."""
        self.account = replace(self.engines.account(self.own), uid=str(uuid4()))
        self.running = await self.engines.pair(self.account)
        connected = await self.running.event(Connected)
        self.open_inbox(wants or Wants())
        self.inbox.named(connected.jid, connected.lid)
        self.inbox.link(self.running.process)
        self._tasks += [asyncio.create_task(self.inbox.run()), asyncio.create_task(self._downloader().run())]

    def open_inbox(self, wants: Wants) -> None:
        """An inbox on the account's journal, as a boot makes it."""
        owner = InboxOwner(self.session, TENANT, self.account.uid, wants=wants)
        table = MessageTable(self._database)
        self.inbox = Inbox(owner, self.account.journal, table, UnknownReceipts(), count=self._count)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def do(self, action: Callable[..., Found], *arguments: Any, **named: Any) -> Found:
        """Let somebody in the simulator do something."""
        return await asyncio.to_thread(lambda: action(*arguments, **named))

    async def until(self, find: Callable[[], Awaitable[Found | None]]) -> Found:
        """What `find` finds, as soon as it finds something."""
        found: Found | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_SECONDS):
                while not (found := await find()):
                    self.inbox.wake()
                    await asyncio.sleep(0.03)  # another process works; nobody tells us
        assert found, f"not in time; counted {self.counts}; rows {await self.summary()}"
        return found

    async def summary(self) -> list[tuple[Any, ...]]:
        rows = await self.sql.fetch(
            "select direction, type, status, body from messages where session = $1 order by seq", self.session
        )
        return [tuple(row) for row in rows]

    async def row(self, wa_id: str, where: str = "true", *values: Any) -> dict[str, Any]:
        """The message with this id, once it is as it should be."""
        query = f"select * from messages where session = $1 and wa_id = $2 and ({where})"  # noqa: S608 - a test's own words

        async def find() -> dict[str, Any] | None:
            found = await self.sql.fetchrow(query, self.session, wa_id, *values)
            return None if found is None else self._plain(found)

        return await self.until(find)

    async def rows(self, query: str, *values: Any, count: int = 1) -> list[dict[str, Any]]:
        """What a query with the session as $1 finds, once there is as much."""

        async def find() -> list[dict[str, Any]] | None:
            found = await self.sql.fetch(query, self.session, *values)
            return [self._plain(row) for row in found] if len(found) >= count else None

        return await self.until(find)

    async def sent(self, wa_id: str, to: str, kind: str = "text", body: dict[str, Any] | None = None) -> None:
        """A row of the outbox that WhatsApp has taken under this id."""
        now = datetime.now(UTC)
        message = new_message_id(now)
        await self.sql.execute(
            "insert into messages (id, at, session, tenant, direction, chat, contact, type, body, status) "
            "values ($1, $2, $3, $4, 'out', $5, $5, $6, $7, 'sending')",
            message, message_at(now), self.session, TENANT, to, kind, json.dumps(body or {"text": "x"}),
        )  # fmt: skip
        await self.sql.execute(
            "update messages set status = 'sent', wa_id = $3 where id = $1 and at = $2", message, message_at(now), wa_id
        )

    def _downloader(self) -> Downloader:
        return Downloader(
            MediaWork(self._database),
            WhatsAppMediaHost(self.engines.environment),
            self.objects,
            self.account.folder / "downloads",
            boot="boot1",
            installation_id="whatsam",
            now=lambda: datetime.now(UTC),
            routes=lambda: {self.session: Route(None, 1024 * 1024)},
            chance=lambda: 0.0,
        )

    def _count(self, kind: str, number: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + number

    @staticmethod
    def _plain(row: asyncpg.Record) -> dict[str, Any]:
        found = dict(row)
        return found | {name: json.loads(found[name]) for name in ("body", "media") if found.get(name) is not None}
