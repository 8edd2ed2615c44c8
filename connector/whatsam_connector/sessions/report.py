"""A session's state as its status tells it to people and programs: phase, conditions, pairing. Pure.

Called by the runner after each step; `status_patch` compares the result with what the object says.
"""

from dataclasses import dataclass
from datetime import datetime

from whatsam_connector.sessions.inputs import StopReason
from whatsam_connector.sessions.state import SessionState, Stage, Trouble
from whatsam_core.resources.conditions import Condition, ConditionStatus, ConditionType
from whatsam_core.resources.session import Handover, PairingStatus, PasskeyStatus, Phase


@dataclass(frozen=True)
class Report:
    """What the status should say. None in a fact means: not known, leave what is there."""

    phase: Phase
    conditions: tuple[Condition, ...]
    """Without `Replicated`, which follows the replication, and without `Scheduled`, which is the operator's."""
    pairing: PairingStatus | None
    """None removes it."""
    jid: str | None
    phone_number: str | None
    push_name: str | None
    last_connected_at: datetime | None
    handover: Handover | None
    store_epoch: int | None


_STALLED_REASONS = frozenset(
    {
        "AuthStateMissing",
        "AuthStateDamaged",
        "KeyringLacksKey",
        "StateOfAnotherTenant",
        "LoggedOut",
        "TemporaryBan",
        "LoginRefused",
        "ClientOutdated",
        "EngineTooOld",
        "EngineCrashing",
    }
)
"""Only a person can help. The other reasons to stay down are for the operator to act on."""

_STEPS = {
    Stage.NEW: Trouble("Restoring", "looking for the auth state"),
    Stage.PREPARING: Trouble("Restoring", "looking for the auth state"),
    Stage.STARTING: Trouble("Starting", "starting an engine"),
    Stage.PAIRING: Trouble("Starting", "asking WhatsApp for a code"),
    Stage.SECURING: Trouble("StoringAuthState", "a phone has linked the device; storing its state"),
    Stage.CONNECTING: Trouble("Connecting", "connecting to WhatsApp"),
    Stage.CONNECTED: Trouble("Connected", "connected to WhatsApp"),
    Stage.LOGGING_OUT: Trouble("LoggingOut", "unlinking the device at WhatsApp"),
    Stage.ENDING: Trouble("Stopping", "the engine is ending"),
    Stage.WAITING: Trouble("Restarting", "waiting before the next attempt"),
    Stage.FENCED: Trouble("LeaseUnconfirmed", "the worker has lost touch with the cluster"),
    Stage.CLOSING: Trouble("Stopping", "storing the final state"),
    Stage.HANDED_OVER: Trouble("HandedOver", "ready for its next worker"),
    Stage.HALTED: Trouble("Halted", "waiting for somebody to act"),
    Stage.LOST: Trouble("Lost", "not held by this worker"),
}


def report(state: SessionState) -> Report:
    """What the status should say about a session in this state."""
    # A device whose state is not stored yet is not shown at all: the promise starts when it is stored.
    shown = state.promised
    return Report(
        phase=_phase(state),
        conditions=(_paired(state), _connected(state), *_kstatus(state)),
        pairing=_pairing(state),
        jid=state.jid if shown else None,
        phone_number=(state.phone_number or _number(state.jid)) if shown else None,
        push_name=state.push_name if shown else None,
        last_connected_at=state.last_connected_at if shown else None,
        handover=state.handover,
        store_epoch=state.store_epoch,
    )


def _number(jid: str | None) -> str | None:
    """The phone number in a device's address; an adopted state says no more than that."""
    user, _, server = (jid or "").partition("@")
    number = user.split(":", 1)[0].split(".", 1)[0]
    return number if server == "s.whatsapp.net" and number.isdecimal() else None


def _pairing(state: SessionState) -> PairingStatus | None:
    if state.code is None or state.stage is not Stage.PAIRING:
        return None
    shown, passkey = state.code, None
    if shown.passkey_request is not None:
        passkey = PasskeyStatus(
            request=shown.passkey_request, confirmation_code=shown.confirmation_code, expires_at=shown.expires_at
        )
    return PairingStatus(code=shown.qr, pairing_code=shown.pairing_code, expires_at=shown.expires_at, passkey=passkey)


def _phase(state: SessionState) -> Phase:  # noqa: PLR0911  # a table: the first line that fits is the phase
    if state.logged_out:
        return Phase.LOGGED_OUT
    if state.halt is not None and state.halt.reason in _STALLED_REASONS:
        return Phase.ERROR
    if state.halt is not None and state.halt.reason == "StreamReplaced":
        return Phase.DISCONNECTED
    if state.stop is not None and state.stop is not StopReason.HANDED_OVER:
        return Phase.DISCONNECTED
    if state.trouble is not None and state.trouble.reason == "TemporaryBan":
        return Phase.DISCONNECTED
    if state.stage in (Stage.CONNECTED, Stage.LOGGING_OUT):
        return Phase.CONNECTED
    if state.stage is Stage.PAIRING and state.code is not None:
        return Phase.PAIRING
    if state.stage is Stage.SECURING and not state.secured:
        return Phase.PAIRING
    return Phase.RECONNECTING if state.promised else Phase.INITIALIZING


def _why(state: SessionState) -> Trouble:
    """The one reason that the conditions give for not being connected."""
    if state.halt is not None:
        return state.halt
    if state.stop is StopReason.LOGOUT and state.logout_error is not None:
        return Trouble("LogoutFailed", f"the device could not be logged out: {state.logout_error}")
    if state.stop is StopReason.HANDED_OVER:
        return state.trouble or Trouble("HandedOver", "moving to another worker")
    if state.stop is not None:
        return state.trouble or Trouble("Stopped", "disconnected as asked; the device stays linked")
    return state.trouble or _STEPS[state.stage]


def _condition(kind: ConditionType, status: ConditionStatus, why: Trouble) -> Condition:
    return Condition(type=kind, status=status, reason=why.reason, message=why.message)


def _paired(state: SessionState) -> Condition:
    if state.logged_out:
        return _condition(ConditionType.PAIRED, "False", Trouble("LoggedOut", _why(state).message))
    if state.logout_error is not None and state.promised:
        return _condition(ConditionType.PAIRED, "True", _why(state))
    if state.promised:
        return _condition(ConditionType.PAIRED, "True", Trouble("Paired", "a device is linked and its state stored"))
    if state.linked:
        return _condition(ConditionType.PAIRED, "False", _STEPS[Stage.SECURING])
    asked = _what_to_do(state)
    unscanned = Trouble("AwaitingScan", "no phone has linked the device yet")
    return _condition(ConditionType.PAIRED, "False", unscanned if asked is _SCAN else asked)


def _connected(state: SessionState) -> Condition:
    if state.stage in (Stage.CONNECTED, Stage.LOGGING_OUT):
        return _condition(ConditionType.CONNECTED, "True", _STEPS[Stage.CONNECTED])
    if _awaiting_scan(state):
        return _condition(ConditionType.CONNECTED, "False", _what_to_do(state))
    return _condition(ConditionType.CONNECTED, "False", _why(state))


_SCAN = Trouble("AwaitingScan", "link the device: scan the code in status.pairing with the phone")


_PASSKEY = Trouble("AwaitingPasskey", "the account asks for its passkey: answer the request in status.pairing.passkey")
_COMPARE = Trouble(
    "AwaitingConfirmation",
    "compare the code in status.pairing.passkey with the one on the phone, and confirm it",
)
_PASSKEY_REQUIRED = Trouble(
    "PasskeyRequired",
    "the account that was to be linked asks for a passkey, which the engine of this pool cannot pass on: "
    "use a pool with engine whatsmeow",
)


def _what_to_do(state: SessionState) -> Trouble:
    """What somebody has to do for the device to be linked."""
    if state.passkey_required:
        return _PASSKEY_REQUIRED
    if _passkey_asked(state):
        return _COMPARE if state.code is not None and state.code.confirmation_code else _PASSKEY
    return _SCAN


def _passkey_asked(state: SessionState) -> bool:
    return state.stage is Stage.PAIRING and state.code is not None and state.code.passkey_request is not None


def _awaiting_scan(state: SessionState) -> bool:
    return state.stage is Stage.PAIRING and state.code is not None and state.stop is None


def _kstatus(state: SessionState) -> tuple[Condition, Condition, Condition]:
    """Ready, Reconciling, Stalled."""
    why, done, stalled = _why(state), False, False
    if state.halt is not None and state.halt.reason in _STALLED_REASONS and state.stop is not StopReason.LOGOUT:
        stalled = True
    elif state.stage is Stage.CONNECTED and state.stop is None:
        why, done = _STEPS[Stage.CONNECTED], True
    elif _awaiting_scan(state):
        why, done = _what_to_do(state), True
    elif state.stop in (StopReason.STOPPED, StopReason.DELETED, StopReason.LOGOUT) and state.handover is not None:
        done = True
    return (
        _condition(ConditionType.READY, "True" if done else "False", why),
        _condition(ConditionType.RECONCILING, "False" if done or stalled else "True", why),
        _condition(ConditionType.STALLED, "True" if stalled else "False", why),
    )
