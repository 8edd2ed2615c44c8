"""A session is being deleted: what is still to be done? Called instead of `running` once deletionTimestamp is set.

`Logout` unlinks the device (a worker is borrowed when nobody holds the session, but not for ever) and destroys the
state; `Retain` stops cleanly and leaves a tombstone. Nothing is destroyed while a holder lives, except after the time
limit of `Logout`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from whatsam_core.resources import ConditionType, DeletionPolicy, Phase, WhatsAppSession
from whatsam_core.sessions_state import Tombstone
from whatsam_operator.planning import conditions
from whatsam_operator.planning.adoption import never_ran
from whatsam_operator.planning.assigning import assign_free, release
from whatsam_operator.planning.boots import pool_of
from whatsam_operator.planning.case import Case
from whatsam_operator.planning.decisions import Decision, Finalize, Remains, Story, Tell
from whatsam_operator.planning.holder import Hold
from whatsam_operator.planning.placement import NoPlace

LOGOUT_LIMIT = timedelta(minutes=2)
"""How long a deletion with `Logout` waits for a worker to unlink the device."""
RETENTION = timedelta(hours=72)
"""How long the state of a session deleted with `Retain` waits for a successor of the same name."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """What a deletion still wants."""

    logout: bool
    """The device is still linked and shall not be."""
    in_time: bool
    """The limit of `Logout` is not over."""


def farewell(session: WhatsAppSession, now: datetime, *, duplicate: bool) -> Farewell:
    """What is still wanted of this deletion. A duplicate's device is another session's: it is never logged out."""
    asked = session.metadata.deletion_timestamp or now
    linked = session.status.jid is not None and not _logged_out(session)
    owns = remains_of(session) is not Remains.UNTOUCHED
    wanted = session.spec.deletion_policy is DeletionPolicy.LOGOUT and linked and owns and not duplicate
    return Farewell(logout=wanted, in_time=now < asked + LOGOUT_LIMIT)


def plan_deletion(case: Case) -> list[Decision]:
    """The next step of a deletion."""
    session, held = case.session, case.held
    wish = farewell(session, case.now.wall, duplicate=case.elder is not None)
    if held.hold is Hold.HELD:
        if session.spec.deletion_policy is DeletionPolicy.LOGOUT and not wish.in_time:
            story = Story("LogoutTimedOut", f"{held.worker} did not end the session in time", warning=True)
            return _released(case, "the session is being destroyed", story, force=True)
        what = "log the device out" if wish.logout else "end the session and store its last state"
        return [Tell(target=case.target, stories=(Story("Deleting", f"waiting for {held.worker} to {what}"),))]
    if (refused := case.snapshot.store.refused) and remains_of(session) is not Remains.UNTOUCHED:
        # What lies there is another cluster's: nothing of it is logged out, destroyed or buried.
        return _released(case, refused, Story(conditions.FOREIGN_STORE, refused, warning=True))
    if wish.logout and wish.in_time:
        return _log_out(case)
    if held.hold is not Hold.FREE:
        return _released(case, "nobody holds the session any more")
    return [_finalize(case, still_linked=wish.logout)]


def _log_out(case: Case) -> list[Decision]:
    """Borrow a worker that unlinks the device."""
    session, held = case.session, case.held
    place = case.floor.place(
        pool_of(session),
        prefer_pod=None,
        engine=case.engine,
        tenant=session.spec.tenant,
        egress=case.egress,
        who=session.metadata.key,
    )
    if not isinstance(place, NoPlace):
        return [assign_free(session, held, place, case.now)]
    message = f"waiting for a worker that can log the device out: {place.message}"
    return _released(case, message, Story("LogoutWaiting", message, warning=True))


def remains_of(session: WhatsAppSession) -> Remains:
    """What becomes of the state. A session that never ran, or stands before another tenant's state, owns none."""
    stall = conditions.reason_of(session, ConditionType.STALLED, "True")
    if never_ran(session) or stall == conditions.FOREIGN_STATE:
        return Remains.UNTOUCHED
    return Remains.DESTROY if session.spec.deletion_policy is DeletionPolicy.LOGOUT else Remains.RETAIN


def _finalize(case: Case, *, still_linked: bool) -> Finalize:
    session, now = case.session, case.now
    remains = remains_of(session)
    tombstone: Tombstone | None = None
    stories: list[Story] = []
    if still_linked:
        text = "the device could not be logged out in time: remove it on the phone under Linked devices"
        stories.append(Story("LogoutSkipped", text, warning=True))
    if remains is Remains.DESTROY:
        stories.append(Story("StateDestroyed", "the auth state and its key were destroyed"))
    if remains is Remains.RETAIN:
        tombstone = Tombstone(
            tenant=session.spec.tenant,
            uid=session.metadata.uid,
            jid=session.status.jid,
            phone_number=session.status.phone_number,
            epoch=session.status.epoch,
            deleted_at=now.wall,
            expires_at=now.wall + RETENTION,
        )
        until = tombstone.expires_at.strftime("%Y-%m-%d %H:%M UTC")
        text = f"the auth state is kept until {until}; a session of the same name and tenant takes it over"
        stories.append(Story("StateRetained", text))
    return Finalize(
        target=case.target,
        stories=tuple(stories),
        remains=remains,
        tenant=session.spec.tenant,
        tombstone=tombstone,
    )


def _released(case: Case, message: str, *stories: Story, force: bool = False) -> list[Decision]:
    wanted = conditions.deleting(case.session, message, case.now.wall)
    phase = case.session.status.phase or Phase.DISCONNECTED
    decision = release(case.session, case.held, phase=phase, wanted=wanted, stories=stories, force=force)
    return [] if decision is None else [decision]


def _logged_out(session: WhatsAppSession) -> bool:
    if session.status.phase is Phase.LOGGED_OUT:
        return True
    return conditions.reason_of(session, ConditionType.PAIRED, "False") == "LoggedOut"
