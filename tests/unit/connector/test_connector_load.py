"""How the worker measures what it uses."""

from pathlib import Path

import pytest

from whatsam_connector.lease.load import PERIOD, LoadMeter, Reading, read_cgroup
from whatsam_core.lease import UNKNOWN_LOAD, Load

GIB = 1024**3


def group(folder: Path, **changes: str) -> Path:
    files = {
        "cpu.stat": "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\n",
        "cpu.max": "150000 100000\n",
        "memory.current": f"{GIB}\n",
        "memory.stat": f"anon 1\ninactive_file {GIB // 2}\n",
        "memory.max": f"{2 * GIB}\n",
        **changes,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_a_container_is_measured_against_its_limits(tmp_path):
    assert read_cgroup(group(tmp_path)) == Reading(5.0, 1.5, GIB // 2, 2 * GIB)


def test_without_limits_the_machine_is_the_measure(tmp_path):
    found = read_cgroup(group(tmp_path, **{"cpu.max": "max 100000\n", "memory.max": "max\n"}))
    assert found is not None
    assert found.cores >= 1
    assert found.memory_limit > 0


@pytest.mark.parametrize(
    ("name", "text"), [("cpu.stat", "nonsense\n"), ("memory.current", ""), ("memory.max", "0\n"), ("cpu.max", "")]
)
def test_what_cannot_be_read_is_not_known(tmp_path, name, text):
    assert read_cgroup(group(tmp_path, **{name: text})) is None
    assert read_cgroup(tmp_path / "no such folder") is None


def test_the_share_of_cpu_is_that_since_the_measurement_before():
    now, readings = [0.0], [Reading(10.0, 2.0, 1, 4), Reading(20.0, 2.0, 3, 4), None, Reading(5.0, 2.0, 1, 4)]
    meter = LoadMeter(lambda: now[0], lambda: readings.pop(0))
    assert meter() == Load(None, 25)
    now[0] = PERIOD / 2
    assert meter() == Load(None, 25), "not measured again so soon"
    now[0] = PERIOD
    assert meter() == Load(round(100 * 10.0 / PERIOD / 2.0), 75)
    now[0] = 2 * PERIOD
    assert meter() == UNKNOWN_LOAD
    now[0] = 3 * PERIOD
    assert meter() == Load(None, 25), "after a gap there is nothing to compare with"
