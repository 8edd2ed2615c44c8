"""A volume's files are exchanged all at once, and after any history hold exactly what was asked for."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whatsam_local.node.atomic_files import write_atomically
from whatsam_local.node.errors import ConfigError
from whatsam_local.node.volume_files import VolumeFile

paths = st.sampled_from(["a", "b", "c/d", "c/e", "f/g/h"])
contents = st.builds(VolumeFile, st.binary(max_size=8), st.sampled_from([0o644, 0o400, 0o755]))
versions = st.lists(st.dictionaries(paths, contents), min_size=1, max_size=5)


def seen(directory: Path) -> dict[str, VolumeFile]:
    """What a container reads, through the links."""
    found: dict[str, VolumeFile] = {}
    for name in (entry.name for entry in directory.iterdir() if not entry.name.startswith("..")):
        top = directory / name
        for path in [top] if top.is_file() else [p for p in top.rglob("*") if p.is_file()]:
            found[str(path.relative_to(directory))] = VolumeFile(path.read_bytes(), path.stat().st_mode & 0o777)
    return found


@settings(max_examples=60, deadline=None)
@given(versions)
def test_any_history_ends_in_the_last_version(history: list[dict[str, VolumeFile]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for files in history:
            write_atomically(directory, files)
            assert seen(directory) == files
        assert len([entry for entry in directory.iterdir() if entry.name.startswith("..")]) == 2


def test_an_unchanged_volume_is_left_alone(tmp_path: Path) -> None:
    files = {"a": VolumeFile(b"1")}
    assert write_atomically(tmp_path, files)
    before = (tmp_path / "..data").readlink()
    assert not write_atomically(tmp_path, files)
    assert (tmp_path / "..data").readlink() == before


def test_a_reader_keeps_the_version_it_has_opened(tmp_path: Path) -> None:
    write_atomically(tmp_path, {"a": VolumeFile(b"old")})
    with (tmp_path / "a").open("rb") as reader:
        write_atomically(tmp_path, {"a": VolumeFile(b"new")})
        assert reader.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_node_killed_before_the_swap_does_no_harm(tmp_path: Path) -> None:
    write_atomically(tmp_path, {"a": VolumeFile(b"1")})
    (tmp_path / "..123").mkdir()
    (tmp_path / "..data_tmp").symlink_to("..123")
    write_atomically(tmp_path, {"a": VolumeFile(b"2")})
    assert seen(tmp_path) == {"a": VolumeFile(b"2")}
    assert not (tmp_path / "..123").exists()


def test_a_node_killed_after_the_swap_does_no_harm(tmp_path: Path) -> None:
    write_atomically(tmp_path, {"a": VolumeFile(b"1"), "b": VolumeFile(b"2")})
    (tmp_path / "b").unlink()
    (tmp_path / "c").symlink_to("..data/c")
    write_atomically(tmp_path, {"a": VolumeFile(b"1"), "b": VolumeFile(b"2")})
    assert seen(tmp_path) == {"a": VolumeFile(b"1"), "b": VolumeFile(b"2")}
    assert not (tmp_path / "c").is_symlink()


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x"])
def test_paths_that_leave_the_volume_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError):
        write_atomically(tmp_path, {path: VolumeFile(b"")})
