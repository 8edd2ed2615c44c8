"""Which workers may not get a session, and why? Asked by placement for each worker that it looks at.

The order is that of the enum: what a person should hear first comes first.
"""

from dataclasses import dataclass
from enum import StrEnum

from whatsam_operator.planning.candidates import Candidate
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.releases import is_older


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a session asks of a worker."""

    tenant: str = ""
    paired: bool = True
    """A device is linked; else it needs a pairing slot."""
    engine: str = ""
    """Engine version that last wrote the state: an older one could not read it."""
    prefer_pod: str | None = None
    """UID of the pod whose local copy of the state is the newest."""
    avoid_pod: str | None = None
    """UID of the pod that the session shall leave."""
    suspect: bool = False
    """Its starts have failed with their workers: it must not start beside another one of that kind."""
    only_pod: str | None = None
    """Name of the pod that somebody wants it to go to; no other one will do."""
    stay: bool = False
    """A planned move, which is made once: not to a pod that a rollout will replace."""
    egress: str | None = None
    """Outgoing address that WhatsApp last saw it from."""


class Filter(StrEnum):
    """Why a worker cannot get the session."""

    NOT_ALIVE = "its Lease is not in order"
    GOING = "its pod is being deleted"
    CORDONED = "it is cordoned"
    NOT_READY = "it is not ready"
    LEFT = "the session leaves it"
    NOT_NAMED = "the session shall go to another one"
    OUTDATED = "a rollout will replace it"
    OLDER_ENGINE = "its engine is older than the state"
    FULL = "it is full"
    NO_PAIRING_SLOT = "its places for sessions without a device are taken"
    TRIAL = "another session whose starts have failed is starting there"
    LOGINS = "too many sessions log in behind its outgoing address"


def refusal(candidate: Candidate, ask: Ask, *, logins: int) -> Filter | None:  # noqa: PLR0911 - one return per filter
    """The first filter that the worker does not pass; None when it may get the session.

    `logins` is how many sessions may log in at a time behind one outgoing address.
    """
    boot = candidate.boot
    pod, record = boot.pod, boot.lease.record
    if boot.judgement.verdict is not Verdict.ALIVE or pod is None:
        return Filter.NOT_ALIVE
    if pod.deleting:
        return Filter.GOING
    if pod.cordoned:
        return Filter.CORDONED
    if not pod.ready and ask.prefer_pod != record.pod_uid:
        return Filter.NOT_READY
    if ask.avoid_pod == record.pod_uid:
        return Filter.LEFT
    if ask.only_pod is not None and ask.only_pod != record.pod_name:
        return Filter.NOT_NAMED
    if ask.stay and candidate.outdated:
        return Filter.OUTDATED
    if ask.engine and is_older(record, ask.engine):
        return Filter.OLDER_ENGINE
    if candidate.sessions >= candidate.limit:
        return Filter.FULL
    if not ask.paired and candidate.unpaired >= candidate.pairing_slots:
        return Filter.NO_PAIRING_SLOT
    if ask.suspect and candidate.trials:
        return Filter.TRIAL
    if candidate.egress_load is not None and candidate.egress_load.logins >= logins:
        return Filter.LOGINS
    return None
