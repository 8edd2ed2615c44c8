"""Fetches what tenants name by URL, without becoming their way into our own network.

The address is checked when the connection is made, on the very address that is connected to: a name that resolves to
something else a moment later (DNS rebinding) gains nothing. Each redirect is a new request with a new check. Sizes and
times are bounded; nothing is decompressed.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore

from whatsam_api.policies.addresses import Network, reachable

MOST_REDIRECTS: Final = 4
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
"""Seconds without a byte."""
_CONNECTIONS: Final = 32
_PORTS: Final = frozenset({80, 443})
_FIRST_FREE_PORT: Final = 1024
"""Below it, only the web's own ports: nobody serves pictures from port 25."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port to addresses. Raises OSError."""


class FetchFailed(Exception):
    """Nothing was fetched. The text is for the caller and says nothing about our network."""


class TooLarge(FetchFailed):
    """There is more than the limit."""


class _Forbidden(OSError):
    """The address is not one that tenants may reach."""


@dataclass(frozen=True)
class Fetched:
    """The head of an answer."""

    url: str
    """After all redirects."""
    content_type: str
    """As the server says; without parameters, lower case."""
    charset: str | None = None


@dataclass
class Limits:
    """Bounds of one fetch."""

    most_bytes: int
    seconds: float
    """From the first connection to the last byte."""
    accept: str = "*/*"
    types: Sequence[str] = field(default_factory=tuple[str, ...])
    """Prefixes of content types that are taken; empty: any but a web page."""


class GuardedHttp:
    """A client for URLs of tenants."""

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`allowed`: networks that may be reached although they are not public."""
        backend = GuardedBackend(allowed, resolve or _resolve)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=0,  # each fetch makes its own connection, so each address is checked
            network_backend=backend,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    async def to_file(self, url: str, path: Path, limits: Limits) -> Fetched:
        """Write what the URL gives to a file. Raises `FetchFailed`."""
        async with self._bounded(limits), self._open(url, limits) as (fetched, chunks):
            with await asyncio.to_thread(path.open, "wb") as file:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
            return fetched
        raise AssertionError("unreachable")  # the bounds raise, they do not suppress

    async def read(self, url: str, limits: Limits, *, cut: bool = False) -> tuple[Fetched, bytes]:
        """What the URL gives, in memory. `cut`: stop at the limit instead of failing. Raises `FetchFailed`."""
        found = bytearray()
        async with self._bounded(limits), self._open(url, limits) as (fetched, chunks):
            try:
                async for chunk in chunks:
                    found += chunk
            except TooLarge:
                if not cut:
                    raise
            return fetched, bytes(found)
        raise AssertionError("unreachable")  # likewise

    @staticmethod
    @asynccontextmanager
    async def _bounded(limits: Limits) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(limits.seconds):
                yield
        except TimeoutError as error:
            raise FetchFailed("the server of the URL took too long") from error
        except _Forbidden as error:
            raise FetchFailed("the URL leads to an address that may not be reached") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            if _forbidden(error):
                raise FetchFailed("the URL leads to an address that may not be reached") from error
            raise FetchFailed("the server of the URL cannot be reached, or breaks off") from error
        except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError, UnicodeError, ValueError, OSError) as error:
            raise FetchFailed("nothing can be fetched from the URL") from error

    @asynccontextmanager
    async def _open(self, url: str, limits: Limits) -> AsyncGenerator[tuple[Fetched, AsyncGenerator[bytes]]]:
        for _ in range(MOST_REDIRECTS + 1):
            parts = checked(url)
            headers = [
                (b"Accept", limits.accept.encode()),
                (b"Accept-Encoding", b"identity"),
                (b"User-Agent", b"Whatsam"),
            ]
            async with self._pool.stream(
                "GET", _wire(parts), headers=headers, extensions={"timeout": _timeouts()}
            ) as response:
                if response.status in _REDIRECTS:
                    url = urljoin(url, _header(response.headers, b"location"))
                    continue
                if response.status != _OK:
                    raise FetchFailed(f"the server of the URL answers {response.status}")
                fetched = _described(url, response.headers)
                _check_type(fetched, limits)
                announced = _header(response.headers, b"content-length")
                if announced.isdecimal() and int(announced) > limits.most_bytes and not limits.types:
                    raise TooLarge(f"the file has more than {limits.most_bytes} bytes")
                yield fetched, _counted(response, limits.most_bytes)
                return
        raise FetchFailed("the URL redirects too often")


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only. The name is resolved here, once, and the connection goes to that address."""

    def __init__(self, allowed: Sequence[Network], resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        # The library's stand-in for a missing anyio hides the type from checkers.
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect. Raises `_Forbidden` when any address of the name is out of bounds."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name cannot be resolved") from error
        if not addresses or not all(reachable(address, self._allowed) for address in addresses):
            raise _Forbidden("not a public address")
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """No tenant has business on our sockets."""
        raise _Forbidden("no sockets")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def checked(url: str) -> SplitResult:
    """The URL's parts. Raises `FetchFailed` for what is no plain http or https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise FetchFailed("this is no URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchFailed("a URL starts with http:// or https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise FetchFailed("a URL must not carry a password")
    if port not in _PORTS and port < _FIRST_FREE_PORT:
        raise FetchFailed("a URL may name the ports 80, 443 and those from 1024 on")
    return parts


def _wire(parts: SplitResult) -> httpcore.URL:
    host = (parts.hostname or "").encode("idna")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    quoted = "".join(one if "!" <= one <= "~" else _percent(one) for one in target)
    return httpcore.URL(scheme=parts.scheme.encode(), host=host, port=parts.port, target=quoted.encode())


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _timeouts() -> dict[str, float]:
    return {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "write": READ_SECONDS, "pool": CONNECT_SECONDS}


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1").strip() for key, value in headers if key.lower() == name), "")


def _described(url: str, headers: list[tuple[bytes, bytes]]) -> Fetched:
    kind, _, parameters = _header(headers, b"content-type").partition(";")
    charset = parameters.partition("charset=")[2].strip("\"' ").partition(";")[0] or None
    return Fetched(url, kind.strip().lower(), charset)


def _check_type(fetched: Fetched, limits: Limits) -> None:
    if limits.types:
        if not fetched.content_type.startswith(tuple(limits.types)):
            raise FetchFailed("the URL gives something else than asked for")
    elif fetched.content_type in ("text/html", "application/xhtml+xml"):
        raise FetchFailed("the URL gives a web page, not a file")


async def _counted(response: httpcore.Response, most: int) -> AsyncGenerator[bytes]:
    received = 0
    async for chunk in response.aiter_stream():
        room = most - received
        if len(chunk) > room:
            if room:
                yield chunk[:room]
            raise TooLarge(f"the file has more than {most} bytes")
        received += len(chunk)
        yield chunk


def _forbidden(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, _Forbidden):
            return True
        error = error.__cause__ or error.__context__
    return False


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]
