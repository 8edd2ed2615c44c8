"""How a file of a stranger is handed out: which type is named, whether a browser may show it, which part. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import quote

_SHOWN = re.compile(r"(?:image/(?!svg)|audio/|video/)[a-z0-9.+-]+", re.IGNORECASE)
"""What a browser shows without running anything in it. An SVG is a document with scripts."""
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", re.IGNORECASE)
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `first` to `last` of a file, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.last - self.first + 1


def content_type(mimetype: str | None) -> str:
    """The type that is named to the caller: the sender's word, without parameters, if it is one at all."""
    word = (mimetype or "").partition(";")[0].strip()
    return word.lower() if _TYPE.fullmatch(word) else _UNKNOWN


def disposition(mimetype: str | None, file_name: str | None, fallback: str) -> str:
    """`inline` for pictures, sound and video, `attachment` for everything else, with the file's name."""
    kind = "inline" if _SHOWN.fullmatch(content_type(mimetype)) else "attachment"
    name = (file_name or fallback).replace("\r", " ").replace("\n", " ")
    plain = re.sub(r"[^A-Za-z0-9._() -]", "_", name)[:100]
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name[:200], safe='', errors='replace')}"


def span_of(header: str | None, size: int) -> Span | None:
    """The part that a `Range` header asks for; None: the whole file. Raises ValueError when there is no such part.

    Several parts at once, and other units, are answered with the whole file, as HTTP allows.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        first, last = max(size - int(match[2]), 0), size - 1
    else:
        first, last = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    if first > last or (not match[1] and int(match[2]) == 0):
        raise ValueError("no such part")
    return Span(first, last)
