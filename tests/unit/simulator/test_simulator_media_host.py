"""The media host when it misbehaves by order: silent, gone, damaged, slow."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
from simulator_running import Running

from whatsam_simulator.server.site import media_path
from whatsam_simulator.world.records import MediaBehaviour

BODY = b"0123456789" * 100


@pytest.fixture
async def session(running: Running) -> AsyncIterator[aiohttp.ClientSession]:
    running.simulation.context.world.store_media("file", BODY)
    tls = ssl.create_default_context(cafile=str(running.simulation.ca_file))
    base = f"https://localhost:{running.ports.tls}"
    connector = aiohttp.TCPConnector(ssl=tls, family=socket.AF_INET)
    async with aiohttp.ClientSession(base, connector=connector) as made:
        yield made


async def get(session: aiohttp.ClientSession, path: str = media_path("file")) -> tuple[int, bytes]:
    async with session.get(path) as answer:
        return answer.status, await answer.read()


async def test_a_silent_host_answers_nobody_and_others_go_on(running: Running, session: aiohttp.ClientSession) -> None:
    faults = running.simulation.context.faults
    faults.silent_downloads = True
    waiting = asyncio.ensure_future(get(session))
    uploading = asyncio.ensure_future(session.post("/mms/image/token", data=b"x"))
    answer = await uploading
    assert (await answer.json())["direct_path"] == media_path("token")
    assert not waiting.done()
    faults.silent_downloads = False
    assert await get(session) == (200, BODY)
    assert not waiting.done()
    waiting.cancel()


async def test_files_are_gone_damaged_or_slow(running: Running, session: aiohttp.ClientSession) -> None:
    world, faults = running.simulation.context.world, running.simulation.context.faults
    faults.download_status = 410
    assert (await get(session))[0] == 410
    faults.download_status = None
    faults.corrupt_downloads = 1
    assert (await get(session))[1] == b"1" + BODY[1:]
    assert await get(session) == (200, BODY)
    world.media_behaviour["file"] = MediaBehaviour(status=404)
    assert (await get(session))[0] == 404
    world.media_behaviour["file"] = MediaBehaviour(bytes_per_second=100_000)
    assert await get(session) == (200, BODY)
    faults.upload_status = 500
    assert (await session.post("/mms/image/other", data=b"x")).status == 500
    assert "other" not in world.media
