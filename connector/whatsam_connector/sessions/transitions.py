"""The life of a session as a pure function: `step(state, input) -> (state, effects)`. Driven by the runner alone.

Laws that the property tests hold it to: `Paired` is never said before the store has the device's state; no engine is
started while one lives, while fenced, or after a handover; files are released or deleted only without an engine.
"""

from dataclasses import replace
from datetime import datetime

from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.effects import (
    BackOff,
    CancelTimer,
    Effect,
    EndEngine,
    Flush,
    Forget,
    LogOut,
    Prepare,
    Release,
    Spawn,
    StartTimer,
)
from whatsam_connector.sessions.inputs import Input, StopReason, Timer
from whatsam_connector.sessions.state import SessionState, ShownCode, Stage, Trouble
from whatsam_connector.sessions.timings import SessionTimings
from whatsam_connector.state.records import PrepareOutcome
from whatsam_core.resources.session import Handover

Step = tuple[SessionState, tuple[Effect, ...]]

_WITH_ENGINE = frozenset({Stage.PAIRING, Stage.SECURING, Stage.CONNECTING, Stage.CONNECTED, Stage.LOGGING_OUT})
_IDLE = frozenset({Stage.NEW, Stage.WAITING, Stage.FENCED, Stage.HALTED})

_HOPELESS = {
    PrepareOutcome.EPOCH_BEHIND: ("EpochBehindStore", "the object store holds a newer epoch; a higher one is needed"),
    PrepareOutcome.MISSING: (
        "AuthStateMissing",
        "a device is linked, but its auth state is not in the object store; restore the store, "
        "or delete the session and pair again",
    ),
    PrepareOutcome.FOREIGN_TENANT: ("StateOfAnotherTenant", "the stored auth state belongs to another tenant"),
    PrepareOutcome.NEWER_ENGINE: (
        "EngineTooOld",
        "the auth state was written by a newer engine; upgrade the connector",
    ),
    PrepareOutcome.DAMAGED: ("AuthStateDamaged", "no stored auth state passes its checks; all of it was kept"),
}
_STORE_AWAY = "the object store does not answer; trying again"


def step(state: SessionState, happened: Input, now: datetime, timings: SessionTimings) -> Step:  # noqa: PLR0911, PLR0912  # one arm for each input
    """What a session becomes, and what is to be done, when something happens to it at `now`."""
    if isinstance(happened, inputs.EngineGone):
        return _engine_gone(state, happened, now, timings)
    if isinstance(happened, inputs.AssignmentLost):
        return _lost(state, happened)
    if isinstance(happened, inputs.EngineStartFailed):
        failed = replace(state, engine=False)
        return _forget(failed) if state.stage is Stage.LOST else _start_failed(failed, happened, timings)
    if state.stage.final:
        return state, ()
    match happened:
        case inputs.Begin():
            return _next(state) if state.stage is Stage.NEW else (state, ())
        case inputs.PrepareEnded():
            return _prepared(state, happened, timings)
        case inputs.EngineStarted():
            return _started(state, timings)
        case inputs.Stop():
            return _stop(state, happened.reason, timings)
        case inputs.SoftFenced():
            return _fence(state)
        case inputs.LeaseResumed():
            resumed = replace(state, fenced=False)
            return _next(resumed) if state.stage is Stage.FENCED else (resumed, ())
        case inputs.PairingAskedAnew() if state.stage is Stage.PAIRING:
            return _end(replace(state, restart_in=0.0), at_once=True)
        case inputs.FlushEnded():
            return _flushed(state, happened, now, timings)
        case inputs.ReleaseEnded():
            return _released(state, happened, timings)
        case inputs.LogoutEnded():
            return _logout_ended(state, happened)
        case inputs.TimerFired():
            return _timer(state, happened.timer)
        case _:
            pass
    if state.stage not in _WITH_ENGINE:
        return state, ()  # the last words of an engine that is ending
    return _engine_says(state, happened, now, timings)


def _engine_says(state: SessionState, said: Input, now: datetime, timings: SessionTimings) -> Step:  # noqa: PLR0911, PLR0912  # one arm for each word
    match said:
        case inputs.CodeShown():
            if state.stage is not Stage.PAIRING:
                return state, ()
            code = ShownCode(said.qr, said.pairing_code, said.expires_at)
            return replace(state, code=code, trouble=None), ()
        case inputs.PairingFailed():
            return _pairing_failed(state, said)
        case inputs.DeviceLinked():
            linked = replace(
                state,
                stage=Stage.SECURING,
                linked=True,
                code=None,
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
        case inputs.ConnectRefused():
            trouble = Trouble("ConnectFailure", f"WhatsApp refused the login: {said.reason}; trying again")
            return _end(replace(state, trouble=trouble), at_once=False)
        case inputs.LoggedOutByPeer():
            return _logged_out(state, said.reason)
        case inputs.Replaced():
            trouble = Trouble("StreamReplaced", "another connection logged in with this device")
            return _end(replace(state, halt=trouble), at_once=True)
        case inputs.Banned():
            return _banned(state, said, now, timings)
        case inputs.EngineOutdated():
            return _outdated(state)
        case inputs.EngineHung():
            return _end(replace(state, trouble=Trouble("EngineHung", "the engine did not answer")), at_once=True)
        case _:
            return state, ()


def _next(state: SessionState) -> Step:
    """What follows when no engine lives and nothing keeps the session down."""
    if state.stop is not None and not _wants_logout(state):
        return _close(state)
    if state.fenced:
        return replace(state, stage=Stage.FENCED), ()
    if not state.prepared:
        return replace(state, stage=Stage.PREPARING), (Prepare(),)
    return replace(state, stage=Stage.STARTING, engine=True, restart_in=None), (Spawn(pairing=not state.linked),)


def _wants_logout(state: SessionState) -> bool:
    """Whether an engine is needed to unlink the device; a session that may have one must look first."""
    if state.stop is not StopReason.LOGOUT or state.logged_out or state.logout_error is not None:
        return False
    return state.linked or (not state.prepared and state.jid is not None)


def _close(state: SessionState) -> Step:
    cancelled = (CancelTimer(Timer.RETRY), CancelTimer(Timer.LOGOUT), CancelTimer(Timer.LOGIN))
    if state.prepared:
        return replace(state, stage=Stage.CLOSING), (*cancelled, Release())
    # Nothing ran under this epoch (or its files are gone on purpose): there is nothing to hand over but the word.
    empty = Handover(epoch=state.epoch, seq=0, sha256="")
    return replace(state, stage=Stage.HANDED_OVER, handover=empty), cancelled


def _prepared(state: SessionState, ended: inputs.PrepareEnded, timings: SessionTimings) -> Step:
    if state.stage is not Stage.PREPARING:
        return state, ()
    match ended.outcome:
        case PrepareOutcome.FRESH | PrepareOutcome.RESTORED | PrepareOutcome.LOCAL:
            # A local file may hold a device whose state never reached the store: then it must, before anything is said.
            stored = ended.outcome is PrepareOutcome.RESTORED or state.promised
            secured = ended.jid is not None and stored
            ready = replace(
                state,
                prepared=True,
                linked=ended.jid is not None,
                jid=ended.jid or (state.jid if state.promised else None),
                secured=secured,
                promised=state.promised or secured,
                trouble=None,
            )
            return _next(ready)
        case PrepareOutcome.UNREACHABLE:
            trouble = Trouble("ObjectStoreUnreachable", ended.message or _STORE_AWAY)
            if state.stop is not None and state.stop is not StopReason.LOGOUT:
                return _close(state)
            waiting = replace(state, stage=Stage.WAITING, trouble=trouble)
            return waiting, (StartTimer(Timer.RETRY, timings.store_retry),)
        case _:
            behind = replace(state, store_epoch=ended.store_epoch)
            reason, default = _HOPELESS[ended.outcome]
            return _halt(behind, Trouble(reason, ended.message or default))


def _halt(state: SessionState, trouble: Trouble) -> Step:
    """Down until a person or the operator acts; a session that is to end anyway ends."""
    halted = replace(state, stage=Stage.HALTED, halt=trouble)
    if state.stop is None:
        return halted, ()
    return _close(replace(halted, logout_error=trouble.message if state.stop is StopReason.LOGOUT else None))


def _started(state: SessionState, timings: SessionTimings) -> Step:
    if state.stage is not Stage.STARTING:
        return state, ()
    if state.fenced or (state.stop is not None and not _wants_logout(state)):
        return _end(replace(state, restart_in=0.0), at_once=False)
    if not state.linked:
        return replace(state, stage=Stage.PAIRING), ()
    login = StartTimer(Timer.LOGIN, timings.reconnect_limit)
    if not state.secured:
        return replace(state, stage=Stage.SECURING), (login, Flush())
    return replace(state, stage=Stage.CONNECTING), (login,)


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
    return _connected(logged_in, effects)


def _connected(state: SessionState, effects: tuple[Effect, ...]) -> Step:
    if state.stop is StopReason.LOGOUT:
        return replace(state, stage=Stage.LOGGING_OUT), (*effects, LogOut())
    return replace(state, stage=Stage.CONNECTED), effects


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
        return lost, (CancelTimer(Timer.DRAIN), StartTimer(Timer.LOGIN, timings.reconnect_limit))
    return lost, ()


def _pairing_failed(state: SessionState, said: inputs.PairingFailed) -> Step:
    if state.stage is not Stage.PAIRING:
        return state, ()
    without_code = replace(state, code=None)
    if said.expired:
        return _end(replace(without_code, restart_in=0.0, failures=0), at_once=True)
    trouble = Trouble("PairingFailed", f"the phone could not link the device ({said.reason}); a fresh code follows")
    return _end(replace(without_code, trouble=trouble), at_once=True)


def _logged_out(state: SessionState, reason: str) -> Step:
    if state.stage is Stage.LOGGING_OUT:
        return state, ()  # our own doing; `LogoutEnded` says how it went
    trouble = Trouble(
        "LoggedOut",
        f"WhatsApp says that the device is no longer linked ({reason}); its last state is kept. "
        "Delete the session and create it again to pair",
    )
    return _end(replace(state, halt=trouble, logged_out=True, linked=False), at_once=True)


def _banned(state: SessionState, said: inputs.Banned, now: datetime, timings: SessionTimings) -> Step:
    wait = timings.shortest_ban
    if said.until is not None:
        wait = max(wait, (said.until - now).total_seconds())
    trouble = Trouble("TemporaryBan", f"WhatsApp refuses the account for now (code {said.code}); trying again later")
    return _end(replace(state, trouble=trouble, restart_in=wait), at_once=False)


def _outdated(state: SessionState) -> Step:
    trouble = Trouble("ClientOutdated", "WhatsApp does not accept this engine's version; upgrade the connector")
    return _end(replace(state, halt=trouble), at_once=True)


def _end(state: SessionState, *, at_once: bool) -> Step:
    """Let the engine go; what follows is decided when it is gone."""
    timers = tuple(CancelTimer(timer) for timer in (Timer.LOGIN, Timer.DRAIN, Timer.FLUSH))
    return replace(state, stage=Stage.ENDING, code=None), (*timers, EndEngine(at_once=at_once or not state.linked))


def _engine_gone(state: SessionState, gone: inputs.EngineGone, now: datetime, timings: SessionTimings) -> Step:
    was_in = state.logged_in
    dead = replace(
        state,
        engine=False,
        logged_in=False,
        drained=False,
        code=None,
        last_connected_at=now if was_in else state.last_connected_at,
    )
    if was_in and state.connected_at is not None and _seconds(state.connected_at, now) >= timings.stable_after:
        dead = replace(dead, failures=0)
    dead = replace(dead, connected_at=None)
    timers = tuple(CancelTimer(timer) for timer in (Timer.LOGIN, Timer.DRAIN, Timer.FLUSH))
    if state.stage is Stage.LOST:
        after, effects = _forget(dead)
        return after, (*timers, *effects)
    if state.stage is Stage.ENDING:
        after, effects = _after_end(dead, timings)
        return after, (*timers, *effects)
    if state.stage not in (*_WITH_ENGINE, Stage.STARTING):
        return dead, timers
    trouble = dead.trouble or Trouble("EngineExited", f"the engine ended ({gone.reason}); starting again")
    after, effects = _failed(dead, trouble, timings)
    return after, (*timers, *effects)


def _after_end(state: SessionState, timings: SessionTimings) -> Step:
    """The engine that was told to end has ended."""
    if state.logged_out and state.halt is not None:
        # The local file has lost its device; the store keeps the state with it. Delete the file, keep the store.
        forgotten = replace(state, stage=Stage.HALTED, prepared=False, secured=False)
        if state.stop is not None:
            after, effects = _close(forgotten)
            return after, (Forget(), *effects)
        return forgotten, (Forget(),)
    if state.halt is not None:
        return _halt(state, state.halt)
    if state.fenced or state.stop is not None:
        return _next(state)
    if state.restart_in is not None:
        waiting = replace(state, stage=Stage.WAITING, restart_in=None)
        return waiting, (StartTimer(Timer.RETRY, state.restart_in),)
    return _failed(state, state.trouble, timings)


def _failed(state: SessionState, trouble: Trouble | None, timings: SessionTimings) -> Step:
    """An engine did not live as it should: try again after a wait."""
    failed = replace(state, failures=state.failures + 1, trouble=trouble or state.trouble, stage=Stage.WAITING)
    if state.stop is not None and not _wants_logout(state):
        return _close(failed)
    if state.fenced:
        return replace(failed, stage=Stage.FENCED), ()
    return failed, (BackOff(failed.failures),)


def _stop(state: SessionState, reason: StopReason, timings: SessionTimings) -> Step:
    if not _may_follow(state, reason):
        return state, ()
    stopping = replace(state, stop=reason)
    limit: tuple[Effect, ...] = ()
    if _wants_logout(stopping):
        limit = (StartTimer(Timer.LOGOUT, timings.logout_limit),)
    if state.stage in _WITH_ENGINE:
        if not _wants_logout(stopping):
            after, effects = _end(stopping, at_once=False)
        elif state.stage is Stage.CONNECTED:
            after, effects = _connected(stopping, ())
        else:
            after, effects = stopping, ()
        return after, (*limit, *effects)
    if state.stage is Stage.HALTED:
        halted = stopping
        if reason is StopReason.LOGOUT and state.halt is not None and not state.logged_out:
            halted = replace(stopping, logout_error=state.halt.message)
        return _close(halted)
    if state.stage in _IDLE:
        after, effects = _next(stopping)
        return after, (CancelTimer(Timer.RETRY), *limit, *effects)
    return stopping, limit  # PREPARING, STARTING, ENDING, CLOSING: decided when that has ended


def _may_follow(state: SessionState, reason: StopReason) -> bool:
    """Whether an end that is under way gives way to this one. None is taken back: the operator assigns anew."""
    if state.stage is Stage.CLOSING:
        return False
    match state.stop:
        case None:
            return True
        case StopReason.STOPPED | StopReason.DELETED:
            return reason is StopReason.LOGOUT
        case StopReason.LOGOUT:  # the worker goes: another one logs the device out, unless we are in the middle of it
            return reason is StopReason.HANDED_OVER and state.stage is not Stage.LOGGING_OUT
        case StopReason.HANDED_OVER:
            return False


def _logout_ended(state: SessionState, ended: inputs.LogoutEnded) -> Step:
    if state.stage is not Stage.LOGGING_OUT:
        return state, ()
    if ended.error is not None:
        return _end(replace(state, logout_error=ended.error), at_once=False)
    trouble = Trouble("LoggedOut", "the device was logged out because the session is deleted")
    return _end(replace(state, logged_out=True, linked=False, halt=trouble), at_once=False)


def _start_failed(state: SessionState, failed: inputs.EngineStartFailed, timings: SessionTimings) -> Step:
    if state.stage is not Stage.STARTING:
        return state, ()
    usable = state
    if failed.bad_file:  # a device that was never stored is lost with the file; one that was promised is looked for
        usable = replace(state, prepared=False, linked=False, secured=False, jid=state.jid if state.promised else None)
    return _failed(usable, Trouble("EngineFailed", failed.message), timings)


def _lost(state: SessionState, lost: inputs.AssignmentLost) -> Step:
    if state.stage is Stage.LOST:
        return state, ()
    timers = tuple(CancelTimer(timer) for timer in Timer)
    gone = replace(state, stage=Stage.LOST, code=None, keep_files=lost.keep_files)
    if state.engine:
        return gone, (*timers, EndEngine(at_once=True))
    after, effects = _forget(gone)
    return after, (*timers, *effects)


def _forget(state: SessionState) -> Step:
    """The last effect of a session that is not ours any more."""
    return state, (Forget(keep_files=state.keep_files),)


def _fence(state: SessionState) -> Step:
    fenced = replace(state, fenced=True)
    if state.stage in _WITH_ENGINE:
        trouble = Trouble("LeaseUnconfirmed", "the worker lost touch with the cluster and disconnected")
        return _end(replace(fenced, trouble=trouble, restart_in=0.0), at_once=False)
    return fenced, ()


def _flushed(state: SessionState, ended: inputs.FlushEnded, now: datetime, timings: SessionTimings) -> Step:
    if state.stage is not Stage.SECURING:
        return state, ()
    if ended.error is not None:
        trouble = Trouble("ObjectStoreUnreachable", f"the linked device is not stored yet: {ended.error}")
        return replace(state, trouble=trouble), (StartTimer(Timer.FLUSH, timings.store_retry),)
    secured = replace(state, secured=True, promised=True, trouble=None)
    if not state.logged_in:
        return replace(secured, stage=Stage.CONNECTING), (StartTimer(Timer.LOGIN, timings.reconnect_limit),)
    return _connected(replace(secured, last_connected_at=now), ())


def _released(state: SessionState, ended: inputs.ReleaseEnded, timings: SessionTimings) -> Step:
    if state.stage is not Stage.CLOSING:
        return state, ()
    if ended.handover is None:
        trouble = Trouble("ObjectStoreUnreachable", f"the final state is not stored yet: {ended.error}")
        return replace(state, trouble=trouble), (StartTimer(Timer.RELEASE, timings.store_retry),)
    secured = state.secured or (state.linked and ended.handover.seq > 0)
    done = replace(
        state,
        stage=Stage.HANDED_OVER,
        handover=ended.handover,
        trouble=None,
        secured=secured,
        promised=state.promised or secured,
    )
    return done, ()


def _timer(state: SessionState, timer: Timer) -> Step:  # noqa: PLR0911  # one arm for each timer
    match timer:
        case Timer.RETRY if state.stage is Stage.WAITING:
            return _next(state)
        case Timer.LOGIN if state.stage in (Stage.CONNECTING, Stage.SECURING) and not state.logged_in:
            trouble = state.trouble or Trouble("LoginTimeout", "WhatsApp did not take the login in time; trying again")
            return _end(replace(state, trouble=trouble), at_once=False)
        case Timer.DRAIN:
            return replace(state, drained=state.logged_in), ()
        case Timer.FLUSH if state.stage is Stage.SECURING:
            return state, (Flush(),)
        case Timer.RELEASE if state.stage is Stage.CLOSING:
            return state, (Release(),)
        case Timer.LOGOUT if state.stop is StopReason.LOGOUT:
            return _logout_in_vain(state)
        case _:
            return state, ()


def _logout_in_vain(state: SessionState) -> Step:
    why = state.trouble.message if state.trouble else "WhatsApp did not answer in time"
    given_up = replace(state, logout_error=why)
    if state.stage in _WITH_ENGINE:
        return _end(given_up, at_once=False)
    return _next(given_up) if state.stage in _IDLE else (given_up, ())


def _seconds(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()
