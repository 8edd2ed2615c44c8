"""A part of the cluster: carries connections from the doors on the machine's 127.0.0.1 to where they lead inside.

`python -m whatsam_local.relay FD=HOST:PORT ...`; the file descriptors are the doors' listening sockets. A connection
that finds nobody inside is closed at once, which looks to the caller like a refused one.
"""

import asyncio
import socket
import sys

from whatsam_local.pump import carry

_CONNECT_TIMEOUT = 5.0  # seconds; inside one machine a connection is refused or made at once, unless the part is frozen


async def main(doors: list[str]) -> None:
    for door in doors:
        number, _, target = door.partition("=")
        host, _, port = target.rpartition(":")
        listener = socket.socket(fileno=int(number))
        listener.setblocking(False)
        await asyncio.start_server(_forwarder(host, int(port)), sock=listener)
    await asyncio.Event().wait()


def _forwarder(host: str, port: int):
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        await carry((reader, writer), (inner_reader, inner_writer))

    return forward


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
