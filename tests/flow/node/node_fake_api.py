"""A small API server in this process, for the node's side of the conversation. For the tests in this folder."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from whatsam_local.node.api import Api

LIMIT = 20.0
"""Seconds any single thing may take before a test gives up."""


@dataclass
class Call:
    """One request that came in."""

    method: str
    path: str
    body: Any
    query: dict[str, str]


@dataclass
class FakeApi:
    """Answers from a list of scripted answers first, then from `respond`; remembers every call."""

    respond: Callable[[Call], tuple[int, Any]] = lambda _call: (200, {})
    calls: list[Call] = field(default_factory=list[Call])
    watch_lines: "asyncio.Queue[dict[str, Any] | None]" = field(default_factory=asyncio.Queue)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        text = await request.text()
        call = Call(request.method, request.path, json.loads(text) if text else None, dict(request.query))
        self.calls.append(call)
        self._bell.set()
        if call.query.get("watch"):
            response = web.StreamResponse()
            await response.prepare(request)
            while (line := await self.watch_lines.get()) is not None:
                data = json.dumps(line).encode() + b"\n"
                await response.write(data[: len(data) // 2])  # in two pieces: a reader must not rely on whole lines
                await response.write(data[len(data) // 2 :])
            return response
        status, body = self.respond(call)
        return web.json_response(body, status=status)

    async def until(self, condition: Callable[[list[Call]], Any]) -> Any:
        """Wait until the calls so far fulfil a condition."""
        async with asyncio.timeout(LIMIT):
            while not (value := condition(self.calls)):
                self._bell.clear()
                await self._bell.wait()
            return value


@asynccontextmanager
async def serving(fake: FakeApi, folder: Path) -> AsyncIterator[Api]:
    """A client of a running fake."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    kubeconfig = folder / "kubeconfig"
    config = {"clusters": [{"cluster": {"server": f"http://127.0.0.1:{port}"}}], "users": [{"user": {"token": "t"}}]}
    kubeconfig.write_text(json.dumps(config))
    api = Api(kubeconfig)
    try:
        yield api
    finally:
        await api.close()
        for _ in fake.calls:  # end every watch that still waits for a line
            fake.watch_lines.put_nowait(None)
        await runner.cleanup()
