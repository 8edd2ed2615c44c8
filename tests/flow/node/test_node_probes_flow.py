"""Probes against real sockets and processes, and who may call the kubelet API."""

import asyncio
import datetime
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from node_rig import eventually

from whatsam_local.node.kubelet_api import serve
from whatsam_local.node.kubelet_tls import make_certificate
from whatsam_local.node.options import NodeOptions
from whatsam_local.node.probe_counter import Verdict
from whatsam_local.node.probes import Command, Prober, Target, run

ENV = dict(os.environ)


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    made = Prober()
    yield made
    await made.close()


@pytest.fixture
async def server() -> AsyncIterator[int]:
    """A web server on 127.0.0.1; its port."""

    async def status(request: web.Request) -> web.Response:
        if request.headers.get("X-Wanted") != "yes":
            return web.Response(status=400)
        return web.Response(status=int(request.match_info["status"]))

    over = asyncio.Event()

    async def never(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/status/{status}", status), web.get("/never", never)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    over.set()
    await runner.cleanup()


def target(port: int = 0) -> Target:
    container = {"name": "c", "ports": [{"name": "http", "containerPort": port}]}
    return Target(container, "127.0.0.1", lambda argv: Command(argv, ENV))


@pytest.mark.parametrize(("status", "ok"), [(200, True), (204, True), (400, False), (503, False)])
async def test_http_probes(prober: Prober, server: int, status: int, ok: bool) -> None:
    probe = {
        "httpGet": {"path": f"status/{status}", "port": "http", "httpHeaders": [{"name": "X-Wanted", "value": "yes"}]}
    }
    result = await prober.attempt(probe, target(server), 10)
    assert result.ok is ok
    assert ok or str(status) in result.message


async def test_what_does_not_answer_is_a_failure(prober: Prober, server: int) -> None:
    slow = await prober.attempt({"httpGet": {"path": "/never", "port": server}}, target(), 0.05)
    assert (slow.ok, "deadline exceeded" in slow.message) == (False, True)
    closed = await prober.attempt({"tcpSocket": {"port": 1}}, target(), 10)
    assert not closed.ok
    nameless = await prober.attempt({"tcpSocket": {"port": "absent"}}, target(), 10)
    assert "no port named 'absent'" in nameless.message
    unknown = await prober.attempt({"grpc": {"port": 1}}, target(), 10)
    assert "supports" in unknown.message


async def test_tcp_and_exec_and_sleep(prober: Prober, server: int) -> None:
    assert (await prober.attempt({"tcpSocket": {"port": "http"}}, target(server), 10)).ok
    assert (await prober.attempt({"sleep": {"seconds": 0}}, target(), 10)).ok
    assert (await prober.attempt({"exec": {"command": ["true"]}}, target(), 10)).ok
    failed = await prober.attempt({"exec": {"command": ["sh", "-c", "echo why; exit 1"]}}, target(), 10)
    assert (failed.ok, failed.message) == (False, "why\n")
    missing = await prober.attempt({"exec": {"command": ["/no/such"]}}, target(), 10)
    assert not missing.ok


async def test_a_timeout_ends_the_whole_process_group(prober: Prober, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait"
    probing = asyncio.create_task(run(Command(["sh", "-c", script], ENV)))
    await asyncio.to_thread(eventually, pid_file.exists)
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
    stat = Path(f"/proc/{pid_file.read_text().strip()}/stat")

    def ended() -> bool:
        return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"

    await asyncio.to_thread(eventually, ended)


async def test_thresholds_are_reported_again_and_again(prober: Prober) -> None:
    verdicts: list[Verdict] = []
    twice = asyncio.Event()

    def act(verdict: Verdict, _message: str) -> None:
        verdicts.append(verdict)
        if len(verdicts) == 2:
            twice.set()

    probe = {"exec": {"command": ["false"]}, "periodSeconds": 0, "failureThreshold": 2}
    probing = asyncio.create_task(prober.repeat(probe, target(), act))
    async with asyncio.timeout(20):
        await twice.wait()
    probing.cancel()
    assert verdicts == [Verdict.UNHEALTHY, Verdict.UNHEALTHY]


def client(folder: Path, name: str) -> ssl.SSLContext:
    """A client with a certificate of its own; its certificate is also the authority that vouches for it."""
    certificate, key = make_certificate(name, "127.0.0.1", datetime.datetime.now(datetime.UTC))
    (folder / f"{name}.crt").write_bytes(certificate)
    (folder / f"{name}.key").write_bytes(key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return tls


async def test_only_the_api_server_may_call_the_node(tmp_path: Path) -> None:
    """Trap 12: the authority of the kubelet's clients vouches for the API server alone."""
    friend, stranger = client(tmp_path, "friend"), client(tmp_path, "stranger")
    anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anonymous.check_hostname = False
    anonymous.verify_mode = ssl.CERT_NONE
    options: Any = SimpleNamespace(state=tmp_path, name="n", ip="127.0.0.1", port=0, client_ca=tmp_path / "friend.crt")
    runner = await serve(cast(Any, SimpleNamespace(pods={})), cast(NodeOptions, options))
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/healthz", ssl=friend) as response:
                assert await response.text() == "ok"
            async with session.get(f"{url}/containerLogs/ns/none/c", ssl=friend) as response:
                assert response.status == 404
            for tls in (stranger, anonymous):
                with pytest.raises(aiohttp.ClientError):
                    await session.get(f"{url}/healthz", ssl=tls)
    finally:
        await runner.cleanup()
    assert (tmp_path / "kubelet.key").stat().st_mode & 0o077 == 0
