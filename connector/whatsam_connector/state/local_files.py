"""The files of one session in this pod, and the order in which they are replaced. Called by the preparation only.

`meta.json` says under which epoch the database was prepared. It is removed before the database is touched and written
after it, so whatever moment a process is killed in, a file with a meta is whole and a file without one is not used.
A machine that loses power may tear both; a torn meta is not read, a torn database does not pass SQLite's check, and
what is whole may be old: the meta names the machine's boot, and a file of an earlier one gives way to the store.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from whatsam_connector.state.errors import BaseDamaged
from whatsam_connector.state.snapshot import Contents, contents_of_file
from whatsam_core.resources.base import WireModel

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SIDE_FILES = ("-journal", "-wal", "-shm")


class Meta(WireModel):
    """What `meta.json` holds."""

    tenant: str
    session: str
    epoch: int
    boot: str
    jid: str | None = None
    machine: str = ""
    """The machine's boot in which this was written."""


def machine_boot() -> str:
    """Names the time from one start of this machine's kernel to the next; empty when the kernel does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class SessionFiles:
    """Paths of one session below the state directory."""

    folder: Path

    @property
    def database(self) -> Path:
        """The engine's SQLite file."""
        return self.folder / "session.db"

    @property
    def meta(self) -> Path:
        """Under which epoch the database was prepared."""
        return self.folder / "meta.json"

    def read_meta(self) -> Meta | None:
        """The meta, None when the database must not be used."""
        try:
            return Meta.model_validate_json(self.meta.read_bytes())
        except (OSError, ValidationError):
            return None

    def write_meta(self, meta: Meta) -> None:
        """Declare the database usable under this epoch."""
        temporary = self.meta.with_name(self.meta.name + ".tmp")
        temporary.write_bytes(meta.model_dump_json(by_alias=True, exclude_none=True).encode())
        temporary.replace(self.meta)

    def inspect(self) -> Contents | None:
        """What the local database holds, None when there is none. Raises `BaseDamaged`. No engine may have it open."""
        if not self.database.exists():
            return None
        return contents_of_file(self.database)

    def clear(self) -> None:
        """No database: the next engine makes an empty one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._unusable()

    def install(self, image: bytes, change: Callable[[Path], None]) -> None:
        """Put a copy from the store in place, after `change` worked on it in a file of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / "session.db.new"
        _remove_database(new)
        new.write_bytes(image)
        change(new)
        _sync(new)
        if any(Path(f"{new}{suffix}").exists() for suffix in _SIDE_FILES):
            raise BaseDamaged("the restored copy has an unfinished transaction")
        self._unusable()
        new.replace(self.database)
        _sync(self.folder)

    def remove(self) -> None:
        """Delete everything that this pod keeps of the session."""
        with suppress(FileNotFoundError):
            self.meta.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unusable(self) -> None:
        self.meta.unlink(missing_ok=True)
        # A journal that stays behind would be rolled back into the next database of that name.
        _remove_database(self.database)


def _remove_database(path: Path) -> None:
    for suffix in (*_SIDE_FILES, ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
