"""A simulator for all flow tests of engines, both engines, and a rig for each test.

A test that takes `engine` (or `rig`, which takes it) runs once with each engine. One that is about a single engine says
so, and why: `@pytest.mark.only_engine("neonize", reason="…")`.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from connector_engine_fixtures import engine_simulator, engines, program
from connector_engine_rig import Rig
from connector_engines import Engine, Kind

from bench.engines import Account, Engines
from whatsam_simulator.environment import hook_environment
from whatsam_simulator.process import SimulatorProcess

__all__ = ["engine_simulator", "engines", "program"]  # fixtures


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only_engine(name, reason): the test is about this engine alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("only_engine")
    if only is None:
        kinds = list(Kind)
    else:
        assert only.kwargs["reason"], "why not for the other one?"
        kinds = [Kind(only.args[0])]
    metafunc.parametrize("engine", kinds, ids=[kind.value for kind in kinds], indirect=True)


@pytest.fixture(scope="session")
def _race_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where engines with the race detector write what they find, instead of into a log that nobody reads."""
    folder = tmp_path_factory.mktemp("races")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GORACE", f"log_path={folder}/race atexit_sleep_ms=0 history_size=3 exitcode=0")
        yield folder


_ACCESS: Final = re.compile(r"^(?:Read|Write|Previous read|Previous write) at .+:\n +(\S+)$", re.MULTILINE)
_HARMLESS: Final = ["go.mau.fi/whatsmeow.(*Client).decryptMessages()"] * 2
"""Of two connections of a client, the older one may still note when old entries of the buffer were last deleted, while
the newer one looks at that; at worst they are deleted twice. Nobody but whatsmeow can lock that time."""


def _reports(text: str) -> list[str]:
    """What the detector has found, without what is known to be harmless: there both accesses are in that function."""
    found = [part for part in re.split(r"^=+$", text, flags=re.MULTILINE) if part.strip()]
    return [part for part in found if _ACCESS.findall(part) != _HARMLESS]


@pytest.fixture(autouse=True)
def _no_races(_race_folder: Path) -> Iterator[None]:
    """A race fails the test in which it was found. Only engines that are built so look (WHATSAM_ENGINE_RACE=1)."""
    yield
    found = sorted(_race_folder.iterdir())
    reports = [report for file in found for report in _reports(file.read_text())]
    for file in found:
        file.unlink()
    assert not reports, "\n".join(reports)


@pytest.fixture(scope="session")
def new_number() -> Callable[[], str]:
    """A phone number that no other test of this run has."""
    count = iter(range(1, 10**6))
    return lambda: f"49171{next(count):08d}"


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine under test."""
    return Engine.of(request.param)


@pytest.fixture
async def rig(engine_simulator: SimulatorProcess, engine: Engine, tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(engine_simulator.client, engine, hook_environment(engine_simulator.info), tmp_path)
    yield rig
    await rig.close()
    engine_simulator.client.clear_faults()


@pytest.fixture
def rig_environment(engine_simulator: SimulatorProcess) -> dict[str, str]:
    """What sends an engine to the simulator."""
    return hook_environment(engine_simulator.info)


@pytest.fixture
def contact(engines: Engines, new_number: Callable[[], str]) -> str:
    """Somebody who writes to the accounts of `engines`."""
    number = new_number()
    engines.simulator.contact(number)
    return number


@pytest.fixture
def new_account(new_number: Callable[[], str], tmp_path: Path) -> Callable[..., Account]:
    """Makes an account for `engines`, in the test's folder or in another one."""

    def make(place: Path = tmp_path) -> Account:
        number = new_number()
        (place / number).mkdir()
        return Account(number, place / number)

    return make
