"""What follows from each thing that a working engine says. Pure; called by `transitions`."""

from dataclasses import replace
from datetime import datetime

from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.effects import CancelTimer, Effect, Flush, StartTimer, TryProxy
from whatsam_connector.sessions.inputs import Input, Timer
from whatsam_connector.sessions.moves import Step, connected, end_engine
from whatsam_connector.sessions.state import SessionState, ShownCode, Stage, Trouble
from whatsam_connector.sessions.timings import SessionTimings


def engine_says(state: SessionState, said: Input, now: datetime, timings: SessionTimings) -> Step:  # noqa: PLR0911, PLR0912  # one arm for each word
    match said:
        case inputs.CodeShown():
            if state.stage is not Stage.PAIRING:
                return state, ()
            code = ShownCode(said.qr, said.pairing_code, said.expires_at)
            return replace(state, code=code, trouble=None), ()
        case inputs.PasskeyAsked() | inputs.PasskeyTaken():
            return _passkey(state, said), ()
        case inputs.PasskeyRequired():
            return _passkey_required(state)
        case inputs.PairingFailed():
            return _pairing_failed(state, said)
        case inputs.DeviceLinked():
            linked = replace(
                state,
                stage=Stage.SECURING,
                linked=True,
                code=None,
                passkey_required=False,
                jid=said.jid,
                phone_number=said.phone_number or state.phone_number,
                push_name=said.push_name or state.push_name,
            )
            return linked, (StartTimer(Timer.LOGIN, timings.reconnect_limit), Flush())
        case inputs.LoggedIn():
            return _logged_in(state, said, now, timings)
        case inputs.OfflineQueueDrained():
            return replace(state, drained=state.logged_in), (CancelTimer(Timer.DRAIN),)
        case inputs.ConnectionLost():
            return _connection_lost(state, said, now, timings)
        case inputs.ProxyFailed():
            return _proxy_failed(state, said)
        case inputs.ConnectRefused():
            return _refused(state, said.reason, timings)
        case inputs.JournalFull():
            trouble = Trouble("JournalFull", f"{said.reason}: what has arrived must be stored before more may come")
            return end_engine(replace(state, trouble=trouble), at_once=False)
        case inputs.LoggedOutByPeer():
            return _logged_out(state, said.reason, timings)
        case inputs.Replaced():
            trouble = Trouble("StreamReplaced", "another connection logged in with this device")
            return end_engine(replace(state, halt=trouble), at_once=True)
        case inputs.Banned():
            return _banned(state, said, now, timings)
        case inputs.EngineOutdated():
            return _outdated(state)
        case inputs.EngineMoves():
            return _moves(state, said.reason)
        case inputs.Unanswered():
            return _deaf(state)
        case _:
            return state, ()


def _moves(state: SessionState, reason: str) -> Step:
    """A planned reconnect: only of a session that nothing else is going on with."""
    if state.stage not in (Stage.CONNECTED, Stage.CONNECTING) or state.stop is not None:
        return state, ()
    trouble = Trouble("EngineMoves", f"reconnecting in another engine process ({reason})")
    return end_engine(replace(state, trouble=trouble, restart_in=0.0), at_once=False)


def _deaf(state: SessionState) -> Step:
    """The engine would wait three minutes for a connection that may be dead. It has not worked: waits grow."""
    if not state.logged_in or state.stage not in (Stage.CONNECTED, Stage.SECURING):
        return state, ()
    trouble = Trouble("KeepAliveTimeout", "WhatsApp does not answer on this connection; making a new one")
    return end_engine(replace(state, trouble=trouble), at_once=False)


def _logged_in(state: SessionState, said: inputs.LoggedIn, now: datetime, timings: SessionTimings) -> Step:
    logged_in = replace(
        state,
        logged_in=True,
        drained=False,
        connected_at=now,
        last_connected_at=now,
        jid=said.jid or state.jid,
        push_name=said.push_name or state.push_name,
        trouble=None,
    )
    effects: tuple[Effect, ...] = (CancelTimer(Timer.LOGIN), StartTimer(Timer.DRAIN, timings.drain_limit))
    if state.stage is Stage.PAIRING:  # the link was not told, but a login without a device does not exist
        return replace(logged_in, stage=Stage.SECURING, linked=True, code=None), (*effects, Flush())
    if state.stage is Stage.SECURING:
        return logged_in, effects
    return connected(logged_in, effects)


def _connection_lost(state: SessionState, said: inputs.ConnectionLost, now: datetime, timings: SessionTimings) -> Step:
    if state.stage is Stage.PAIRING:
        return state, ()  # WhatsApp ends the stream of a pairing as its last step
    if state.stage is Stage.LOGGING_OUT:
        return state, ()  # it ends in `LogoutEnded`
    lost = replace(
        state,
        stage=Stage.SECURING if state.stage is Stage.SECURING else Stage.CONNECTING,
        logged_in=False,
        drained=False,
        last_connected_at=now if state.logged_in else state.last_connected_at,
        trouble=Trouble("Disconnected", f"the connection to WhatsApp ended ({said.reason}); connecting again"),
    )
    # Its own attempts come at growing distances: the loss of a login starts the clock, failed attempts do not.
    if state.logged_in:
        return lost, (CancelTimer(Timer.DRAIN), StartTimer(Timer.LOGIN, timings.reconnect_limit), TryProxy())
    return lost, (TryProxy(),)


def _proxy_failed(state: SessionState, failed: inputs.ProxyFailed) -> Step:
    if state.logged_in or state.stage not in (Stage.CONNECTING, Stage.SECURING):
        return state, ()
    return replace(state, trouble=Trouble(failed.reason, failed.message)), ()


def _passkey(state: SessionState, said: inputs.PasskeyAsked | inputs.PasskeyTaken) -> SessionState:
    if state.stage is not Stage.PAIRING:
        return state
    if isinstance(said, inputs.PasskeyAsked):
        shown = ShownCode(None, None, said.expires_at, passkey_request=said.request)
    else:
        # Nobody is asked twice: without a code to compare, the phone and the engine go on by themselves.
        request = state.code.passkey_request if state.code is not None and said.confirmation_code else None
        shown = ShownCode(None, None, said.expires_at, request, said.confirmation_code)
    return replace(state, code=shown, trouble=None)


def _passkey_required(state: SessionState) -> Step:
    if state.stage is not Stage.PAIRING:
        return state, ()
    return end_engine(replace(state, passkey_required=True), at_once=True)


def _pairing_failed(state: SessionState, said: inputs.PairingFailed) -> Step:
    if state.stage is not Stage.PAIRING:
        return state, ()
    without_code = replace(state, code=None)
    if said.expired:
        return end_engine(replace(without_code, restart_in=0.0, failures=0), at_once=True)
    trouble = Trouble("PairingFailed", f"the phone could not link the device ({said.reason}); a fresh code follows")
    return end_engine(replace(without_code, trouble=trouble), at_once=True)


_PERMANENT = frozenset({"GENERIC", "BAD_USER_AGENT", "CAT_INVALID", "CAT_EXPIRED", "NOT_FOUND", "CLIENT_UNKNOWN"})
"""Refusals that are no outage. `UNKNOWN_…`, whatever its number, is one of them."""


def _refused(state: SessionState, reason: str, timings: SessionTimings) -> Step:
    """An outage is waited for without an end, with growing waits; a refusal that stays is a person's affair."""
    if reason not in _PERMANENT and not reason.startswith("UNKNOWN_"):
        trouble = Trouble("ConnectFailure", f"WhatsApp refused the login: {reason}; trying again")
        return end_engine(replace(state, trouble=trouble), at_once=False)
    refused = replace(state, refusals=state.refusals + 1)
    if refused.refusals >= timings.most_refusals and state.stop is None:
        text = (
            f"WhatsApp refused the login {refused.refusals} times in a row ({reason}); upgrade the connector, "
            "or change spec.desiredState to Stopped and back to try again"
        )
        return end_engine(replace(refused, halt=Trouble("LoginRefused", text), refusals=0), at_once=True)
    trouble = Trouble("ConnectFailure", f"WhatsApp refused the login: {reason}; trying again")
    return end_engine(replace(refused, trouble=trouble), at_once=False)


def _logged_out(state: SessionState, reason: str, timings: SessionTimings) -> Step:
    if state.stage is Stage.LOGGING_OUT:
        return state, ()  # our own doing; `LogoutEnded` says how it went
    if state.promised and not state.doubted and state.stop is None:
        # The engine has deleted the device's rows, the store has not. One more login from there costs nothing.
        trouble = Trouble("LogoutUnconfirmed", f"WhatsApp says that the device is not linked ({reason}); asking again")
        doubted = replace(
            state, doubted=True, trouble=trouble, linked=False, prepared=False, restart_in=timings.logout_doubt
        )
        return end_engine(doubted, at_once=True)
    trouble = Trouble(
        "LoggedOut",
        f"WhatsApp says that the device is no longer linked ({reason}); its last state is kept. "
        "Delete the session and create it again to pair",
    )
    return end_engine(replace(state, halt=trouble, logged_out=True, linked=False), at_once=True)


def _banned(state: SessionState, said: inputs.Banned, now: datetime, timings: SessionTimings) -> Step:
    banned = replace(state, bans=state.bans + 1)
    wait = min(timings.shortest_ban * 2.0**state.bans, timings.longest_ban_wait)
    end = "" if said.until is None else f" until {said.until:%Y-%m-%d %H:%M:%S} UTC"
    if said.until is not None:
        wait = max(wait, (said.until - now).total_seconds())
    if banned.bans >= timings.most_bans and state.stop is None:
        text = (
            f"WhatsApp has banned the account {banned.bans} times in a row (code {said.code}); look at the phone, and "
            "change spec.desiredState to Stopped and back to try again"
        )
        return end_engine(replace(banned, halt=Trouble("TemporaryBan", text), bans=0), at_once=False)
    trouble = Trouble("TemporaryBan", f"WhatsApp has banned the account{end} (code {said.code}); trying again then")
    return end_engine(replace(banned, trouble=trouble, restart_in=wait), at_once=False)


def _outdated(state: SessionState) -> Step:
    trouble = Trouble("ClientOutdated", "WhatsApp does not accept this engine's version; upgrade the connector's image")
    return end_engine(replace(state, halt=trouble), at_once=True)
