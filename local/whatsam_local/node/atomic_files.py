"""A volume's files, exchanged all at once, by kubelet's scheme.

Files are links into `..data`, which is itself a link that is swapped: a reader sees the old state or the new one,
never half of each. Called by `volumes.py`.
"""

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from whatsam_local.node.errors import ConfigError
from whatsam_local.node.volume_files import VolumeFile

_DATA = "..data"
_DATA_NEW = "..data_tmp"


def write_atomically(directory: Path, files: Mapping[str, VolumeFile]) -> bool:
    """Make the directory hold exactly these files; returns whether anything changed. Safe to repeat after a crash."""
    for path in files:
        if path.startswith("/") or ".." in Path(path).parts:
            raise ConfigError(f"{path!r} leaves its volume")
    current = directory / _DATA
    if current.is_symlink() and _read(current) == dict(files):
        _link(directory, files)
        return False
    version = directory / f"..{time.time_ns()}"
    version.mkdir()
    for path, file in files.items():
        (version / path).parent.mkdir(parents=True, exist_ok=True)
        (version / path).write_bytes(file.content)
        (version / path).chmod(file.mode)
    swap = directory / _DATA_NEW
    swap.unlink(missing_ok=True)  # left by a node that was killed right here
    swap.symlink_to(version.name)
    swap.rename(current)
    _link(directory, files)
    for old in directory.iterdir():
        if old.name.startswith("..") and old.name not in (_DATA, version.name):
            shutil.rmtree(old, ignore_errors=True)
    return True


def _read(current: Path) -> dict[str, VolumeFile]:
    base = current.resolve()
    return {
        str(path.relative_to(base)): VolumeFile(path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in base.rglob("*")
        if path.is_file()
    }


def _link(directory: Path, files: Mapping[str, VolumeFile]) -> None:
    """The names that readers use; those of files that are no more go after the swap."""
    wanted = {path.split("/")[0] for path in files}
    for name in wanted:
        if not os.path.lexists(directory / name):
            (directory / name).symlink_to(f"{_DATA}/{name}")
    for entry in directory.iterdir():
        if entry.is_symlink() and entry.name != _DATA and entry.name not in wanted:
            entry.unlink()
