"""The life of a session as a pure function: `step(state, input) -> (state, effects)`. Driven by the runner alone.

Laws that the property tests hold it to: `Paired` is never said before the store has the device's state; no engine is
started while one lives, while fenced, or after a handover; files are released or deleted only without an engine; a
session that works makes way for a successor only once the store has its state.
"""

from dataclasses import replace
from datetime import datetime

from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.effects import CancelTimer, Effect, EndEngine, Flush, Forget, Release, StartTimer
from whatsam_connector.sessions.engine_steps import engine_says
from whatsam_connector.sessions.inputs import Input, StopReason, Timer
from whatsam_connector.sessions.moves import (
    ENGINE_TIMERS,
    WITH_ENGINE,
    Step,
    close,
    connected,
    end_engine,
    forget,
    halt,
    proceed,
    try_again,
    wants_logout,
)
from whatsam_connector.sessions.state import SessionState, Stage, Trouble
from whatsam_connector.sessions.timings import SessionTimings
from whatsam_connector.state.records import PrepareOutcome
from whatsam_connector.supervision.exits import BLAMED

_IDLE = frozenset({Stage.NEW, Stage.WAITING, Stage.FENCED, Stage.HALTED})

_MAY_GIVE_WAY = frozenset({Stage.CONNECTED, Stage.CONNECTING})
"""Stages in which a session with a device may be moved on purpose."""

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
    PrepareOutcome.KEY_MISSING: ("KeyringLacksKey", "WHATSAM_KEYRING lacks the key that wraps the session's data key"),
    PrepareOutcome.DAMAGED: ("AuthStateDamaged", "no stored auth state passes its checks; all of it was kept"),
}

CRASHES = frozenset(reason.value for reason in BLAMED)
"""Ends of an engine process for which a session may be the reason, as `EngineGone` names them."""

_STORE_AWAY = "the object store does not answer; trying again"


def step(state: SessionState, happened: Input, now: datetime, timings: SessionTimings) -> Step:
    """What a session becomes, and what is to be done, when something happens to it at `now`."""
    after, effects = _advance(state, happened, now, timings)
    if not after.successor or after.giving_way or after.stop is not None or after.fenced:
        return after, effects
    if after.stage is Stage.WAITING and after.prepared and after.secured:
        given, more = _stop(after, StopReason.HANDED_OVER, timings)  # no engine: there is nothing to interrupt
        return given, (*effects, *more)
    if after.stage in _MAY_GIVE_WAY and after.secured:
        # It works on while the store takes what it has: should the store be away, nobody is worse off.
        return replace(after, giving_way=True), (*effects, Flush())
    return after, effects


def _advance(state: SessionState, happened: Input, now: datetime, timings: SessionTimings) -> Step:  # noqa: PLR0911, PLR0912  # one arm for each input
    if isinstance(happened, inputs.EngineGone):
        return _engine_gone(state, happened, now, timings)
    if isinstance(happened, inputs.AssignmentLost):
        return _lost(state, happened)
    if isinstance(happened, inputs.EngineStartFailed):
        failed = replace(state, engine=False)
        return forget(failed) if state.stage is Stage.LOST else _start_failed(failed, happened, timings)
    if state.stage.final:
        return state, ()
    match happened:
        case inputs.Begin():
            return proceed(state) if state.stage is Stage.NEW else (state, ())
        case inputs.PrepareEnded():
            return _prepared(state, happened, timings)
        case inputs.EngineStarted():
            return _started(state, timings)
        case inputs.Stop():
            return _stop(state, happened.reason, timings)
        case inputs.SuccessorReady():
            return replace(state, successor=happened.ready), ()
        case inputs.SoftFenced():
            return _fence(state)
        case inputs.LeaseResumed():
            resumed = replace(state, fenced=False)
            return proceed(resumed) if state.stage is Stage.FENCED else (resumed, ())
        case inputs.PairingAskedAnew() if state.stage is Stage.PAIRING:
            return end_engine(replace(state, restart_in=0.0), at_once=True)
        case inputs.ProxyChanged() if state.stage in WITH_ENGINE and state.stage is not Stage.LOGGING_OUT:
            return end_engine(replace(state, restart_in=0.0), at_once=False)
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
    if state.stage not in WITH_ENGINE:
        return state, ()  # the last words of an engine that is ending
    return engine_says(state, happened, now, timings)


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
            return proceed(ready)
        case PrepareOutcome.UNREACHABLE:
            trouble = Trouble("ObjectStoreUnreachable", ended.message or _STORE_AWAY)
            if state.stop is not None and state.stop is not StopReason.LOGOUT:
                return close(state)
            waiting = replace(state, stage=Stage.WAITING, trouble=trouble)
            return waiting, (StartTimer(Timer.RETRY, timings.store_retry),)
        case _:
            behind = replace(state, store_epoch=ended.store_epoch)
            reason, default = _HOPELESS[ended.outcome]
            return halt(behind, Trouble(reason, ended.message or default))


def _started(state: SessionState, timings: SessionTimings) -> Step:
    if state.stage is not Stage.STARTING:
        return state, ()
    if state.fenced or (state.stop is not None and not wants_logout(state)):
        return end_engine(replace(state, restart_in=0.0), at_once=False)
    if not state.linked:
        return replace(state, stage=Stage.PAIRING), ()
    login = StartTimer(Timer.LOGIN, timings.reconnect_limit)
    if not state.secured:
        return replace(state, stage=Stage.SECURING), (login, Flush())
    return replace(state, stage=Stage.CONNECTING), (login,)


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
        dead = replace(dead, failures=0, bans=0, refusals=0, doubted=False)
    dead = replace(dead, connected_at=None)
    timers = tuple(CancelTimer(timer) for timer in ENGINE_TIMERS)
    if state.stage is Stage.LOST:
        after, effects = forget(dead)
        return after, (*timers, *effects)
    if state.stage is Stage.ENDING:
        after, effects = _after_end(dead, timings)
        return after, (*timers, *effects)
    if state.stage not in (*WITH_ENGINE, Stage.STARTING):
        return dead, timers
    dead = replace(dead, crashes=_crashes(state, gone, now, timings))
    if dead.crashes >= timings.most_crashes and dead.stop is None and not dead.fenced:
        text = (
            f"the engine crashed {dead.crashes} times in a row with this session, the last time: {gone.reason}; "
            "change spec.desiredState to Stopped and back to try again"
        )
        after, effects = halt(replace(dead, crashes=0), Trouble("EngineCrashing", text))
        return after, (*timers, *effects)
    trouble = dead.trouble or Trouble("EngineExited", f"the engine ended ({gone.reason}); starting again")
    # An engine that worked and dies is normal life with neonize: its sessions come back without a wait, once.
    after, effects = try_again(dead, trouble, timings, at_once=was_in and not dead.failures)
    return after, (*timers, *effects)


def _crashes(state: SessionState, gone: inputs.EngineGone, now: datetime, timings: SessionTimings) -> int:
    """Crashes in a row, with this end. Waits, refused logins and engines that were told to end are none."""
    if state.connected_at is not None and _seconds(state.connected_at, now) >= timings.proven_after:
        return 0
    return state.crashes + (gone.reason in CRASHES)


def _after_end(state: SessionState, timings: SessionTimings) -> Step:
    """The engine that was told to end has ended."""
    if state.logged_out and state.halt is not None:
        # The local file has lost its device; the store keeps the state with it. Delete the file, keep the store.
        forgotten = replace(state, stage=Stage.HALTED, prepared=False, secured=False)
        if state.stop is not None:
            after, effects = close(forgotten)
            return after, (Forget(), *effects)
        return forgotten, (Forget(),)
    if state.halt is not None:
        return halt(state, state.halt)
    if state.fenced or state.stop is not None:
        return proceed(state)
    if state.restart_in is not None:
        waiting = replace(state, stage=Stage.WAITING, restart_in=None)
        return waiting, (StartTimer(Timer.RETRY, state.restart_in),)
    return try_again(state, state.trouble, timings)


def _stop(state: SessionState, reason: StopReason, timings: SessionTimings) -> Step:
    if not _may_follow(state, reason):
        return state, ()
    stopping = replace(state, stop=reason)
    limit: tuple[Effect, ...] = ()
    if wants_logout(stopping):
        limit = (StartTimer(Timer.LOGOUT, timings.logout_limit),)
    if state.stage in WITH_ENGINE:
        if not wants_logout(stopping):
            after, effects = end_engine(stopping, at_once=False)
        elif state.stage is Stage.CONNECTED:
            after, effects = connected(stopping, ())
        else:
            after, effects = stopping, ()
        return after, (*limit, *effects)
    if state.stage is Stage.HALTED:
        halted = stopping
        if reason is StopReason.LOGOUT and state.halt is not None and not state.logged_out:
            halted = replace(stopping, logout_error=state.halt.message)
        return close(halted)
    if state.stage in _IDLE:
        after, effects = proceed(stopping)
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
        return end_engine(replace(state, logout_error=ended.error), at_once=False)
    trouble = Trouble("LoggedOut", "the device was logged out because the session is deleted")
    return end_engine(replace(state, logged_out=True, linked=False, halt=trouble), at_once=False)


def _start_failed(state: SessionState, failed: inputs.EngineStartFailed, timings: SessionTimings) -> Step:
    if state.stage is not Stage.STARTING:
        return state, ()
    usable = state
    if failed.bad_file:  # a device that was never stored is lost with the file; one that was promised is looked for
        usable = replace(state, prepared=False, linked=False, secured=False, jid=state.jid if state.promised else None)
    return try_again(usable, Trouble(failed.reason, failed.message), timings)


def _lost(state: SessionState, lost: inputs.AssignmentLost) -> Step:
    if state.stage is Stage.LOST:
        return state, ()
    timers = tuple(CancelTimer(timer) for timer in Timer)
    gone = replace(state, stage=Stage.LOST, code=None, keep_files=lost.keep_files)
    if state.engine:
        return gone, (*timers, EndEngine(at_once=True))
    after, effects = forget(gone)
    return after, (*timers, *effects)


def _fence(state: SessionState) -> Step:
    fenced = replace(state, fenced=True)
    if state.stage in WITH_ENGINE:
        trouble = Trouble("LeaseUnconfirmed", "the worker lost touch with the cluster and disconnected")
        return end_engine(replace(fenced, trouble=trouble, restart_in=0.0), at_once=False)
    return fenced, ()


def _flushed(state: SessionState, ended: inputs.FlushEnded, now: datetime, timings: SessionTimings) -> Step:
    if state.stage is not Stage.SECURING:
        return _give_way(state, ended, timings) if state.giving_way else (state, ())
    state = replace(state, giving_way=False)
    if ended.error is not None:
        trouble = Trouble("ObjectStoreUnreachable", f"the linked device is not stored yet: {ended.error}")
        return replace(state, trouble=trouble), (StartTimer(Timer.FLUSH, timings.store_retry),)
    secured = replace(state, secured=True, promised=True, trouble=None)
    if not state.logged_in:
        return replace(secured, stage=Stage.CONNECTING), (StartTimer(Timer.LOGIN, timings.reconnect_limit),)
    return connected(replace(secured, last_connected_at=now), ())


def _give_way(state: SessionState, flushed: inputs.FlushEnded, timings: SessionTimings) -> Step:
    if flushed.error is not None:
        return state, (StartTimer(Timer.GIVE_WAY, timings.store_retry),)
    stored = replace(state, giving_way=False)
    if not state.successor or state.fenced or state.stage not in _MAY_GIVE_WAY:
        return stored, ()  # the successor is gone, or something else has come in between
    return _stop(stored, StopReason.HANDED_OVER, timings)


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
            return proceed(state)
        case Timer.LOGIN if state.stage in (Stage.CONNECTING, Stage.SECURING) and not state.logged_in:
            trouble = state.trouble or Trouble("LoginTimeout", "WhatsApp did not take the login in time; trying again")
            return end_engine(replace(state, trouble=trouble), at_once=False)
        case Timer.DRAIN:
            return replace(state, drained=state.logged_in), ()
        case Timer.FLUSH if state.stage is Stage.SECURING:
            return state, (Flush(),)
        case Timer.RELEASE if state.stage is Stage.CLOSING:
            return state, (Release(),)
        case Timer.GIVE_WAY:
            return replace(state, giving_way=False), ()
        case Timer.LOGOUT if state.stop is StopReason.LOGOUT:
            return _logout_in_vain(state)
        case _:
            return state, ()


def _logout_in_vain(state: SessionState) -> Step:
    why = state.trouble.message if state.trouble else "WhatsApp did not answer in time"
    given_up = replace(state, logout_error=why)
    if state.stage in WITH_ENGINE:
        return end_engine(given_up, at_once=False)
    return proceed(given_up) if state.stage in _IDLE else (given_up, ())


def _seconds(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()
