"""How a session gets its device: QR codes, a typed code, and the end of both.

neonize raises no event when a pairing fails or expires; the only word is a private callback (`onLoginStatus`), which is
replaced here before `connect()`. A pairing cannot be stopped either, so its end is the end of the process.
"""

import ctypes
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from neonize.client import NewClient

from whatsam_connector.engine.ending import end
from whatsam_connector.engine.events import PairingCodeShown, PairingEnd, PairingEnded, QrShown
from whatsam_connector.engine.protocol import ExitCode

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

FIRST_CODE = timedelta(seconds=60)
NEXT_CODE = timedelta(seconds=20)
ALL_CODES = timedelta(seconds=160)
"""whatsmeow shows six codes and gives up; the server closes the connection then, for a typed code too."""

LOGIN_AFTER_SCAN_SECONDS = 100.0
"""From the phone's approval to the login. whatsmeow waits 75 s for one unanswered request and only logs when the
reconnect after pairing fails."""

_SUCCESS = "success"
_GOES_ON = frozenset({"err-scanned-without-multidevice"})
_ENDS = {
    "timeout": (PairingEnd.TIMEOUT, ExitCode.PAIRING_TIMEOUT),
    "err-client-outdated": (PairingEnd.OUTDATED, ExitCode.PAIRING_FAILED),
    "passkey-request": (PairingEnd.PASSKEY, ExitCode.PAIRING_FAILED),
    "passkey-confirmation": (PairingEnd.PASSKEY, ExitCode.PAIRING_FAILED),
}


def subscribe(session: "NeonizeSession") -> None:
    """Hook the pairing of one session into its client, before it connects."""
    Pairing(session)


class Pairing:
    """The pairing of one session; idle when the file has a device already."""

    def __init__(self, session: "NeonizeSession") -> None:
        self._session = session
        self._first_shown: datetime | None = None
        session.client.qr(self._on_qr)
        session.client._NewClient__onLoginStatus = self._on_login_status  # type: ignore[attr-defined]  # no public hook

    def _on_qr(self, _client: NewClient, code: bytes) -> None:
        session = self._session
        now = datetime.now(UTC)
        first = self._first_shown is None
        if self._first_shown is None:
            self._first_shown = now
        session.has_started()
        method = session.start_request.pairing_method
        if method == "QR":
            session.emit(QrShown(session.uid, code.decode(), now + (FIRST_CODE if first else NEXT_CODE)))
        elif method == "Code" and first:
            # Not in this thread: it is the one in which neonize waits for the pairing to go on.
            threading.Thread(target=self._ask_for_code, name="pairing-code", daemon=True).start()
        elif method is None:
            session.fail("the session's file has no device, and no pairing was asked for")

    def _ask_for_code(self) -> None:
        session = self._session
        try:
            code = session.client.PairPhone(session.start_request.phone_number or "", show_push_notification=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no code to type
            self._ended(PairingEnd.ERROR, ExitCode.PAIRING_FAILED, f"no pairing code: {type(error).__name__}: {error}")
            return
        shown = self._first_shown or datetime.now(UTC)
        session.emit(PairingCodeShown(session.uid, code, shown + ALL_CODES))

    def _on_login_status(self, _uuid: int, status: int) -> None:
        word = ctypes.string_at(status).decode(errors="replace")
        if word == _SUCCESS:
            watchdog = threading.Timer(LOGIN_AFTER_SCAN_SECONDS, self._check_login)
            watchdog.daemon = True
            watchdog.start()
        elif word not in _GOES_ON:
            reason, code = _ENDS.get(word, (PairingEnd.ERROR, ExitCode.PAIRING_FAILED))
            self._ended(reason, code, f"pairing ended: {word}")

    def _check_login(self) -> None:
        if not self._session.connected.is_set():
            self._session.fail("no login after the pairing")

    def _ended(self, reason: PairingEnd, code: ExitCode, text: str) -> None:
        self._session.emit(PairingEnded(self._session.uid, reason))
        end(code, text)
