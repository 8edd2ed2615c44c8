"""Limits as files of either version of control groups, in directories that stand for the kernel's."""

import logging
from pathlib import Path

import pytest

from whatsam_local.node.cgroups import ControlGroups, oom_killed, wanted_files


def test_values() -> None:
    assert wanted_files({"memory": 100, "cpu": 1500}) == {
        "memory": {"memory.limit_in_bytes": "100", "memory.max": "100"},
        "cpu": {"cpu.cfs_quota_us": "150000", "cpu.max": "150000 100000"},
    }
    assert wanted_files({"cpu": 1})["cpu"]["cpu.max"] == "1000 100000"
    assert wanted_files({}) == {}


def test_version_two(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    group = tmp_path / "whatsam-node/n/c"
    group.mkdir(parents=True)
    for name in ("memory.max", "cpu.max"):
        (group / name).touch()
    assert ControlGroups("n", tmp_path).create("c", {"memory": 5, "cpu": 500}) == [group]
    assert (group / "memory.max").read_text() == "5"
    assert (group / "cpu.max").read_text() == "50000 100000"
    for level in (tmp_path, tmp_path / "whatsam-node", tmp_path / "whatsam-node/n"):
        assert (level / "cgroup.subtree_control").read_text() == "+memory +cpu"


def test_version_one(tmp_path: Path) -> None:
    for controller, name in (("memory", "memory.limit_in_bytes"), ("cpu", "cpu.cfs_quota_us")):
        (tmp_path / controller / "whatsam-node/n/c").mkdir(parents=True)
        (tmp_path / controller / "whatsam-node/n/c" / name).touch()
    groups = ControlGroups("n", tmp_path).create("c", {"memory": 5, "cpu": 500})
    assert groups == [tmp_path / "cpu/whatsam-node/n/c", tmp_path / "memory/whatsam-node/n/c"]
    assert (groups[1] / "memory.limit_in_bytes").read_text() == "5"


def test_without_groups_containers_run_and_one_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = tmp_path / "file"
    base.touch()
    groups = ControlGroups("n", base)
    with caplog.at_level(logging.WARNING):
        assert groups.create("a", {"memory": 5}) == []
        assert groups.create("b", {"memory": 5, "cpu": 1}) == []
    assert len(caplog.records) == 1


def test_a_sweep_removes_the_nodes_own_groups_only(tmp_path: Path) -> None:
    for name in ("n/a", "n/b", "other/c"):
        (tmp_path / "memory/whatsam-node" / name).mkdir(parents=True)
    ControlGroups("n", tmp_path).sweep()
    assert [path.name for path in (tmp_path / "memory/whatsam-node").rglob("*")] == ["other", "c"]
    ControlGroups("other", tmp_path).sweep()
    assert not (tmp_path / "memory/whatsam-node").exists()


@pytest.mark.parametrize(
    ("name", "text", "killed"),
    [
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", True),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", False),
        ("memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 0\n", True),
        ("memory.events", "low 0\noom 3\noom_kill 0\n", False),
    ],
)
def test_the_kernels_own_killer_is_recognised(tmp_path: Path, name: str, text: str, killed: bool) -> None:
    (tmp_path / name).write_text(text)
    assert oom_killed(tmp_path) is killed
    assert not oom_killed(tmp_path / "gone")
