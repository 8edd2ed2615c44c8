"""One WhatsApp session on one neonize client: its threads, its state, its end.

`connect()` blocks for the whole life of the client in a thread of its own. Events come in one after another on a thread
of Go. What they mean is decided in `pairing`, `connection`, `inbound`, `receipts`, `groups`, `contacts`, `phone_calls`
and `history`.
"""

import sys
import threading
from collections.abc import Callable

from neonize.client import NewClient, ProxySettings
from neonize.proto.Neonize_pb2 import Device
from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps

from whatsam_connector.engine.ending import end
from whatsam_connector.engine.events import ConnectFailure
from whatsam_connector.engine.host import Tools
from whatsam_connector.engine.neonize_adapter import (
    calling,
    connection,
    contacts,
    groups,
    history,
    inbound,
    pairing,
    phone_calls,
    receipts,
    sending,
)
from whatsam_connector.engine.neonize_adapter.activity import HandlerActivity
from whatsam_connector.engine.neonize_adapter.jids import parse_jid
from whatsam_connector.engine.neonize_adapter.logs import SessionLog, connect
from whatsam_connector.engine.neonize_adapter.subscription import Delivery
from whatsam_connector.engine.protocol import Answer, Call, ExitCode, Logout, Send, SessionStart
from whatsam_connector.journal import InboundReceipt, JournalClosed, JournalRecord, JournalWriteError, ReceiptKind

START_LIMIT_SECONDS = 60.0
"""How long the first connection may take; beyond it the session leaves and the supervisor tries again."""

_NAME_ON_THE_PHONE = "Whatsam"
"""Shown in the phone's list of linked devices."""


def name_client(client: NewClient, uid: str) -> None:
    """Give the client a name of its own in neonize's maps, and keep its finalizer from stopping anybody.

    neonize calls a client by its phone number as soon as there is a JID, so two devices of one account in one process
    would share a name, and the second would take the events of the first.
    """
    client.uuid = client.contact.uuid = client.chat_settings.uuid = uid.encode()
    client._stop_finalizer.detach()  # pyright: ignore[reportPrivateUsage] - it would stop whoever has this name then


class NeonizeSession:
    """A running session. Made and started by the engine, once; it never stops and starts again."""

    def __init__(self, start: SessionStart, tools: Tools) -> None:
        self.uid = start.uid
        self.start_request = start
        self.emit = tools.emit
        self.device: Device | None = None
        """Who we are, as neonize told right after its start; None while pairing."""
        self.connected = threading.Event()
        self._committer = tools.committer
        self._journal = tools.journals[start.uid]
        self._activity = HandlerActivity()
        self._started = threading.Event()
        self._all_started = tools.started
        self._alone = tools.alone
        self._leaving = False
        self._failed = threading.Lock()
        self._disconnecting = threading.Lock()
        self.client = NewClient(
            start.database,
            jid=parse_jid(start.jid) if start.jid else None,
            props=DeviceProps(os=_NAME_ON_THE_PHONE, platformType=DeviceProps.CHROME),
            uuid=start.uid,
        )
        name_client(self.client, start.uid)
        self.bytes_handlers: dict[int, Callable[[bytes], None]] = {}
        """Handlers of events that are not parsed, by neonize's number; see `subscription.on_bytes`."""
        for topic in (pairing, connection, inbound, receipts, groups, contacts, phone_calls, history):
            topic.subscribe(self)
        # neonize takes the callback from the instance when it connects: the one place where every event passes.
        self._execute = Delivery(self)
        self.client.event.execute = self._guarded_execute  # type: ignore[method-assign]

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        threading.Thread(target=self._run, name="session", daemon=True).start()

    def wait_until_started(self, seconds: float) -> None:
        """Return when neonize has written its maps (it showed a code or said who we are), or after so long."""
        self._started.wait(seconds)

    def check_start(self, seconds: float) -> None:
        """Fail unless the first connection comes up within so long."""
        if not self._started.wait(seconds):
            self.fail("the connection did not come up in time")

    def has_started(self) -> None:
        """neonize has called us back: its maps have this client from now on."""
        self._started.set()

    def fail(self, reason: str, code: ExitCode = ExitCode.CONNECT_FAILED) -> None:
        """Report that the session cannot go on in this process. Alone it ends the process, among others it leaves.

        Whatever has failed, Go may still be connected and acknowledge messages that nobody hears of: so it is
        disconnected at once, and the supervisor's `Disconnect` finds that done.
        """
        if not self._failed.acquire(blocking=False):
            return
        self.emit(ConnectFailure(self.uid, reason))
        if self._alone:
            end(code, reason)
        print(f"engine: a session failed: {reason}", file=sys.stderr, flush=True)
        self._started.set()  # the others need not wait for it
        threading.Thread(target=self._hang_up, name="hang-up", daemon=True).start()

    def _hang_up(self) -> None:
        self._all_started.wait()
        self.disconnect()

    def _run(self) -> None:
        try:
            proxy = self.start_request.proxy
            connect(self.client, SessionLog(self), ProxySettings(proxy) if proxy else None)
        except BaseException as error:  # noqa: BLE001 - after any exception the Go client goes on acknowledging messages
            self.fail(f"{type(error).__name__}: {error}")
        if not self._leaving:
            self.fail("neonize ended the session")

    def _guarded_execute(self, uuid: int, binary: int, size: int, code: int) -> None:
        """Every event passes here. ctypes would print an exception and drop the event: the session fails instead."""
        with self._activity.handling():
            try:
                self._execute(uuid, binary, size, code)
                if code == 0:  # the device: neonize tells once, at the start of its event loop
                    self.device = self.client.me
                    self.has_started()
            except JournalWriteError as error:
                end(ExitCode.JOURNAL_FAILED, str(error))
            except JournalClosed:
                # It came after the session had left: WhatsApp has no acknowledgement, the connection was closed.
                print(f"engine: event {code} came after its session had left", file=sys.stderr, flush=True)
            except BaseException as error:  # noqa: BLE001 - see above
                self.fail(f"event {code}: {type(error).__name__}: {error}", ExitCode.ENGINE_FAILED)

    # --- for the handlers ---------------------------------------------------------------------------------------------

    def keep(self, record: JournalRecord | None, *, is_message: bool) -> None:
        """Append an inbound event to the journal (None: nothing to show, but keys have changed) and tell of it.

        `is_message`: decrypting it has changed the session's file.
        """
        if record is not None:
            self._journal.append(record)
        receipt = isinstance(record, InboundReceipt) and record.kind is not ReceiptKind.RETRY
        self._committer.touch(self.uid, self._journal, is_message=is_message, can_wait=receipt)

    # --- for the host -------------------------------------------------------------------------------------------------

    def send(self, request: Send) -> Answer:
        """Send one message and wait for WhatsApp's answer."""
        return sending.send(self, request)

    def call(self, request: Call) -> Answer:
        """Carry out one call."""
        return calling.call(self, request)

    def logout(self, request: Logout) -> Answer:
        """Unlink the device."""
        return sending.logout(self, request)

    def disconnect(self) -> None:
        """Close the connection and wait until the handlers have worked off what had arrived.

        While pairing there is nothing to drain, and neonize's own stop would hang for ever: the process just ends.
        """
        self._leaving = True
        if self.device is None and self.start_request.pairing_method is not None:
            return
        with self._disconnecting:
            while True:
                self.client.disconnect()
                self._activity.wait_until_quiet()
                # whatsmeow forgets a disconnect that falls between the wait and the dial of its own reconnect.
                if not self.client.is_connected:
                    return
