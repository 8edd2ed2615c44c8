"""A TCP relay: both directions, each closed when its sender is done."""

import asyncio

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK = 1 << 16


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def relay(left: Connection, right: Connection) -> None:
    """Pass bytes until both sides are done; a broken side breaks the other."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(left[0], right[1]))
            group.create_task(_pump(right[0], left[1]))
    except* OSError:
        for _, writer in (left, right):
            writer.transport.abort()  # tells the other side of the reset
    finally:
        left[1].close()
        right[1].close()
