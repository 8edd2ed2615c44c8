"""In place of kube-proxy and CoreDNS: `python -m whatsam_local.node.services --kubeconfig F --dns-ip 10.88.0.1`.

Runs in the cluster's network namespace. For every Service its address goes on the loopback device, and a listener per
TCP port forwards to a ready endpoint. The client's address is lost on the way, and UDP is not served. DNS answers for
Services, headless Services and the stable names of StatefulSets; names outside of the cluster do not exist.
"""

import argparse
import asyncio
import contextlib
import itertools
import logging
import struct
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

from whatsam_local.node.api import Api
from whatsam_local.node.dns import answer
from whatsam_local.node.errors import NodeError, RequirementMissing
from whatsam_local.node.kinds import Json
from whatsam_local.node.pump import relay
from whatsam_local.node.requirements import missing_tools
from whatsam_local.node.service_table import Door, Key, ServiceTable, key_of

log = logging.getLogger("services")

_CONNECT_SECONDS = 2.0
_DNS_PORT = 53
_DNS_IDLE_SECONDS = 10.0
_API_SERVER = ("default", "kubernetes")


class Proxy:
    """The listeners."""

    def __init__(self, table: ServiceTable) -> None:
        self._table = table
        self._turn = itertools.count()
        self._open: dict[Door, asyncio.Server] = {}
        self._addresses: set[str] = set()
        self._wake = asyncio.Event()

    def touch(self) -> None:
        """The table has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Follow the table for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._sync()
            except OSError as error:
                log.warning("listeners: %s (tried again with the next change)", error)

    async def _sync(self) -> None:
        wanted = self._table.doors()
        for door in self._open.keys() - wanted:
            self._open.pop(door).close()
        own = self._table.services.get(_API_SERVER, {}).get("spec", {}).get("clusterIP")
        addresses = self._table.addresses() - {own}
        for address in self._addresses - addresses:
            await _ip("addr", "del", f"{address}/32", "dev", "lo")
        for address in addresses - self._addresses:
            await _ip("addr", "replace", f"{address}/32", "dev", "lo")
        self._addresses = addresses
        for door in wanted - self._open.keys():
            self._open[door] = await asyncio.start_server(
                self._forward(door), door.address, door.port, reuse_address=True
            )

    def _forward(self, door: Door) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(door, reader, writer)

        return serve

    async def _serve(self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        choices = [e for e in self._table.endpoints(door.service, door.port_name) if e.port]
        for _ in choices:
            endpoint = choices[next(self._turn) % len(choices)]
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    backend = await asyncio.open_connection(endpoint.address, endpoint.port)
            except (OSError, TimeoutError):
                continue
            await relay((reader, writer), backend)
            return
        writer.transport.abort()  # a reset: nobody answers here


async def _ip(*words: str) -> None:
    process = await asyncio.create_subprocess_exec("ip", *words, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    if process.returncode:
        raise OSError(f"ip {' '.join(words)}: {errors.decode(errors='replace').strip()}")


class Dns(asyncio.DatagramProtocol):
    """Answers over UDP."""

    def __init__(self, table: ServiceTable) -> None:
        self._table = table
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        # no isinstance: Python 3.11's datagram transport does not derive from the class it implements
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One query."""
        if self._transport and (reply := answer(data, self._table.resolve)):
            self._transport.sendto(reply, addr)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Queries over TCP, each with its length in front."""
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            while True:
                async with asyncio.timeout(_DNS_IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    query = await reader.readexactly(length)
                reply = answer(query, self._table.resolve, limit=None)
                if reply is None:
                    break
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        writer.close()


Store = dict[Key, Json]


def _keep(store: Store, after: Callable[[], None]) -> tuple[Callable[[list[Json]], None], Callable[[str, Json], None]]:
    """Handlers of a watch that keep a store equal to the API server's objects."""

    def on_list(items: list[Json]) -> None:
        store.clear()
        store.update({key_of(obj): obj for obj in items})
        after()

    def on_event(kind: str, obj: Json) -> None:
        if kind == "DELETED":
            store.pop(key_of(obj), None)
        else:
            store[key_of(obj)] = obj
        after()

    return on_list, on_event


async def run_services(kubeconfig: Path, dns_address: str) -> None:
    """Serve for ever. Raises `RequirementMissing` and OSError at start only."""
    if problems := [problem for problem in missing_tools() if problem.startswith("`ip`")]:
        raise RequirementMissing("\n".join(problems))
    table = ServiceTable()
    proxy = Proxy(table)
    api = Api(kubeconfig)
    dns = Dns(table)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: dns, local_addr=(dns_address, _DNS_PORT))
    await asyncio.start_server(dns.serve_tcp, dns_address, _DNS_PORT)
    async with asyncio.TaskGroup() as group:
        group.create_task(proxy.run())
        group.create_task(api.reflect("/api/v1/services", {}, *_keep(table.services, proxy.touch)))
        slices = "/apis/discovery.k8s.io/v1/endpointslices"
        group.create_task(api.reflect(slices, {}, *_keep(table.slices, proxy.touch)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="python -m whatsam_local.node.services", description="ClusterIPs and DNS.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--dns-ip", required=True, help="where to answer DNS queries")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        asyncio.run(run_services(given.kubeconfig, given.dns_ip))
    except (NodeError, OSError) as error:
        sys.exit(f"whatsam services: {error}")


if __name__ == "__main__":
    main()
