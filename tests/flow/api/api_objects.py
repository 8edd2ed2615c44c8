"""An object store in memory, for what the API does with stored files."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whatsam_core.storage.objects import ObjectInfo, ObjectMissing, ObjectStoreUnreachable


@dataclass
class Kept:
    data: bytes
    modified: datetime


class MemoryObjects:
    """Takes the place of `ObjectStore`. `away`: it does not answer. `dies_after`: so many more writes succeed."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.kept: dict[str, Kept] = {}
        self.away = False
        self.dies_after: int | None = None

    async def put(self, key: str, data: bytes, **_: Any) -> None:
        self._answer()
        if self.dies_after is not None:
            if self.dies_after == 0:
                raise ObjectStoreUnreachable("died")
            self.dies_after -= 1
        self.kept[key] = Kept(data, datetime.now(UTC))

    async def put_file(self, key: str, path: Path, **_: Any) -> None:
        await self.put(key, path.read_bytes())  # noqa: ASYNC240 - small files of tests

    async def get_file(self, key: str, path: Path, **_: Any) -> int:
        return path.write_bytes(self._of(key).data)  # noqa: ASYNC240 - small files of tests

    async def get_part(self, key: str, offset: int, length: int, **_: Any) -> bytes:
        return self._of(key).data[offset : offset + length]

    async def stat(self, key: str, **_: Any) -> ObjectInfo | None:
        self._answer()
        kept = self.kept.get(key)
        return None if kept is None else ObjectInfo(key, len(kept.data), kept.modified)

    async def list(self, prefix: str, **_: Any) -> list[ObjectInfo]:
        self._answer()
        found = sorted((key, kept) for key, kept in self.kept.items() if key.startswith(prefix))
        return [ObjectInfo(key, len(kept.data), kept.modified) for key, kept in found]

    async def delete(self, key: str, **_: Any) -> None:
        self._answer()
        self.kept.pop(key, None)

    async def delete_prefix(self, prefix: str, **_: Any) -> int:
        keys = [found.key for found in await self.list(prefix)]
        for key in keys:
            await self.delete(key)
        return len(keys)

    def presign(self, key: str, seconds: int, *, content_type: str | None, disposition: str | None) -> str:
        return f"http://store.public/{key}?seconds={seconds}&type={content_type}&shown={disposition}"

    async def close(self) -> None: ...

    def _of(self, key: str) -> Kept:
        self._answer()
        if key not in self.kept:
            raise ObjectMissing(key)
        return self.kept[key]

    def _answer(self) -> None:
        if self.away:
            raise ObjectStoreUnreachable("away")
