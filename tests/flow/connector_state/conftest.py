"""A real object store (SeaweedFS) for the state's flow tests."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from connector_state_weed import ACCESS, SECRET, Weed

from whatsam_core.storage.objects import ObjectStore
from whatsam_simulator.pytest_plugin import number, simulator, simulator_process

__all__ = ["number", "simulator", "simulator_process"]


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    server = Weed(tmp_path_factory.mktemp("weed"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
async def store(weed: Weed) -> AsyncIterator[ObjectStore]:
    if weed.process is None:
        await asyncio.to_thread(weed.start)
    client = ObjectStore(weed.url, ACCESS, SECRET, "whatsam-state", timeout=10)
    give_up = time.monotonic() + 60
    while True:
        try:
            await client.ensure_bucket()
            await client.put(f"probe-{os.getpid()}", b"x")
            break
        except Exception:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.2)
    yield client
    await client.close()
