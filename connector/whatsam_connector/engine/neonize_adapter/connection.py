"""Connection events of neonize → events of the engine. See docs on neonize for what the server does to cause them."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from neonize.events import (
    ClientOutdatedEv,
    ConnectedEv,
    ConnectFailureEv,
    DisconnectedEv,
    KeepAliveRestoredEv,
    KeepAliveTimeoutEv,
    LoggedOutEv,
    OfflineSyncCompletedEv,
    StreamErrorEv,
    StreamReplacedEv,
    TemporaryBanEv,
)
from neonize.proto.Neonize_pb2 import ConnectFailureReason

from whatsam_connector.engine.events import (
    ClientOutdated,
    Connected,
    ConnectFailure,
    Disconnected,
    KeepAliveLost,
    KeepAliveRestored,
    LoggedOut,
    OfflineDrained,
    Paired,
    StreamReplaced,
    TemporaryBan,
)
from whatsam_connector.engine.neonize_adapter.jids import jid_text, person_text
from whatsam_connector.engine.neonize_adapter.subscription import on

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession


def subscribe(session: "NeonizeSession") -> None:
    """Subscribe one session to everything that happens to its connection."""
    emit, uid = session.emit, session.uid
    untold_device = session.start_request.jid is None

    def connected(_event: ConnectedEv) -> None:
        nonlocal untold_device
        device = session.device
        if device is None:  # neonize tells the device before any event
            raise RuntimeError("connected without a device")
        jid, push_name = jid_text(device.JID), device.PushName or None
        if untold_device:
            untold_device = False
            emit(Paired(uid, jid, person_text(device.LID), device.JID.User, push_name))
        session.connected.set()
        emit(Connected(uid, jid, push_name, person_text(device.LID)))

    def disconnected(_event: DisconnectedEv) -> None:
        session.connected.clear()
        emit(Disconnected(uid, "ConnectionLost"))

    def stream_error(event: StreamErrorEv) -> None:
        session.connected.clear()
        emit(Disconnected(uid, f"StreamError:{event.Code}"))

    def logged_out(event: LoggedOutEv) -> None:
        session.connected.clear()
        emit(LoggedOut(uid, ConnectFailureReason.Name(event.Reason), event.OnConnect))

    def replaced(_event: StreamReplacedEv) -> None:
        session.connected.clear()
        emit(StreamReplaced(uid))

    def banned(event: TemporaryBanEv) -> None:
        session.connected.clear()
        expires = datetime.now(UTC) + timedelta(seconds=event.Expire)
        emit(TemporaryBan(uid, TemporaryBanEv.TempBanReason.Name(event.Code), expires))

    def connect_failure(event: ConnectFailureEv) -> None:
        session.connected.clear()
        emit(ConnectFailure(uid, ConnectFailureReason.Name(event.Reason)))

    def outdated(_event: ClientOutdatedEv) -> None:
        session.connected.clear()
        emit(ClientOutdated(uid))

    on(session, ConnectedEv, connected)
    on(session, DisconnectedEv, disconnected)
    on(session, StreamErrorEv, stream_error)
    on(session, LoggedOutEv, logged_out)
    on(session, StreamReplacedEv, replaced)
    on(session, TemporaryBanEv, banned)
    on(session, ConnectFailureEv, connect_failure)
    on(session, ClientOutdatedEv, outdated)
    on(session, KeepAliveTimeoutEv, lambda event: emit(KeepAliveLost(uid, event.ErrorCount)))
    on(session, KeepAliveRestoredEv, lambda _event: emit(KeepAliveRestored(uid)))
    on(session, OfflineSyncCompletedEv, lambda event: emit(OfflineDrained(uid, event.Count)))
