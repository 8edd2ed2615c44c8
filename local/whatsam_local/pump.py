"""Carries bytes both ways between two connections until both directions have ended. Used by relay and egress."""

import asyncio

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK = 1 << 16  # bytes


async def carry(one: Stream, other: Stream) -> None:
    """Returns when both sides are done. An end of file is passed on; a broken side breaks the other."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_one_way(one[0], other[1]))
            both.create_task(_one_way(other[0], one[1]))
    except* OSError:
        pass
    finally:
        one[1].close()
        other[1].close()


async def _one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
