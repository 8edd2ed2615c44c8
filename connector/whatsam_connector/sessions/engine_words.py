"""Translates what an engine says into what can happen to a session. Pure."""

from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.inputs import Input
from whatsam_connector.supervision import (
    ClientOutdated,
    Connected,
    ConnectFailure,
    Disconnected,
    EngineEvent,
    JournalFull,
    KeepAliveLost,
    LoggedOut,
    OfflineDrained,
    Paired,
    PairingCodeShown,
    PairingEnd,
    PairingEnded,
    PasskeyConfirmationShown,
    PasskeyRequested,
    QrShown,
    StreamReplaced,
    TemporaryBan,
)


def translate(event: EngineEvent) -> Input | None:  # noqa: PLR0911, PLR0912  # one arm for each word
    """The input for an event; None for those that are not about the session's life (journal, keys)."""
    match event:
        case QrShown():
            return inputs.CodeShown(event.code, None, event.expires_at)
        case PairingCodeShown():
            return inputs.CodeShown(None, event.code, event.expires_at)
        case PasskeyRequested():
            return inputs.PasskeyAsked(event.request, event.expires_at)
        case PasskeyConfirmationShown():
            return inputs.PasskeyTaken(event.code, event.expires_at)
        case PairingEnded(reason=PairingEnd.PASSKEY):
            return inputs.PasskeyRequired()
        case Paired():
            return inputs.DeviceLinked(event.jid, event.phone_number, event.push_name or None)
        case PairingEnded(reason=PairingEnd.OUTDATED) | ClientOutdated():
            return inputs.EngineOutdated()
        case PairingEnded():
            return inputs.PairingFailed(event.reason.value, expired=event.reason is PairingEnd.TIMEOUT)
        case Connected():
            return inputs.LoggedIn(event.jid, event.push_name or None)
        case OfflineDrained():
            return inputs.OfflineQueueDrained()
        case Disconnected():
            return inputs.ConnectionLost(event.reason)
        case LoggedOut():
            return inputs.LoggedOutByPeer(event.reason)
        case StreamReplaced():
            return inputs.Replaced()
        case TemporaryBan():
            return inputs.Banned(event.code, event.expires)
        case ConnectFailure():
            return inputs.ConnectRefused(event.reason)
        case JournalFull():
            return inputs.JournalFull(event.reason)
        case KeepAliveLost():
            return inputs.Unanswered()
        case _:
            return None
