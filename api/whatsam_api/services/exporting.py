"""Exports, step by step: everything that is kept of a session as lines of JSON, compressed, in the object store.

Each step writes one part; a part is a gzip stream of its own, and streams behind each other are one again. So an export
that is interrupted goes on with the part that was being written, and the last step only puts the parts together.
"""

import asyncio
import gzip
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from whatsam_api.errors import Unavailable
from whatsam_api.models.history import JobRow
from whatsam_api.models.message_views import view
from whatsam_api.policies.history import Place
from whatsam_api.services.jobs import HOLD, Ended
from whatsam_api.storage.erasure import ErasureStore
from whatsam_api.storage.exporting import ExportReader
from whatsam_api.storage.jobs import JobStore
from whatsam_api.storage.media_files import FileStore
from whatsam_core.message_ids import EARLIEST

MESSAGES_AT_ONCE = 2000
"""Messages in one part."""
ROWS_AT_ONCE = 5000
"""Chats or contacts in one part."""
CONTENT_TYPE = "application/gzip"
_SIGN_OF_LIFE = 50
"""Parts that are put together between two words that the work goes on."""
_PHASES = ("chats", "contacts", "messages")


class Exporting:
    """The work of a job of kind `export`."""

    def __init__(self, reader: ExportReader, erasure: ErasureStore, jobs: JobStore, files: FileStore | None) -> None:
        self._reader = reader
        self._erasure = erasure
        self._jobs = jobs
        self._files = files

    async def step(self, job: JobRow) -> tuple[int, int | None, dict[str, Any]]:
        """Write the next part, or put all of them together."""
        cursor = job.cursor
        if cursor is None:
            total = await self._erasure.count(job.tenant, job.session)
            head = {"kind": "export", "format": 1, "session": job.session, "begunAt": datetime.now(UTC).isoformat()}
            await self._write(job, 0, [head])
            return 0, total, {"phase": "chats", "after": "", "part": 1}
        phase, part = str(cursor["phase"]), int(cursor["part"])
        if phase == "assembly":
            await self._assemble(job, part)
            return job.progress, job.total, {"phase": "tidying", "after": None, "part": part}
        if phase == "tidying":
            await self._tidy(job, part)
            raise Ended(job.progress, self._key(job))
        if phase == "messages":
            return await self._messages(job, cursor["after"], part)
        return await self._around(job, phase, str(cursor["after"]), part)

    async def _around(self, job: JobRow, phase: str, after: str, part: int) -> tuple[int, int | None, dict[str, Any]]:
        rows = await self._reader.around(phase, job.tenant, job.session, after, ROWS_AT_ONCE)
        if rows:
            kind = phase.removesuffix("s")
            await self._write(job, part, (_line(kind, row) for row in rows))
            key = "chat" if phase == "chats" else "jid"
            return job.progress, job.total, {"phase": phase, "after": rows[-1][key], "part": part + 1}
        following = _PHASES[_PHASES.index(phase) + 1]
        start: Any = [EARLIEST.isoformat(), 0] if following == "messages" else ""
        return job.progress, job.total, {"phase": following, "after": start, "part": part}

    async def _messages(self, job: JobRow, after: Any, part: int) -> tuple[int, int | None, dict[str, Any]]:
        place = Place(datetime.fromisoformat(str(after[0])), int(after[1]))
        rows = await self._reader.messages(job.tenant, job.session, place, MESSAGES_AT_ONCE)
        if not rows:
            return job.progress, job.total, {"phase": "assembly", "after": None, "part": part}
        beside = await self._reader.beside(job.tenant, job.session, rows)
        name = job.session.partition("/")[2]
        lines = [{"kind": "message", **view(row, name).model_dump(mode="json", by_alias=True)} for row in rows]
        lines += [_line(kind, row) for kind, found in beside.items() for row in found]
        await self._write(job, part, lines)
        last = rows[-1]
        progress = job.progress + len(rows)
        total = max(job.total or 0, progress)
        return progress, total, {"phase": "messages", "after": [last.at.isoformat(), last.seq], "part": part + 1}

    async def _assemble(self, job: JobRow, parts: int) -> None:
        files = self._store
        with tempfile.TemporaryDirectory(prefix="whatsam-export-") as folder:
            whole, piece = Path(folder, "whole"), Path(folder, "piece")
            for number in range(parts):
                if number % _SIGN_OF_LIFE == 0:
                    await self._alive(job)
                await files.get_file(self._part(job, number), piece)
                await asyncio.to_thread(_append, whole, piece)
            await self._alive(job)
            await files.put_file(self._key(job), whole, CONTENT_TYPE)

    async def _tidy(self, job: JobRow, parts: int) -> None:
        """A step of its own: parts that are gone cannot be put together again."""
        for number in range(parts):
            if number % _SIGN_OF_LIFE == 0:
                await self._alive(job)
            await self._store.delete(self._part(job, number))

    async def _alive(self, job: JobRow) -> None:
        await self._jobs.step(job, HOLD, progress=job.progress, total=job.total, cursor=job.cursor or {})

    async def _write(self, job: JobRow, part: int, lines: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
        await self._store.put(self._part(job, part), gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0))

    def _key(self, job: JobRow) -> str:
        return f"{self._store.export_key(job.tenant, str(job.id))}/export.jsonl.gz"

    def _part(self, job: JobRow, number: int) -> str:
        return f"{self._store.export_key(job.tenant, str(job.id))}/part-{number:06d}"

    @property
    def _store(self) -> FileStore:
        if self._files is None:
            raise Unavailable("this installation has no file store", retry_after=60)
        return self._files


def _append(whole: Path, piece: Path) -> None:
    with whole.open("ab") as out, piece.open("rb") as part:
        shutil.copyfileobj(part, out)


def _line(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": to_camel(kind), **{to_camel(name): _plain(value) for name, value in row.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else str(value)
