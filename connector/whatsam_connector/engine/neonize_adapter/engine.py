"""neonize as an engine: opens the sessions of a process one after another. Called by the host."""

import threading
import time

from whatsam_connector.engine.ending import end
from whatsam_connector.engine.host import Session, Tools
from whatsam_connector.engine.neonize_adapter import library
from whatsam_connector.engine.protocol import Capabilities, ExitCode, SessionStart

START_INTERVAL_SECONDS = 0.015
"""Between two starts. A start writes neonize's unlocked map of clients; 50 sessions started like this were seen to
connect without a crash, starts that overlap other calls crash the process."""

MAPS_WRITTEN_SECONDS = 5.0
"""neonize writes its maps before it dials, as soon as the session's file is open: some 10 ms. A session that is still
dialing after this long (a dead proxy, a silent server) must not keep the commands of the others waiting."""


class NeonizeEngine:
    """Runs sessions with neonize."""

    name = "neonize"
    capabilities = Capabilities(own_message_ids=False, ack_after_persist=False, passkey=False)

    def version(self) -> str:
        """neonize's version."""
        return library.version()

    def load(self) -> None:
        """Load neonize and everything that works on it."""
        try:
            library.load()
            from whatsam_connector.engine.neonize_adapter import session  # noqa: F401  # pyright: ignore[reportUnusedImport] - for its effect
        except Exception as error:  # noqa: BLE001 - an import of a native library fails in many ways
            end(ExitCode.ENGINE_FAILED, f"neonize cannot be loaded: {type(error).__name__}: {error}")

    def start(self, sessions: tuple[SessionStart, ...], tools: Tools) -> dict[str, Session]:
        """Start every session, and wait until the last one has started. `load` has been called."""
        from whatsam_connector.engine.neonize_adapter.session import START_LIMIT_SECONDS, NeonizeSession

        library.set_level(debug=any(session.debug for session in sessions))
        running: dict[str, NeonizeSession] = {}
        for number, session in enumerate(sessions):
            if number:
                time.sleep(START_INTERVAL_SECONDS)
            running[session.uid] = NeonizeSession(session, tools)
            running[session.uid].start()
        written = time.monotonic() + MAPS_WRITTEN_SECONDS
        for session in running.values():
            session.wait_until_started(written - time.monotonic())
        limit = time.monotonic() + START_LIMIT_SECONDS

        def check_starts() -> None:
            for session in running.values():
                session.check_start(limit - time.monotonic())

        threading.Thread(target=check_starts, name="start-limit", daemon=True).start()
        return {**running}
