"""`kubectl get … --watch` as a live picture with times: what demo, benchmarks and tests wait on."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from whatsam_core.resources import Phase, WhatsAppSession
from whatsam_local.driver.errors import WaitedTooLong
from whatsam_local.driver.kubectl import Kubectl


@dataclass(frozen=True)
class Seen:
    """One state of a session, and when this process saw it (`time.monotonic`)."""

    at: float
    session: WhatsAppSession


@dataclass
class _Story:
    states: list[Seen] = field(default_factory=list[Seen])
    gone: bool = False


class SessionWatch:
    """Every change of every session, in order, from the moment it is entered.

    It survives an API server that goes away: kubectl is started again and the list is read anew.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._stories: dict[str, _Story] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, name="session-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        if self._process is not None:
            self._process.kill()
        self._thread.join(10)

    @staticmethod
    def clock() -> float:
        """The clock of all times here, in seconds."""
        return time.monotonic()

    def now(self, name: str) -> WhatsAppSession | None:
        """The session as last seen, or None."""
        with self._changed:
            story = self._stories.get(name)
            return None if story is None or story.gone or not story.states else story.states[-1].session

    def states(self, name: str, since: float = 0.0) -> list[Seen]:
        """All states seen at or after `since`, oldest first."""
        with self._changed:
            story = self._stories.get(name)
            return [seen for seen in story.states if seen.at >= since] if story else []

    def wait(self, what: str, condition: Callable[[], bool], timeout: float) -> float:
        """Wait until `condition` (which asks this watch) holds; the time when it did. Raises `WaitedTooLong`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WaitedTooLong(f"not within {timeout:g} s: {what}; seen: {self._summary()}")
                self._changed.wait(min(left, 1.0))
        return time.monotonic()

    def wait_phase(self, sessions: Iterable[str], phase: Phase, timeout: float) -> float:
        """Wait until all these sessions are in the phase."""
        wanted = list(sessions)
        return self.wait(
            f"{len(wanted)} sessions {phase}", lambda: all(self._in(name, phase) for name in wanted), timeout
        )

    def wait_phase_after(self, sessions: Iterable[str], phase: Phase, since: dict[str, int], timeout: float) -> float:
        """Wait until all are in the phase under a higher epoch than `since` says (by name)."""
        wanted = list(sessions)

        def there() -> bool:
            for name in wanted:
                session = self.now(name)
                if session is None or session.status.phase is not phase or session.status.epoch <= since[name]:
                    return False
            return True

        return self.wait(f"{len(wanted)} sessions {phase} in a new epoch", there, timeout)

    def wait_gone(self, name: str, timeout: float) -> float:
        """Wait until the object is gone."""
        return self.wait(f"{name} gone", lambda: self.now(name) is None, timeout)

    def first(self, name: str, test: Callable[[WhatsAppSession], bool], since: float = 0.0) -> float | None:
        """When the session first satisfied `test` at or after `since`."""
        return next((seen.at for seen in self.states(name, since) if test(seen.session)), None)

    def _in(self, name: str, phase: Phase) -> bool:
        session = self.now(name)
        return session is not None and session.status.phase is phase

    def _summary(self) -> str:
        def one(name: str, story: _Story) -> str:
            if story.gone or not story.states:
                return f"{name}: gone"
            session = story.states[-1].session
            stalled = [f"{c.type}={c.status}/{c.reason} {c.message}" for c in session.status.conditions]
            return f"{name}: {session.status.phase} e{session.status.epoch} [{'; '.join(stalled)}]"

        fine = [name for name, story in self._stories.items() if not story.gone and self._in(name, Phase.CONNECTED)]
        told = [one(name, story) for name, story in sorted(self._stories.items()) if name not in fine]
        return " | ".join([f"{len(fine)} sessions Connected", *told])

    def _follow(self) -> None:
        while not self._ending:
            command = self._kubectl.command("get", "was", "--watch", "--output-watch-events", "-o", "json")
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            with self._process as process:
                for line in process.stdout or ():
                    self._take(json.loads(line))
            time.sleep(0.2)  # the API server is away: kubectl ended, the next one tries again

    def _take(self, event: dict[str, Any]) -> None:
        if event.get("type") not in {"ADDED", "MODIFIED", "DELETED"}:
            return
        session = WhatsAppSession.from_wire(event["object"])
        with self._changed:
            story = self._stories.setdefault(session.metadata.name, _Story())
            story.gone = event["type"] == "DELETED"
            if not story.gone:
                story.states.append(Seen(time.monotonic(), session))
            self._changed.notify_all()
