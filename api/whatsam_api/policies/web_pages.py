"""What a web page says about itself: title, description, picture; and which link of a text a preview is for. Pure."""

import re
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

_LINK = re.compile(r"https?://[^\s<>\"']{3,2000}", re.IGNORECASE)
_TRAILING: Final = ".,;:!?)]}'\""
_TITLE = 300
_DESCRIPTION = 1000


@dataclass(frozen=True)
class PageHead:
    """What a preview shows."""

    title: str
    description: str
    picture: str | None
    """Absolute URL."""


def first_link(text: str) -> str | None:
    """The first link of a text, as it stands there."""
    found = _LINK.search(text)
    return found.group().rstrip(_TRAILING) if found else None


def page_head(html: bytes, charset: str | None, url: str) -> PageHead:
    """Title, description and picture of a page; what it does not say is empty."""
    reader = _Head()
    try:
        text = html.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):  # no such charset, or none that is for text
        text = html.decode("utf-8", "replace")
    with suppress(ValueError, AssertionError):  # the parser gives up on some broken pages; what it has read counts
        reader.feed(text)
    said = reader.said
    picture = _first(said, "og:image:secure_url", "og:image", "twitter:image")
    try:
        absolute = urljoin(url, picture) if picture else None
    except ValueError:
        absolute = None
    return PageHead(
        title=_line(_first(said, "og:title", "twitter:title") or reader.title)[:_TITLE],
        description=_line(_first(said, "og:description", "twitter:description", "description"))[:_DESCRIPTION],
        picture=absolute,
    )


def _first(said: dict[str, str], *names: str) -> str:
    return next((said[name] for name in names if said.get(name)), "")


def _line(text: str) -> str:
    """One line that a database can keep."""
    kept = "".join(one for one in text if one != "\x00" and not "\ud800" <= one <= "\udfff")
    return " ".join(kept.split())


class _Head(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: dict[str, str] = {}
        self.title = ""
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = not self.title
        elif tag == "meta":
            values = dict(attrs)
            name = (values.get("property") or values.get("name") or "").lower()
            if name and name not in self.said:
                self.said[name] = values.get("content") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title and len(self.title) < _TITLE:
            self.title += data
