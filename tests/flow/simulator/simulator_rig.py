"""neonize clients as processes that can be killed, for the simulator's flow tests."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

CHILD = Path(__file__).with_name("simulator_neonize_child.py")
WAIT_SECONDS = 40


class NeonizeClient:
    """One client with a store of its own; `start` may be called again after `kill`."""

    def __init__(self, name: str, directory: Path, environment: dict[str, str]) -> None:
        self.name, self.store = name, directory / f"{name}.db"
        self._environment = environment
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue()
        self.seen: list[dict[str, Any]] = []
        self._commands = self._starts = 0

    def start(self) -> NeonizeClient:
        self._starts += 1
        self._queue, self.seen = queue.Queue(), []
        read_end, write_end = os.pipe()
        environment = {**self._environment, "EVENTS_FD": str(write_end), "NEONIZE_BOT_TAG": "off"}
        with (self._directory / f"{self.name}.{self._starts}.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(CHILD), str(self.store), f"{self.name}-{self._starts}"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=(write_end,),
                text=True,
                cwd=self._directory,
            )
        os.close(write_end)
        threading.Thread(target=_pump, args=(os.fdopen(read_end), self._queue), daemon=True).start()
        return self

    def _next(self, wanted: Any, seconds: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + seconds
        while True:
            for event in self.seen:
                if not event.get("taken") and wanted(event):
                    event["taken"] = True
                    return event
            try:
                self.seen.append(self._queue.get(timeout=max(0.001, deadline - time.monotonic())))
            except queue.Empty:
                return None

    def wait(self, kind: str, seconds: float = WAIT_SECONDS, **fields: Any) -> dict[str, Any]:
        """The next event of that kind with those fields; each event is given out once."""
        event = self._next(
            lambda e: e.get("event") == kind and all(e.get(name) == value for name, value in fields.items()), seconds
        )
        if event is None:
            raise AssertionError(f"{self.name}: no {kind} {fields} in {seconds} s; saw {self.seen[-12:]}")
        return event

    def events(self, kind: str) -> list[dict[str, Any]]:
        while not self._queue.empty():
            self.seen.append(self._queue.get())
        return [event for event in self.seen if event.get("event") == kind]

    def call(self, command: str, **arguments: Any) -> Any:
        self._commands += 1
        number = self._commands
        process = self._running()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"command": command, "number_of_command": number, **arguments}) + "\n")
        process.stdin.flush()
        reply = self._next(lambda e: e.get("reply") == number, WAIT_SECONDS)
        if reply is None or "error" in reply:
            raise AssertionError(f"{self.name}: {command}: {reply}")
        return reply["value"]

    def set_name(self, name: str) -> None:
        """Needs the phone's app-state key, which comes a moment after the first `Connected`."""
        deadline = time.monotonic() + WAIT_SECONDS
        while "no app state keys" in (answer := self.call("try-set-name", text=name)):
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)

    def send(self, to: str, text: str, server: str = "s.whatsapp.net") -> str:
        return self.call("send", to=to, text=text, server=server)

    def do(self, expression: str, **variables: Any) -> Any:
        """Evaluates an expression of `client` and `jid(number, server)` in the client's process."""
        return self.call("evaluate", expression=expression, **variables)

    def kill(self) -> None:
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def close(self) -> None:
        if self._process is not None:
            self.kill()

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, f"{self.name} does not run"
        return self._process


def _pump(source: IO[str], target: queue.Queue[dict[str, Any]]) -> None:
    with source:
        for line in source:
            target.put(json.loads(line))
