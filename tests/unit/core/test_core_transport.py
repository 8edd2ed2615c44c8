"""The transport against a small HTTP server that misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from kubernetes.aio.client import Configuration

from whatsam_core.storage.cluster import SESSIONS, Cluster, ClusterError, Invalid, Unreachable
from whatsam_core.storage.transport import Transport

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One server whose answer a test chooses."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.seen: list[web.Request] = []
        self.bodies: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        self.bodies.append(await request.text())
        assert self.handler is not None
        return await self.handler(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def cluster(server: Server) -> AsyncIterator[Cluster]:
    configuration = Configuration(host=server.url)
    configuration.api_key["BearerToken"] = "Bearer abc"
    async with Cluster(Transport(configuration, user_agent="whatsam-test")) as made:
        yield made


def answers(status: int, text: str, **headers: str) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return handler


async def hangs(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_patch_is_a_merge_patch_with_the_callers_identity(server: Server, cluster: Cluster) -> None:
    server.handler = answers(200, '{"ok": true}')
    patch = {"metadata": {"resourceVersion": "7"}, "status": {"pairing": None}}
    assert await cluster.merge_patch(SESSIONS, "n", "a", patch, subresource="status") == {"ok": True}
    request = server.seen[0]
    assert (request.method, request.path) == (
        "PATCH",
        "/apis/whatsam.io/v1alpha1/namespaces/n/whatsappsessions/a/status",
    )
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.headers["Authorization"] == "Bearer abc"
    assert request.headers["User-Agent"] == "whatsam-test"
    assert json.loads(server.bodies[0]) == patch


async def test_a_deletion_carries_its_preconditions(server: Server, cluster: Cluster) -> None:
    server.handler = answers(200, "{}")
    await cluster.delete(SESSIONS, "n", "a", uid="u", resource_version="7", grace_seconds=0)
    options = json.loads(server.bodies[0])
    assert options["preconditions"] == {"uid": "u", "resourceVersion": "7"}
    assert options["gracePeriodSeconds"] == 0


async def test_a_server_that_does_not_answer_is_unreachable_in_time(server: Server, cluster: Cluster) -> None:
    server.handler = hangs
    with pytest.raises(Unreachable):
        await cluster.get(SESSIONS, "n", "a", timeout=0.05)


async def test_nobody_listens(cluster: Cluster) -> None:
    async with Cluster(Transport(Configuration(host="http://127.0.0.1:1"))) as away:
        with pytest.raises(Unreachable):
            await away.get(SESSIONS, "n", "a")


async def test_half_an_answer_is_unreachable(server: Server, cluster: Cluster) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"kind":')
        assert request.transport is not None
        request.transport.close()
        return response

    server.handler = half
    with pytest.raises(Unreachable):
        await cluster.get(SESSIONS, "n", "a")


async def test_a_page_of_a_proxy_is_unreachable(server: Server, cluster: Cluster) -> None:
    server.handler = answers(200, "<html>welcome</html>")
    with pytest.raises(Unreachable, match="not JSON"):
        await cluster.get(SESSIONS, "n", "a")


async def test_refusals_keep_their_words_and_their_wait(server: Server, cluster: Cluster) -> None:
    server.handler = answers(422, '{"message": "tenant is immutable"}')
    with pytest.raises(Invalid) as refused:
        await cluster.get(SESSIONS, "n", "a")
    assert "tenant is immutable" in refused.value.message
    server.handler = answers(429, "{}", **{"Retry-After": "3"})
    with pytest.raises(Unreachable) as busy:
        await cluster.get(SESSIONS, "n", "a")
    assert busy.value.retry_after == 3.0


async def test_errors_never_show_the_token(server: Server, cluster: Cluster) -> None:
    server.handler = answers(500, "{}")
    with pytest.raises(ClusterError) as refused:
        await cluster.get(SESSIONS, "n", "a")
    assert "abc" not in repr(refused.value)


async def test_a_watch_that_falls_silent_is_noticed(server: Server, cluster: Cluster) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "BOOKMARK"}\n')
        return await hangs(request)

    server.handler = silent
    async with cluster._transport.stream("/x", query={}, timeout=5.0) as lines:
        assert await lines.next(5.0) == {"type": "BOOKMARK"}
        with pytest.raises(Unreachable, match="silent"):
            await lines.next(0.05)


async def test_a_watch_whose_head_does_not_come_is_noticed(server: Server, cluster: Cluster) -> None:
    server.handler = hangs
    with pytest.raises(Unreachable):
        async with cluster._transport.stream("/x", query={}, timeout=0.05):
            pass


async def test_a_watch_that_is_cut_within_an_event_is_unreachable(server: Server, cluster: Cluster) -> None:
    server.handler = answers(200, '{"type": "ADDED", "obj')
    async with cluster._transport.stream("/x", query={}, timeout=5.0) as lines:
        with pytest.raises(Unreachable, match="cut within an event"):
            await lines.next(5.0)


async def test_a_token_file_that_rotates_is_read_again(server: Server, tmp_path: Path) -> None:
    import datetime

    from kubernetes.aio.config.incluster_config import InClusterConfigLoader

    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first")
    authority.write_text("unused")
    loader = InClusterConfigLoader(
        str(token), str(authority), environ={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    )
    loader._token_refresh_period = datetime.timedelta(0)
    configuration = Configuration()
    loader.load_and_set(configuration)
    loader.host, loader.ssl_ca_cert = server.url, None
    configuration.host, configuration.ssl_ca_cert = server.url, None
    server.handler = answers(200, "{}")
    async with Cluster(Transport(configuration)) as cluster:
        await cluster.get(SESSIONS, "n", "a")
        token.write_text("second")
        await cluster.get(SESSIONS, "n", "a")
        token.unlink()
        with pytest.raises(Unreachable):
            await cluster.get(SESSIONS, "n", "a")
        token.write_text("third")
        await cluster.get(SESSIONS, "n", "a")
    assert [seen.headers["Authorization"] for seen in server.seen] == ["bearer first", "bearer second", "bearer third"]


async def test_kubeconfig_is_read_when_connecting(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kubeconfig"
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"token": "from-file"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(yaml.safe_dump(document))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(file))
    server.handler = answers(200, "{}")
    async with await Cluster.connect() as cluster:
        await cluster.get(SESSIONS, "n", "a")
    assert server.seen[0].headers["Authorization"] == "Bearer from-file"


async def test_no_way_to_a_cluster_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(Unreachable, match="set KUBECONFIG or run in a pod"):
        await Cluster.connect()
