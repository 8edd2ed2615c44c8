"""The child's end of the socket to its supervisor.

Reading belongs to the main thread. Sending only queues: a handler of WhatsApp's events must never wait for a supervisor
that is slow or frozen. When the socket breaks, the process ends: an engine without supervisor has no right to go on.
"""

import queue
import socket
import threading
import time
from collections.abc import Iterator

from whatsam_connector.engine.ending import before_end, end
from whatsam_connector.engine.protocol import ExitCode, ToEngine, ToParent, for_engine
from whatsam_connector.engine.wire import LENGTH, WireError, frame, frame_length


class Link:
    """One connected socket, one thread that writes."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            end(ExitCode.PARENT_GONE, f"the supervisor's socket: {error.strerror}")
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._pending = 0
        self._written = threading.Condition()
        threading.Thread(target=self._write, name="link-writer", daemon=True).start()
        before_end(self.flush)

    def send(self, message: ToParent) -> None:
        """Queue a message; returns at once."""
        data = frame(message)
        with self._written:
            self._pending += 1
        self._queue.put(data)

    def flush(self, seconds: float) -> None:
        """Wait until everything queued is in the kernel's hands, at most `seconds`."""
        deadline = time.monotonic() + seconds
        with self._written:
            while self._pending and (left := deadline - time.monotonic()) > 0:
                self._written.wait(left)

    def messages(self) -> Iterator[ToEngine]:
        """Messages of the supervisor; ends the process when the socket closes or brings garbage."""
        while True:
            try:
                yield for_engine.decode(self._exactly(frame_length(self._exactly(LENGTH.size))))
            except WireError as error:
                end(ExitCode.PROTOCOL_ERROR, f"garbage on the socket: {error}")

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                chunk = self._socket.recv(count - len(data))
            except OSError:
                chunk = b""
            if not chunk:
                end(ExitCode.PARENT_GONE, "the supervisor closed the socket")
            data += chunk
        return bytes(data)

    def _write(self) -> None:
        while True:
            data = self._queue.get()
            try:
                self._socket.sendall(data)
            except OSError:
                with self._written:
                    self._pending = 0  # nobody is left to hear the last words
                    self._written.notify_all()
                end(ExitCode.PARENT_GONE, "the supervisor's socket broke")
            with self._written:
                self._pending -= 1
                self._written.notify_all()
