"""The acknowledged position: a small file that is replaced atomically. The reader writes it, both sides read it."""

import json
import os
from pathlib import Path

from whatsam_connector.journal.layout import ACKNOWLEDGED, BEGINNING, JournalError, Position


def load(folder: Path) -> Position:
    """The acknowledged position; the beginning when nothing was acknowledged yet.

    Raises JournalError when the file is damaged: replacing is atomic, so a crash cannot do that, and guessing would
    either lose records or number new segments below old ones.
    """
    path = folder / ACKNOWLEDGED
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return BEGINNING
    try:
        value = json.loads(content)
        position = Position(int(value["segment"]), int(value["offset"]))
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{path.name} of the journal is damaged; move the journal's folder away") from error
    return position


def store(folder: Path, position: Position) -> None:
    """Replace the file; after the return the position survives a crash of process and machine."""
    path = folder / ACKNOWLEDGED
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(json.dumps({"segment": position.segment, "offset": position.offset}).encode())
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable: a new file or a rename survives a power cut only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
