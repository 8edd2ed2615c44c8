"""Relay and egress carry bytes both ways, ends of files included, and survive bad peers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from whatsam_local import egress, relay

PATIENCE = 10.0


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that answers after the end of what it was told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read() + b">")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def running(make_main: object) -> AsyncIterator[int]:
    """A relay or egress on a door of its own."""
    door = socket.create_server(("127.0.0.1", 0))
    port = door.getsockname()[1]
    task = asyncio.create_task(make_main(door.detach()))  # type: ignore[operator] # a callable, told by its callers
    try:
        yield port
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def talk(port: int, say: bytes) -> bytes:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(say)
        writer.write_eof()
        try:
            return await reader.read()
        except ConnectionResetError:
            return b"reset"
        finally:
            writer.close()


async def test_the_relay_carries_a_megabyte_there_and_back():
    payload = bytes(range(256)) * 4096
    async with echo() as inside, running(lambda fd: relay.main([f"{fd}=127.0.0.1:{inside}"])) as door:
        assert await talk(door, payload) == b"<" + payload + b">"


async def test_nobody_inside_looks_like_a_refused_connection():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with running(lambda fd: relay.main([f"{fd}=127.0.0.1:{port}"])) as door:
        assert await talk(door, b"") in (b"", b"reset")


async def test_egress_connects_to_where_it_is_asked_to():
    async with echo() as beyond, running(lambda fd: egress.main(str(fd), [str(beyond)])) as door:
        said = await talk(door, f"CONNECT 127.0.0.1:{beyond} HTTP/1.1\r\nHost: x\r\n\r\nhello".encode())
    assert said == b"HTTP/1.1 200 Connection Established\r\n\r\n<hello>"


async def test_egress_refuses_everything_else_and_stays():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with running(lambda fd: egress.main(str(fd), [str(port)])) as door:
        for bad in (b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n", b"CONNECT nowhere HTTP/1.1\r\n\r\n"):
            assert b" 405 " in await talk(door, bad)
        assert b" 403 " in await talk(door, b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n")
        assert await talk(door, b"\xff\r\n\r\n") in (b"", b"reset")
        assert await talk(door, b"") == b""
        assert b" 502 " in await talk(door, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
