"""Previews of links, on request: what the page says about itself, fetched behind the same guard as media.

A preview is decoration. Whatever goes wrong, the text goes out without one.
"""

import asyncio
from typing import Final

from whatsam_api.policies.web_pages import first_link, page_head
from whatsam_api.services import thumbnails
from whatsam_api.storage.guarded_http import FetchFailed, GuardedHttp, Limits
from whatsam_core.logging import get_logger
from whatsam_core.messages import LinkPreview

log = get_logger()

_PAGE: Final = Limits(
    most_bytes=512 * 1024,
    seconds=6.0,
    accept="text/html,application/xhtml+xml",
    types=("text/html", "application/xhtml"),
)
_PICTURE: Final = Limits(most_bytes=2 * 1024 * 1024, seconds=6.0, accept="image/*", types=("image/",))
_MOST_URL: Final = 2048


class LinkPreviews:
    """Fetches previews."""

    def __init__(self, http: GuardedHttp) -> None:
        self._http = http

    async def preview(self, text: str) -> LinkPreview | None:
        """The preview of the first link in a text; None when there is none to be had."""
        url = first_link(text)
        if url is None or len(url) > _MOST_URL:
            return None
        try:
            fetched, html = await self._http.read(url, _PAGE, cut=True)
        except FetchFailed as error:
            log.info("preview.not_fetched", reason=str(error))
            return None
        head = await asyncio.to_thread(page_head, html, fetched.charset, fetched.url)
        if not head.title and not head.description:
            return None
        thumbnail = await self._thumbnail(head.picture) if head.picture else None
        return LinkPreview(url=url, title=head.title, description=head.description, thumbnail=thumbnail)

    async def _thumbnail(self, url: str) -> str | None:
        try:
            _, picture = await self._http.read(url, _PICTURE)
        except FetchFailed:
            return None
        return await asyncio.to_thread(thumbnails.thumbnail_of, picture, preview=True)
