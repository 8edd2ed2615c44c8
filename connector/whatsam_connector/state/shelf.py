"""Where a successor keeps what it has read before it may start: the newest base, as the store has it.

Used by the preparation. An object of the store never changes, so what is on the shelf under its key is what the store
would answer; it is opened and checked like anything that comes from there.
"""

import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shelf:
    """The shelf of one session in this pod. Beside the session's own files, which only its holder may touch."""

    folder: Path

    def get(self, key: str) -> bytes | None:
        """The object of that key, None when it is not here."""
        with suppress(FileNotFoundError):
            return self._place(key).read_bytes()
        return None

    def put(self, key: str, sealed: bytes) -> None:
        """Keep this object, and no other one."""
        place = self._place(key)
        if place.exists():
            return
        self.clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        # Whole or not there; after a loss of power it may be cut off, and then it does not pass its checks.
        new = place.with_suffix(".new")
        new.write_bytes(sealed)
        new.replace(place)

    def clear(self) -> None:
        """Keep nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, key: str) -> Path:
        return self.folder / hashlib.sha256(key.encode()).hexdigest()
