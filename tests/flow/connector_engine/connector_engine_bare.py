"""An engine child without a supervisor: the test is the other end of its socket and says what no supervisor would."""

import os
import socket
import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from connector_engine_rig import LIMIT_SECONDS
from connector_engines import Engine

from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.engine.protocol import Answer, EventFrame, ToEngine, ToParent, for_parent
from whatsam_connector.engine.wire import LENGTH, frame, frame_length
from whatsam_connector.fence import boottime


class Bare:
    """One child."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        *,
        deadline: float,
        parent: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.settimeout(LIMIT_SECONDS)
        path = folder / "e.sock"
        path.unlink(missing_ok=True)
        self.listener.bind(str(path))
        self.listener.listen()
        arguments = ["--socket", str(path), "--deadline", str(deadline), "--parent", str(parent)]
        self.process = subprocess.Popen(
            [*engine.program, *arguments], stderr=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
        )

    def hello(self) -> socket.socket:
        """The child's connection, behind its hello."""
        connection, _ = self.listener.accept()
        connection.settimeout(LIMIT_SECONDS)
        length = int.from_bytes(connection.recv(4, socket.MSG_WAITALL))
        assert b'"Hello"' in connection.recv(length, socket.MSG_WAITALL)
        return connection

    def code(self) -> int:
        """How it ended, waiting for that if need be."""
        try:
            return self.process.wait(LIMIT_SECONDS)
        finally:
            self.end()

    def end(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        self.listener.close()


class Talk:
    """Requests and answers over a child's connection, in the order of the test."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.answers: list[Answer] = []
        self.events: list[EngineEvent] = []

    def say(self, *messages: ToEngine) -> None:
        self._connection.sendall(b"".join(frame(message) for message in messages))

    def hear(self, enough: Callable[[], bool]) -> None:
        """Read until there is enough; raises TimeoutError when nothing comes for the limit."""
        while not enough():
            length = frame_length(self._exactly(LENGTH.size))
            message: ToParent = for_parent.decode(self._exactly(length))
            if isinstance(message, EventFrame):
                self.events.append(message.event)
            elif isinstance(message, Answer):
                self.answers.append(message)

    def answered(self) -> list[int]:
        """The ids that have an answer, once for each."""
        return [answer.id for answer in self.answers]

    def _exactly(self, count: int) -> bytes:
        data = self._connection.recv(count, socket.MSG_WAITALL)
        assert len(data) == count, "the engine has closed the socket"
        return data


@contextmanager
def talking(engine: Engine, folder: Path, environment: Mapping[str, str]) -> Generator[Talk]:
    """A child for as long as the block lasts."""
    bare = Bare(engine, folder, deadline=boottime() + 600, parent=os.getpid(), environment=environment)
    try:
        with bare.hello() as connection:
            yield Talk(connection)
    finally:
        bare.end()
