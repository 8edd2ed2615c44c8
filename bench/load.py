"""Sends messages as fast as the answers come, and times each answer. Costs as little as it can: it shares the machine.

Each caller is one connection that sends one message after the other and waits for its answer, as a tenant's program
does. The same loop drives our REST API and the baseline.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from whatsam_local.driver.errors import DriverError


@dataclass(frozen=True)
class Call:
    """One request."""

    path: str
    headers: dict[str, str]
    body: dict[str, object]


@dataclass(frozen=True)
class Load:
    """What a run of callers came to."""

    seconds: float
    latencies: list[float]
    """Seconds, sorted."""
    statuses: dict[int, int]

    @property
    def per_second(self) -> float:
        """Messages that were sent in a second, all callers together."""
        return len(self.latencies) / self.seconds

    @property
    def p99_ms(self) -> float:
        """99 of 100 answers came within this."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * 0.99))]

    @property
    def median_ms(self) -> float:
        """Half of the answers came within this."""
        return 1000 * statistics.median(self.latencies)


def drive(url: str, callers: Sequence[Callable[[int], Call]], each: int) -> Load:
    """Each caller makes `each` calls, number 0 first. Raises `DriverError` when one is refused."""
    return asyncio.run(_drive(url, callers, each))


async def _drive(url: str, callers: Sequence[Callable[[int], Call]], each: int) -> Load:
    address = urlsplit(url)
    latencies: list[float] = []
    statuses: dict[int, int] = {}

    async def one(make: Callable[[int], Call]) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for number in range(each):
            request = _bytes(make(number))
            began = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            content = await reader.readexactly(_length(head))
            latencies.append(time.monotonic() - began)
            status = int(head.split(b" ", 2)[1])
            statuses[status] = statuses.get(status, 0) + 1
            if status >= 300:
                raise DriverError(f"a send was answered with {status}: {content[:200]!r}")
        writer.close()

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(one(caller))
    return Load(time.monotonic() - began, sorted(latencies), statuses)


def _bytes(call: Call) -> bytes:
    body = json.dumps(call.body).encode()
    headers = {"Host": "bench", "Content-Type": "application/json", "Content-Length": str(len(body)), **call.headers}
    lines = [f"POST {call.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise DriverError("an answer without a length")
