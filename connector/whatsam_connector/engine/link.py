"""The child's end of the socket to its supervisor.

Reading belongs to the main thread. Sending never waits: a handler of WhatsApp's events must not stand still for a
supervisor that is slow or frozen. What the kernel takes at once is given to it at once, the rest waits for a thread
that writes: a change of threads costs more than the write. When the socket breaks, the process ends: an engine without
supervisor has no right to go on.
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
        self._reader = self._socket.makefile("rb")
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._pending = 0
        self._written = threading.Condition()
        threading.Thread(target=self._write, name="link-writer", daemon=True).start()
        before_end(self.flush)

    def send(self, message: ToParent) -> None:
        """Hand a message over, behind those before it; returns at once."""
        data = frame(message)
        with self._written:
            taken = 0 if self._pending else self._at_once(data)  # else it would overtake what the thread still has
            if taken < len(data):
                self._pending += 1
                self._queue.put(data[taken:])

    def _at_once(self, data: bytes) -> int:
        """How many bytes the kernel took. A broken socket takes none: the thread that writes finds out and ends."""
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except OSError:
            return 0

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
        try:
            data = self._reader.read(count)
        except OSError:
            data = b""
        if len(data) < count:
            end(ExitCode.PARENT_GONE, "the supervisor closed the socket")
        return data

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
