"""The image table: a JSON file {image name: {entrypoint, cmd, env, cwd}}, read again when it changes."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whatsam_local.node.environment import Image, find_image
from whatsam_local.node.errors import ConfigError

log = logging.getLogger("images")


def parse_table(text: str) -> dict[str, Image]:
    """Pure: the table of a file's text. Raises `ConfigError` that names the entry that is wrong."""
    try:
        entries: Any = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the image table is not JSON: {error}") from error
    if not isinstance(entries, dict):
        raise ConfigError("the image table must be an object {image name: {entrypoint, cmd, env, cwd}}")
    table: dict[str, Image] = {}
    for name, entry in entries.items():
        try:
            table[name] = _entry(entry)
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(f"image {name!r}: {error}") from error
    return table


def _entry(entry: Mapping[str, Any]) -> Image:
    unknown = entry.keys() - {"entrypoint", "cmd", "env", "cwd"}
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    lists = {key: entry.get(key) or [] for key in ("entrypoint", "cmd")}
    for key, words in lists.items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"{key} must be a list of strings")
    environment = {str(key): str(value) for key, value in (entry.get("env") or {}).items()}
    return Image(entrypoint=lists["entrypoint"], cmd=lists["cmd"], env=environment, cwd=str(entry.get("cwd") or ""))


class ImageTable:
    """The table in a file. A file that has become wrong leaves the last good table in force."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._table: dict[str, Image] = {}
        if path is not None:
            self._seen = _version(path)
            self._table = parse_table(path.read_text())

    def find(self, name: str) -> Image | None:
        """The image of this name as the file says now, or None."""
        self._refresh()
        return find_image(self._table, name)

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            version = _version(self._path)
            if version == self._seen:
                return
            self._table = parse_table(self._path.read_text())
            self._seen = version
        except (OSError, ConfigError) as error:
            log.warning("%s: %s (the last good table stays in force)", self._path, error)


def _version(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
