"""A part of the cluster, only with `WHATSAPP=real make up`: the way out to the internet, an HTTP CONNECT proxy.

`python -m whatsam_local.egress FD PORT ...`: the listening socket lies inside the cluster's network, this process
outside it; only these ports may be asked for. Only engine processes are told of it; nothing else has a way out.
"""

import asyncio
import socket
import sys

from whatsam_local.pump import carry

_HEADER_TIMEOUT = 10.0  # seconds
_CONNECT_TIMEOUT = 20.0


async def main(number: str, ports: list[str]) -> None:
    listener = socket.socket(fileno=int(number))
    listener.setblocking(False)
    allowed = frozenset(ports)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve(reader, writer, allowed)

    server = await asyncio.start_server(serve, sock=listener)
    await server.serve_forever()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, allowed: frozenset[str]) -> None:
    try:
        async with asyncio.timeout(_HEADER_TIMEOUT):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        verb, target, *_ = head.split(None, 2)
        host, _, port = target.rpartition(":")
        if verb != "CONNECT" or not host:
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\n\r\n")
            return
        if port not in allowed:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")
            return
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                beyond = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError):
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
        await carry((reader, writer), beyond)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # not a proxy request, or the caller is gone
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
