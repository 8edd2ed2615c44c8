"""A real object store (SeaweedFS) for the state's flow tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from connector_state_weed import Weed, bucket_of, running_weed

from whatsam_core.storage.objects import ObjectStore
from whatsam_simulator.pytest_plugin import number, simulator, simulator_process

__all__ = ["number", "simulator", "simulator_process"]


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    with running_weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture
async def store(weed: Weed) -> AsyncIterator[ObjectStore]:
    if weed.process is None:  # the test before has killed it
        await asyncio.to_thread(weed.start)
    async with bucket_of(weed, "whatsam-state") as client:
        yield client
