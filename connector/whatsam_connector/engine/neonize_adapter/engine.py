"""neonize as an engine: opens the sessions of a process one after another. Called by the host."""

import time

from whatsam_connector.engine.ending import end
from whatsam_connector.engine.events import KeysUploaded
from whatsam_connector.engine.host import Session, Tools
from whatsam_connector.engine.neonize_adapter import library
from whatsam_connector.engine.protocol import Capabilities, ExitCode, SessionStart

START_INTERVAL_SECONDS = 0.015
"""Between two starts. A start writes neonize's unlocked map of clients; 50 sessions started like this were seen to
connect without a crash, starts that overlap other calls crash the process."""


class NeonizeEngine:
    """Runs sessions with neonize."""

    name = "neonize"
    capabilities = Capabilities(own_message_ids=False, ack_after_persist=False, passkey=False)

    def version(self) -> str:
        """neonize's version."""
        return library.version()

    def start(self, sessions: tuple[SessionStart, ...], tools: Tools) -> dict[str, Session]:
        """Load neonize, start every session, and wait until the last one has started."""

        def keys_uploaded() -> None:
            for session in sessions:
                tools.emit(KeysUploaded(session.uid))

        try:
            library.load(keys_uploaded)
            from whatsam_connector.engine.neonize_adapter.session import NeonizeSession
        except Exception as error:  # noqa: BLE001 - an import of a native library fails in many ways
            end(ExitCode.ENGINE_FAILED, f"neonize cannot be loaded: {type(error).__name__}: {error}")

        running: dict[str, NeonizeSession] = {}
        for number, session in enumerate(sessions):
            if number:
                time.sleep(START_INTERVAL_SECONDS)
            running[session.uid] = NeonizeSession(session, tools)
            running[session.uid].start()
        for session in running.values():
            session.wait_until_started()
        return {**running}
