"""Works off the commands of one session, one at a time, in a thread of its own.

neonize takes one send at a time per client and has no time-out: a second one would wait inside Go where nobody can take
it back. Here it waits where `cancel` still can, so that the supervisor learns that it was certainly not sent.
"""

import collections
import threading
from collections.abc import Callable

from whatsam_connector.engine.protocol import Answer, Refused


class CommandQueue:
    """Commands of one session. The thread starts with the first command."""

    def __init__(self, uid: str, answer: Callable[[Answer], None], may_begin: threading.Event) -> None:
        """`may_begin` is set when every session of the process has started: no command may run before."""
        self._uid = uid
        self._answer = answer
        self._may_begin = may_begin
        self._waiting: collections.OrderedDict[int, Callable[[], Answer]] = collections.OrderedDict()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, request: int, work: Callable[[], Answer]) -> None:
        """Queue `work`; its answer is sent when it is done. `work` must not raise."""
        with self._changed:
            self._waiting[request] = work
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="commands", daemon=True)
                self._thread.start()
            self._changed.notify()

    def cancel(self, request: int) -> None:
        """Take a command back when it has not begun; otherwise its own answer will come."""
        with self._changed:
            work = self._waiting.pop(request, None)
        if work is not None:
            self._answer(Refused(request, "NotStarted", "the session was busy until the time limit"))

    def _run(self) -> None:
        self._may_begin.wait()
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                _, work = self._waiting.popitem(last=False)
            self._answer(work())
