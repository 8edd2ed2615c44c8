"""The HTTPS site that stands for web.whatsapp.com and the media hosts: websocket, uploads, downloads."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from aiohttp import web

from whatsam_simulator.server.connection import Connection, ServerIdentity
from whatsam_simulator.server.context import Context
from whatsam_simulator.wire.node import Node
from whatsam_simulator.world.records import MediaBehaviour

MAX_FRAME = 1 << 24
MAX_UPLOAD = 1 << 27
MEDIA_PATH = "/v/t62.7118-24/"
SILENCE_CHECK_SECONDS = 1
"""How often a host that never answers looks whether its client has left."""
PICTURE_PATH = "/v/t61.24694-24/"
MEDIA_HOST = "https://mmg.whatsapp.net"


def media_path(token: str) -> str:
    """The direct path of an uploaded file; clients append to a path that already holds a query."""
    return f"{MEDIA_PATH}{token}?ccb=11-4&oh=x&oe=y"


class Site:
    """Builds the aiohttp application."""

    def __init__(
        self,
        context: Context,
        identity: ServerIdentity,
        begin: Callable[[Connection, bytes], None],
        handle: Callable[[Connection, Node], None],
        gone: Callable[[Connection], None],
    ) -> None:
        self._context = context
        self._identity = identity
        self._begin, self._handle, self._gone = begin, handle, gone
        self._numbers = itertools.count(1)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_UPLOAD)
        application.router.add_get("/ws/chat", self._websocket)
        application.router.add_post("/{kind}/{media}/{token}", self._upload)
        application.router.add_delete("/{kind}/{media}/{token}", self._forget)
        application.router.add_get(MEDIA_PATH + "{token}", self._download)
        application.router.add_get(PICTURE_PATH + "{name}", self._picture)
        return application

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        faults = self._context.faults
        await asyncio.sleep(faults.websocket_delay_seconds)
        if faults.websocket_status:
            return web.Response(status=faults.websocket_status)
        websocket = web.WebSocketResponse(max_msg_size=MAX_FRAME, compress=False)
        await websocket.prepare(request)
        name = f"c{next(self._numbers)}"
        connection = Connection(name, self._context, self._identity, websocket, request.transport)
        try:
            await connection.run(self._begin, self._handle)
        finally:
            self._gone(connection)
        return websocket

    async def _upload(self, request: web.Request) -> web.Response:
        body = await request.read()
        faults = self._context.faults
        refused = await self._media_fault(request, faults.upload_status, silent=faults.silent_uploads)
        if refused is not None:
            return refused
        token = request.match_info["token"]
        self._context.world.store_media(token, body)
        path = media_path(token)
        return web.json_response({"url": MEDIA_HOST + path, "direct_path": path})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        faults, token = self._context.faults, request.match_info["token"]
        own = self._context.world.media_behaviour.get(token, MediaBehaviour())
        silent = faults.silent_downloads or own.silent
        refused = await self._media_fault(request, own.status or faults.download_status, silent=silent)
        if refused is not None:
            return refused
        body = self._context.world.media.get(token)
        if body is None:
            return web.Response(status=404)
        if faults.corrupt_downloads or own.corrupt:
            faults.corrupt_downloads = max(0, faults.corrupt_downloads - 1)
            body = bytes([body[0] ^ 1]) + body[1:]
        pace = own.bytes_per_second or faults.download_bytes_per_second
        return web.Response(body=body) if pace is None else await _dripping(request, body, pace)

    async def _picture(self, request: web.Request) -> web.Response:
        jpeg = self._context.world.pictures.get(request.match_info["name"])
        return web.Response(status=404) if jpeg is None else web.Response(body=jpeg, content_type="image/jpeg")

    async def _forget(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _media_fault(self, request: web.Request, status: int | None, *, silent: bool) -> web.Response | None:
        faults = self._context.faults
        while silent and request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110, no event tells of it
            await asyncio.sleep(SILENCE_CHECK_SECONDS)
        await asyncio.sleep(faults.media_delay_seconds)
        refused = status or faults.media_status
        return web.Response(status=refused) if refused else None


async def _dripping(request: web.Request, body: bytes, pace: int) -> web.StreamResponse:
    """The body, ten times a second a piece of it."""
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    step = max(1, pace // 10)
    for at in range(0, len(body), step):
        await response.write(body[at : at + step])
        await asyncio.sleep(0.1)
    await response.write_eof()
    return response
