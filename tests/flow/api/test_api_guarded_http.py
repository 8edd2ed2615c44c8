"""Fetching what tenants name: their URLs reach the internet, and our own network only where the platform allows it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from whatsam_api.storage.guarded_http import FetchFailed, GuardedHttp, Limits, TooLarge, checked

LOOPBACK = [ip_network("127.0.0.0/8")]
FILE = Limits(most_bytes=100_000, seconds=10)
Page = Callable[[str, dict[str, str]], bytes]


@asynccontextmanager
async def serving(page: Page) -> AsyncGenerator[int]:
    """A server on loopback that answers each path with what `page` makes of it; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            writer.write(page(head[0].split(" ")[1], headers))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answer(body: bytes, kind: str = "application/octet-stream", *more: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-type: {kind}", "connection: close", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def moved(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()


async def test_a_private_server_is_reached_only_where_that_is_allowed(tmp_path: Path) -> None:
    async with serving(lambda _path, _headers: answer(b"hello")) as port:
        url = f"http://127.0.0.1:{port}/file"
        with pytest.raises(FetchFailed, match="may not be reached"):
            await GuardedHttp().to_file(url, tmp_path / "no", FILE)
        fetched = await GuardedHttp(LOOPBACK).to_file(url, tmp_path / "yes", FILE)
        assert (tmp_path / "yes").read_bytes() == b"hello"
        assert fetched.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0", "2130706433"]
)
async def test_names_and_numbers_of_our_own_network_are_refused(host: str) -> None:
    with pytest.raises(FetchFailed):
        await GuardedHttp().read(f"http://{host}:8080/", FILE)


async def test_each_redirect_is_checked_anew() -> None:
    def page(path: str, _: dict[str, str]) -> bytes:
        return moved(path.removeprefix("/to/"))

    async with serving(page) as port:
        http = GuardedHttp(LOOPBACK)
        for target in ("http://10.0.0.1/", "http://169.254.169.254/latest/", "http://[fd00::1]/", "file:///etc/passwd"):
            with pytest.raises(FetchFailed):
                await http.read(f"http://127.0.0.1:{port}/to/{target}", FILE)
        with pytest.raises(FetchFailed, match="too often"):
            await http.read(f"http://127.0.0.1:{port}/to//to//to//to//to//to//to//to//x", FILE)


async def test_redirects_on_the_same_server_are_followed() -> None:
    async with serving(lambda path, _: answer(b"there") if path == "/there" else moved("/there")) as port:
        fetched, body = await GuardedHttp(LOOPBACK).read(f"http://127.0.0.1:{port}/here", FILE)
    assert (body, fetched.url) == (b"there", f"http://127.0.0.1:{port}/there")


async def test_a_name_that_changes_its_address_gains_nothing() -> None:
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["93.184.216.34"] if len(asked) % 2 == 0 else ["127.0.0.1"]

    http = GuardedHttp(resolve=rebinding)
    with pytest.raises(FetchFailed, match="may not be reached"):
        await http.read("http://rebind.example/", FILE)
    assert asked == ["rebind.example"], "resolved once: what is checked is what is connected to"

    async def mixed(_host: str, _port: int) -> Sequence[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(FetchFailed, match="may not be reached"):
        await GuardedHttp(resolve=mixed).read("http://mixed.example/", FILE)

    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(FetchFailed, match="cannot be reached"):
        await GuardedHttp(resolve=unknown).read("http://nowhere.example/", FILE)


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    hosts: list[str] = []

    def page(_: str, headers: dict[str, str]) -> bytes:
        hosts.append(headers["host"])
        return answer(b"ok")

    async def here(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with serving(page) as port:
        _, body = await GuardedHttp(LOOPBACK, resolve=here).read(f"http://pictures.example:{port}/", FILE)
        assert body == b"ok"
        assert hosts == [f"pictures.example:{port}"]


@pytest.mark.parametrize("announced", [True, False])
async def test_too_much_is_cut_off(tmp_path: Path, announced: bool) -> None:
    body = b"x" * 100_001
    more = [f"content-length: {len(body)}"] if announced else []
    async with serving(lambda _path, _headers: answer(body, "image/png", *more)) as port:
        with pytest.raises(TooLarge):
            await GuardedHttp(LOOPBACK).to_file(f"http://127.0.0.1:{port}/", tmp_path / "f", FILE)
        if not announced:
            _, kept = await GuardedHttp(LOOPBACK).read(f"http://127.0.0.1:{port}/", FILE, cut=True)
            assert len(kept) == 100_000


async def test_pages_errors_and_silence_are_no_files() -> None:
    pages = {
        "/page": answer(b"<html>", "text/html; charset=utf-8"),
        "/gone": b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "/garbage": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "/short": answer(b"abc", "image/png", "content-length: 10"),
    }
    async with serving(lambda path, _: pages[path]) as port:
        for path in pages:
            with pytest.raises(FetchFailed):
                await GuardedHttp(LOOPBACK).read(f"http://127.0.0.1:{port}{path}", FILE)


async def test_a_slow_server_is_given_up() -> None:
    over = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(FetchFailed, match="too long"):
        await GuardedHttp(LOOPBACK).read(f"http://127.0.0.1:{port}/", Limits(most_bytes=10, seconds=0.2))
    over.set()
    server.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "gopher://example.org/",
        "http://",
        "http://user:secret@example.org/",
        "http://example.org:22/",
        "http://example.org:0x50/",
        "http://example.org:99999/",
        "http://[::1/",
        "//example.org/",
    ],
)
def test_what_is_no_url_of_the_web(url: str) -> None:
    with pytest.raises(FetchFailed):
        checked(url)


async def test_odd_urls_are_refused_and_not_crashed_over() -> None:
    http = GuardedHttp()
    for url in (
        "http://" + "a" * 300 + ".example/",
        "http://exa mple/",
        "http://\u2100.example/",
        "http://a\x00b/",
        "http://.../",
    ):
        with pytest.raises(FetchFailed):
            await http.read(url, FILE)
