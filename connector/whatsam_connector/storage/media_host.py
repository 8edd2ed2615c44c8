"""WhatsApp's media servers: fetches an encrypted file by its path and opens it on the way to the disk.

A message names its file by URL and by path; whoever wrote it may write anything there. So the URL is not looked at, the
hosts are fixed, a path is only a path, redirects are not followed, and nothing that comes is longer than was wanted.
"""

import asyncio
import base64
import re
import ssl
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx

from whatsam_connector.content.reading_parts import MediaSource
from whatsam_connector.messages.media.errors import FetchFailed
from whatsam_connector.messages.media.outcomes import Outcome
from whatsam_connector.messages.media.sealed import Damaged, Opener, TooLarge
from whatsam_connector.messages.media.work import Fetched, Route

HOSTS: Final = ("mmg.whatsapp.net",)
"""Where WhatsApp's own clients fetch files by path."""

_PATH: Final = re.compile(r"/[A-Za-z0-9._~%/=+-]{1,1024}(\?[A-Za-z0-9._~%/=&+-]{0,1024})?")
_TYPES: Final = {"image": "image", "sticker": "image", "video": "video", "audio": "audio", "document": "document"}
_OK: Final = 200
_GONE: Final = frozenset({404, 410})
_NOT_NOW: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_CHUNK_BYTES: Final = 128 * 1024
_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
_MOST_CLIENTS: Final = 64
"""Ways out (proxies of sessions) whose connections are kept."""


class WhatsAppMediaHost:
    """Fetches through the engines' own way out, or a session's proxy."""

    def __init__(self, environment: Mapping[str, str], hosts: Sequence[str] = HOSTS) -> None:
        """`environment`: that of the engines; HTTPS_PROXY and SSL_CERT_FILE count."""
        self._hosts = tuple(hosts)
        self._proxy = environment.get("HTTPS_PROXY") or environment.get("https_proxy") or None
        self._certificates = environment.get("SSL_CERT_FILE")
        self._clients: OrderedDict[str | None, httpx.AsyncClient] = OrderedDict()

    async def close(self) -> None:
        """Drop all connections."""
        clients, self._clients = list(self._clients.values()), OrderedDict()
        for client in clients:
            await client.aclose()

    async def fetch(self, source: MediaSource, path: Path, route: Route) -> Fetched:
        """Write the opened file to `path`. Raises `FetchFailed`; then what is in `path` is nothing."""
        address = _address(source)
        failure = FetchFailed(Outcome.UNREACHABLE)
        for host in self._hosts:
            try:
                return await self._fetch(f"https://{host}{address}", source, path, route)
            except FetchFailed as error:
                failure = error
                if error.outcome is not Outcome.UNREACHABLE:
                    raise
        raise failure

    async def _fetch(self, url: str, source: MediaSource, path: Path, route: Route) -> Fetched:
        opener = Opener(
            source.kind,
            source.media_key,
            most_bytes=route.most_bytes,
            sha256=source.sha256,
            enc_sha256=source.enc_sha256,
        )
        try:
            client = await self._client(route.proxy)
            async with client.stream("GET", url) as response:
                _check(response.status_code)
                await _write(response, opener, path)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            # The text of these may hold the address, which lets its reader fetch the file.
            raise FetchFailed(Outcome.UNREACHABLE, type(error).__name__) from error
        except Damaged as error:
            raise FetchFailed(Outcome.DAMAGED, str(error)) from error
        except TooLarge as error:
            raise FetchFailed(Outcome.TOO_LARGE, str(error)) from error
        return Fetched(opener.sha256, opener.size)

    async def _client(self, proxy: str | None) -> httpx.AsyncClient:
        way = proxy or self._proxy
        client = self._clients.get(way)
        if client is None:
            client = await asyncio.to_thread(self._open, way)
            self._clients[way] = client
            if len(self._clients) > _MOST_CLIENTS:
                _, oldest = self._clients.popitem(last=False)
                await oldest.aclose()
        self._clients.move_to_end(way)
        return client

    def _open(self, proxy: str | None) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=self._certificates)
        return httpx.AsyncClient(
            proxy=proxy,
            verify=context,
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            headers={
                "Accept-Encoding": "identity",
                "Origin": "https://web.whatsapp.com",
                "Referer": "https://web.whatsapp.com/",
            },
        )


def _address(source: MediaSource) -> str:
    path = source.direct_path
    if source.kind not in _TYPES or _PATH.fullmatch(path) is None or path.startswith("//") or ".." in path:
        raise FetchFailed(Outcome.IMPOSSIBLE)
    digest = base64.urlsafe_b64encode(source.enc_sha256).decode()
    return f"{path}{'&' if '?' in path else '?'}hash={digest}&mms-type={_TYPES[source.kind]}&__wa-mms="


def _check(status: int) -> None:
    if status == _OK:
        return
    if status in _GONE:
        raise FetchFailed(Outcome.GONE)
    if status in _NOT_NOW or status >= _SERVER_ERROR:
        raise FetchFailed(Outcome.UNREACHABLE, f"status {status}")
    raise FetchFailed(Outcome.REFUSED, f"status {status}")


async def _write(response: httpx.Response, opener: Opener, path: Path) -> None:
    with await asyncio.to_thread(path.open, "wb") as file:

        def take(chunk: bytes) -> None:
            file.write(opener.feed(chunk))

        async for chunk in response.aiter_raw(_CHUNK_BYTES):
            await asyncio.to_thread(take, chunk)
        await asyncio.to_thread(file.write, opener.finish())
