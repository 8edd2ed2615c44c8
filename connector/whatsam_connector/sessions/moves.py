"""The moves between stages that several inputs lead to. Pure; used by `transitions` and `engine_steps`."""

from dataclasses import replace

from whatsam_connector.sessions.effects import (
    BackOff,
    CancelTimer,
    Effect,
    EndEngine,
    Forget,
    LogOut,
    Prepare,
    Release,
    Spawn,
    StartTimer,
)
from whatsam_connector.sessions.inputs import StopReason, Timer
from whatsam_connector.sessions.state import SessionState, Stage, Trouble
from whatsam_connector.sessions.timings import SessionTimings
from whatsam_core.resources.session import Handover

Step = tuple[SessionState, tuple[Effect, ...]]
"""A session's next state and what is to be done."""

ENGINE_TIMERS = (Timer.LOGIN, Timer.DRAIN, Timer.FLUSH)
"""Timers that mean nothing without the engine they were started for."""
WITH_ENGINE = frozenset({Stage.PAIRING, Stage.SECURING, Stage.CONNECTING, Stage.CONNECTED, Stage.LOGGING_OUT})
"""Stages in which an engine works for the session."""


def proceed(state: SessionState) -> Step:
    """What follows when no engine lives and nothing keeps the session down."""
    if state.stop is not None and not wants_logout(state):
        return close(state)
    if state.fenced:
        return replace(state, stage=Stage.FENCED), ()
    if not state.prepared:
        return replace(state, stage=Stage.PREPARING), (Prepare(),)
    return replace(state, stage=Stage.STARTING, engine=True, restart_in=None), (Spawn(pairing=not state.linked),)


def wants_logout(state: SessionState) -> bool:
    """Whether an engine is needed to unlink the device; a session that may have one must look first."""
    if state.stop is not StopReason.LOGOUT or state.logged_out or state.logout_error is not None:
        return False
    return state.linked or (not state.prepared and state.jid is not None)


def close(state: SessionState) -> Step:
    """Without an engine: store the final state and hand over."""
    cancelled = (CancelTimer(Timer.RETRY), CancelTimer(Timer.LOGOUT), CancelTimer(Timer.LOGIN))
    if state.prepared:
        return replace(state, stage=Stage.CLOSING), (*cancelled, Release())
    # Nothing ran under this epoch (or its files are gone on purpose): there is nothing to hand over but the word.
    empty = Handover(epoch=state.epoch, seq=0, sha256="")
    return replace(state, stage=Stage.HANDED_OVER, handover=empty), cancelled


def halt(state: SessionState, trouble: Trouble) -> Step:
    """Down until a person or the operator acts; a session that is to end anyway ends."""
    halted = replace(state, stage=Stage.HALTED, halt=trouble)
    if state.stop is None:
        return halted, ()
    return close(replace(halted, logout_error=trouble.message if state.stop is StopReason.LOGOUT else None))


def connected(state: SessionState, effects: tuple[Effect, ...]) -> Step:
    """Logged in with a stored device: work, or do what the login was for."""
    if state.stop is StopReason.LOGOUT:
        return replace(state, stage=Stage.LOGGING_OUT), (*effects, LogOut())
    return replace(state, stage=Stage.CONNECTED), effects


def end_engine(state: SessionState, *, at_once: bool) -> Step:
    """Let the engine go; what follows is decided when it is gone."""
    timers = tuple(CancelTimer(timer) for timer in ENGINE_TIMERS)
    return replace(state, stage=Stage.ENDING, code=None), (*timers, EndEngine(at_once=at_once or not state.linked))


def try_again(state: SessionState, trouble: Trouble | None, timings: SessionTimings, *, at_once: bool = False) -> Step:
    """An engine did not live as it should: try again, after a wait unless `at_once`."""
    failed = replace(state, failures=state.failures + 1, trouble=trouble or state.trouble, stage=Stage.WAITING)
    if state.stop is not None and not wants_logout(state):
        return close(failed)
    if state.fenced:
        return replace(failed, stage=Stage.FENCED), ()
    return failed, (StartTimer(Timer.RETRY, 0.0) if at_once else BackOff(failed.failures),)


def forget(state: SessionState) -> Step:
    """The last effect of a session that is not ours any more."""
    return state, (Forget(keep_files=state.keep_files),)
