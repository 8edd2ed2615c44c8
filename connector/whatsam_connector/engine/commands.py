"""Works off the commands of one lane, one at a time, in a thread of its own.

neonize takes one send at a time per client and has no time-out: a second one would wait inside Go where nobody can take
it back. Here it waits where `cancel` still can, so that the supervisor learns that it was certainly not sent.
"""

import collections
import threading
from collections.abc import Callable

from whatsam_connector.engine.protocol import Answer, Refused


class CommandQueue:
    """One lane. Its thread starts with the first command."""

    def __init__(
        self, name: str, answer: Callable[[Answer], None], may_begin: threading.Event, *, abandons: int = 0
    ) -> None:
        """`may_begin` is set when every session of the process has started: no command may run before.

        `abandons`: so many commands may be left behind unfinished: when nobody waits for the running one any more, the
        next one begins beside it. Each is a thread that hangs, and for an upload its memory too.
        """
        self._name = name
        self._answer = answer
        self._may_begin = may_begin
        self._may_abandon = abandons
        self._waiting: collections.OrderedDict[int, Callable[[], Answer]] = collections.OrderedDict()
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._running: int | None = None

    def put(self, request: int, work: Callable[[], Answer]) -> None:
        """Queue `work`; its answer is sent when it is done. `work` must not raise."""
        with self._changed:
            self._waiting[request] = work
            if self._worker is None:
                self._new_worker()
            self._changed.notify_all()

    def cancel(self, request: int) -> None:
        """Take a command back when it has not begun; otherwise its own answer will come, some time."""
        with self._changed:
            work = self._waiting.pop(request, None)
            if work is None and request == self._running and self._may_abandon:
                self._may_abandon -= 1
                self._running = None
                self._new_worker()
        if work is not None:
            self._answer(Refused(request, "NotStarted", "the session was busy until the time limit"))

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until nothing runs and nothing waits, at most so long. Whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running is None and not self._waiting, seconds)

    def _new_worker(self) -> None:
        self._worker = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._worker.start()

    def _run(self) -> None:
        self._may_begin.wait()
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                request, work = self._waiting.popitem(last=False)
                self._running = request
            self._answer(work())
            with self._changed:
                if self._worker is not threading.current_thread():
                    self._may_abandon += 1
                    return
                self._running = None
                self._changed.notify_all()
