"""kubelet's HTTPS endpoint, as far as `kubectl logs`, `kubectl exec` and metrics need it. Called by the API server."""

import asyncio
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from whatsam_local.node.container_worker import ContainerWorker
from whatsam_local.node.kubelet_exec import execute
from whatsam_local.node.kubelet_tls import server_context
from whatsam_local.node.options import NodeOptions
from whatsam_local.node.processes import usage_snapshot

if TYPE_CHECKING:
    from whatsam_local.node.node import Node

_CHUNK = 1 << 16
_FOLLOW_SECONDS = 0.1
_UNSUPPORTED = ("timestamps", "sinceSeconds", "sinceTime")
"""Logs are plain files, without a time per line."""


class KubeletApi:
    """The handlers."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def routes(self) -> list[web.RouteDef]:
        """All routes."""
        return [
            web.get("/containerLogs/{namespace}/{pod}/{container}", self.logs),
            web.get("/exec/{namespace}/{pod}/{container}", self.exec),
            web.get("/metrics/resource", self.metrics),
            web.get("/healthz", self.healthz),
        ]

    def _find(self, request: web.Request) -> ContainerWorker:
        wanted = request.match_info["namespace"], request.match_info["pod"]
        for pod in reversed(self._node.pods.values()):  # the youngest of a name first
            if (pod.context.namespace, pod.context.name) == wanted:
                for container in [*pod.containers, *pod.init_containers]:
                    if container.name == request.match_info["container"]:
                        return container
        raise web.HTTPNotFound(text="container not found\n")

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """A container's log: whole, its last lines, or as it grows."""
        container = self._find(request)
        query = request.query
        for name in _UNSUPPORTED:
            if query.get(name) not in (None, "", "false"):
                raise web.HTTPBadRequest(text=f"{name} is not supported by the process node\n")
        name = container.log_file(previous=query.get("previous") == "true")
        if name is None:
            raise web.HTTPBadRequest(text=f"container {container.name} has no such log\n")
        tail = int(query["tailLines"]) if query.get("tailLines") else None
        left = int(query["limitBytes"]) if query.get("limitBytes") else None
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        path = Path(name)
        follow = query.get("follow") == "true"
        with path.open("rb") as file:  # noqa: ASYNC230 - a local file, read in small pieces
            if tail is not None:
                data = b"".join(deque(file, maxlen=tail)) if tail else file.read()[:0]
                await response.write(data if left is None else data[:left])
                left = None if left is None else max(0, left - len(data))
            while left is None or left > 0:
                growing = follow and container.running and path.stem == str(container.attempt)
                if data := file.read(_CHUNK if left is None else min(_CHUNK, left)):
                    left = None if left is None else left - len(data)
                    await response.write(data)
                elif growing:  # asked before the read: what came with the end is read once more
                    await asyncio.sleep(_FOLLOW_SECONDS)
                else:
                    break
        await response.write_eof()
        return response

    async def exec(self, request: web.Request) -> web.WebSocketResponse:
        """Run a command in a container, its streams over a WebSocket."""
        container = self._find(request)
        if not container.running:
            raise web.HTTPConflict(text=f"container {container.name} is not running\n")
        command = container.inside(request.query.getall("command"))
        return await execute(request, command, terminal=request.query.get("tty") in ("1", "true"))

    async def metrics(self, _request: web.Request) -> web.Response:
        """CPU and memory of every running container."""
        usage = usage_snapshot()
        lines: list[str] = []
        for pod in self._node.pods.values():
            for container in pod.containers:
                if container.pid is not None:
                    cpu, memory = usage(container.pid)
                    where = f'namespace="{pod.context.namespace}",pod="{pod.context.name}"'
                    labels = f'{{container="{container.name}",{where}}}'
                    lines.append(f"container_cpu_usage_seconds_total{labels} {cpu}")
                    lines.append(f"container_memory_working_set_bytes{labels} {memory}")
        return web.Response(text="\n".join(sorted(lines)) + "\n")

    async def healthz(self, _request: web.Request) -> web.Response:
        """The node answers."""
        return web.Response(text="ok")


async def serve(node: "Node", options: NodeOptions) -> web.AppRunner:
    """Start to listen."""
    tls = server_context(options.state, options.name, options.ip, options.client_ca)
    app = web.Application()
    app.add_routes(KubeletApi(node).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, options.ip, options.port, ssl_context=tls).start()
    return runner
