"""What the machine lacks is said with what to do."""

from pathlib import Path

import pytest

from whatsam_local.node.errors import RequirementMissing, RuntimeRefused
from whatsam_local.node.requirements import kernel_version, lock_state, missing_tools
from whatsam_local.node.signal import ask


def test_missing_programs_name_their_package_and_their_purpose(tmp_path: Path) -> None:
    messages = missing_tools(path=str(tmp_path))
    assert len(messages) == 2
    assert "apt install iproute2" in messages[0]
    assert "apt install util-linux" in messages[1]


@pytest.mark.parametrize(
    ("release", "version"), [("6.18.44-fc", (6, 18)), ("5.4.0", (5, 4)), ("6.1-rc2", (6, 1)), ("5.15+", (5, 15))]
)
def test_kernel_versions(release: str, version: tuple[int, int]) -> None:
    assert kernel_version(release) == version


def test_a_state_directory_belongs_to_one_node(tmp_path: Path) -> None:
    descriptor = lock_state(tmp_path / "state")
    with pytest.raises(RequirementMissing, match="another node"):
        lock_state(tmp_path / "state")
    assert descriptor > 0


def test_no_runtime_is_told_also_under_a_long_path(tmp_path: Path) -> None:
    state = tmp_path / ("x" * 120)
    state.mkdir()
    with pytest.raises(RuntimeRefused, match="no runtime answers"):
        ask(state, "list")
    with pytest.raises(RuntimeRefused, match="no runtime answers"):
        ask(tmp_path / "absent", "list")
