"""The whole API in this process: real PostgreSQL, a cluster in memory, a connector played by hand."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx
from api_cluster import FakeCluster
from api_connector import FakeConnector
from fastapi import FastAPI

from whatsam_api.app import create_app
from whatsam_api.context import ProcessContext, build
from whatsam_api.settings import ApiSettings
from whatsam_core.storage.cluster import Cluster

LIMIT = 15.0
"""Seconds that anything may take to come true."""
PASSWORD = "correct horse battery"
TOKEN = "a-projected-service-account-token"


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.01)


@dataclass
class Tenant:
    """A registered person and his client."""

    client: httpx.AsyncClient
    tenant: str
    email: str
    refresh: str


@dataclass
class Instance:
    """One replica."""

    app: FastAPI
    context: ProcessContext
    http: httpx.AsyncClient

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers, timeout=30)

    async def register(self, email: str | None = None) -> Tenant:
        email = email or f"user-{secrets.token_hex(4)}@tenants.org"
        body = {"name": "Somebody", "email": email, "password": PASSWORD}
        answer = await self.http.post("/api/v1/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        data = answer.json()["data"]
        client = self.client(authorization=f"Bearer {data['token']}")
        return Tenant(client, data["user"]["tenant"], email, data["refreshToken"])


class Rig:
    """Replicas over one database, one cluster and one connector."""

    def __init__(self, url: str, cluster: FakeCluster, connector: FakeConnector, token_file: Path) -> None:
        self.url = url
        self.cluster = cluster
        self.connector = connector
        self.token_file = token_file
        self._stack = AsyncExitStack()

    async def replica(self, **settings: Any) -> Instance:
        """One more API process."""
        return await self._stack.enter_async_context(self._running(settings))

    async def close(self) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def _running(self, wanted: dict[str, Any]) -> AsyncGenerator[Instance]:
        values: dict[str, Any] = {
            "namespace": "test",
            "database_url": self.url,
            "jwt_secret": "s" * 40,
            "connector_token_file": self.token_file,
            "send_wait_seconds": 0.3,
            "anonymous_limit": "100000/minute",
            "login_limit": "100000/minute",
            "user_limit": "100000/minute",
            "session_operation_limit": "100000/minute",
            **wanted,
        }
        context = await build(ApiSettings.model_validate(values), cast("Cluster", self.cluster))
        app = create_app(lambda _: nullcontext())
        app.state.context = context
        works = (context.session_store.follow(), context.cleanup.run(), context.runner.run())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            if not self.cluster.away:
                await asyncio.wait_for(context.session_store.synced.wait(), LIMIT)
            instance = Instance(app, context, httpx.AsyncClient())
            async with instance.client() as client:
                instance.http = client
                yield instance
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await context.connectors.close()
            await context.database.close()
            await context.reading.close()

    async def rows(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """What is in the database."""
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def raise_tier(self, tenant: Tenant, tier: str) -> None:
        """What an administrator does."""
        await self.rows("update users set tier = $1 where tenant = $2", tier, tenant.tenant)

    async def session(self, tenant: Tenant, name: str | None = None, **wish: Any) -> tuple[str, str]:
        """A new session: its id and its first key."""
        name = name or f"s-{secrets.token_hex(4)}"
        # `connect` waits for a QR code; tests that do not care get a session that is started afterwards.
        body = {"name": "Phone", "sessionId": name, "connect": False, **wish}
        answer = await tenant.client.post("/api/v1/sessions", json=body)
        assert answer.status_code == 201, answer.text
        return name, answer.json()["data"]["apiKey"]

    async def paired(self, tenant: Tenant, instance: Instance, name: str | None = None) -> tuple[str, str]:
        """A session that is connected and held by the connector."""
        name, key = await self.session(tenant, name)
        assert (await tenant.client.post(f"/api/v1/sessions/{name}/connect")).status_code == 200
        self.hold(name)
        await eventually(lambda: _connected(instance, name), "the session is connected")
        return name, key

    def hold(self, name: str) -> None:
        """The operator assigns the session to the connector, and it connects."""
        assignment = {
            "worker": "w-1",
            "podUID": "pod-1",
            "bootId": "boot-1",
            "endpoint": self.connector.endpoint,
            "since": datetime.now(UTC).isoformat(),
        }
        phone = "491511000001"
        self.cluster.set_status(
            name, phase="Connected", epoch=7, assignment=assignment, jid=f"{phone}:1@s.whatsapp.net", phoneNumber=phone
        )


def _connected(instance: Instance, name: str) -> bool:
    session = instance.context.session_store.cached(name)
    return session is not None and session.status.jid is not None
