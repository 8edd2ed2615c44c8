"""Every decision of the world, in one place. The defaults are the functions of production; a variant replaces one.

Whatever is not in here is mechanics: messages that travel, timers that fire, processes that stop.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from safety_policies import admits_lease, admits_status, admits_successor
from safety_store import Stored

from whatsam_connector.assignments import leaving, succession
from whatsam_connector.assignments import plan as assignments
from whatsam_connector.http.holding import judge_call
from whatsam_connector.lease import verdict
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.sessions.status_patch import Holder
from whatsam_connector.sessions.transitions import step
from whatsam_connector.shipper.retention import superseded
from whatsam_connector.state import decision
from whatsam_connector.state.decision import LastHandover
from whatsam_core.lease import LeaseRecord
from whatsam_core.resources.session import Handover
from whatsam_operator.planning import boots, confirmation, election, losses, planner
from whatsam_operator.planning.decisions import Decision
from whatsam_operator.planning.lease_book import LeaseBook, ReadLease


def _newest_first(found: Iterable[Stored]) -> list[Stored]:
    """As `sessions_state.bases_of` sorts what a listing shows."""
    return sorted(found, key=lambda stored: stored.ref, reverse=True)


def _listed(found: Iterable[Stored], _shelved: Stored | None) -> Iterable[Stored]:
    return found


def _handed_over(handover: Handover | None, _shelved: Stored | None) -> LastHandover | None:
    return None if handover is None else LastHandover(handover.epoch, handover.seq, handover.sha256)


def _observe(book: LeaseBook, found: Iterable[ReadLease], **known: Any) -> LeaseBook:
    return book.observe(list(found), **known)


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Rules:
    """The decisions, by who takes them."""

    # the connector: its Lease and its fences
    boot_id: Callable[[str, int], str] = lambda _pod, number: f"b{number}"
    adopts_lease: bool = False
    """A boot whose Lease exists already takes it over."""
    renewal: Callable[[LeaseRecord], LeaseRecord] = _same
    """The record as it is sent: with the resourceVersion that is known."""
    renewal_counts_from: Callable[[float, float], float] = lambda started, _answered: started
    judge_answer: Callable[..., verdict.Verdict] = verdict.judge_answer
    judge_read_back: Callable[..., Any] = verdict.judge_read_back
    judge_own_write: Callable[..., verdict.Verdict] = verdict.judge_own_write
    judge_age: Callable[..., verdict.Verdict] = verdict.judge_age
    kill_after: Callable[..., float] = verdict.kill_after
    supervisor_timer: Callable[..., float | None] = verdict.supervisor_timer
    holds: Callable[[Tenure, float], bool] = Tenure.holds
    engine_deadline: Callable[[Tenure], float] = Tenure.engine_deadline
    engine_timers: bool = True
    """Every engine arms a kernel timer of its own."""
    releases_first: bool = False
    """A draining boot gives its Lease back before it has ended its sessions."""
    # the connector: what it runs, and what it says and takes
    boot_plan: Callable[..., list[assignments.Decision]] = assignments.plan
    learns_what_it_has_read: bool = True
    """What a boot has read afresh of a session counts, though its watch may be behind."""
    holder_holds: Callable[..., bool] = Holder.holds
    status_precondition: Callable[[dict[str, Any]], dict[str, Any]] = _same
    judge_call: Callable[..., Any] = judge_call
    step: Callable[..., Any] = step
    # the connector: planned moves
    may_let_go: Callable[..., bool] = Holder.may_let_go
    leave: Callable[..., leaving.Leave] = leaving.leave
    is_wanted: Callable[..., bool] = succession.is_wanted
    next_round: Callable[..., list[str]] = succession.next_round
    arrival: Callable[..., succession.Arrival] = succession.arrival
    declared_precondition: Callable[[dict[str, Any]], dict[str, Any]] = _same
    listed: Callable[[Iterable[Stored], Stored | None], Iterable[Stored]] = _listed
    """The bases to choose from, by the listing; the second is what lies on the shelf."""
    handed_over: Callable[[Handover | None, Stored | None], LastHandover | None] = _handed_over
    """What the last holder recorded."""
    stores_before_it_lets_go: bool = True
    """The handover names what was stored after the engine had ended."""
    # the connector: auth state
    newest_first: Callable[[Iterable[Stored]], list[Stored]] = _newest_first
    decide: Callable[..., decision.ReadBase | decision.Plan] = decision.decide
    repair_steps: Callable[[int], int] = _same
    start_base: bool = True
    """The state is stored under the new epoch before its engine starts."""
    credit: int = decision.CREDIT
    superseded: Callable[..., Any] = superseded
    # the API server
    admits_status: Callable[..., bool] = admits_status
    admits_successor: Callable[..., bool] = admits_successor
    admits_lease: Callable[[LeaseRecord, LeaseRecord], bool] = admits_lease
    admits_epoch: Callable[[int, int], bool] = lambda before, after: after >= before
    """The rule in the schema."""
    # the operator
    election_step: Callable[..., election.Step] = election.step
    may_write: Callable[..., bool] = election.may_write
    observe: Callable[..., LeaseBook] = _observe
    failed_read: Callable[[LeaseBook, dict[str, Any]], LeaseBook] = lambda book, _known: book
    gather: Callable[..., boots.Boots] = boots.gather
    plan_losses: Callable[..., list[Decision]] = losses.plan_losses
    plan_sessions: Callable[..., list[Decision]] = planner.plan_sessions
    decided: Callable[[Sequence[Decision]], Sequence[Decision]] = _same
    takes_next_back: bool = True
    """An assignment names no successor any more."""
    confirm: Callable[..., confirmation.Confirmation] = confirmation.confirm
    revoke_version: Callable[[str], str | None] = _same
    assign_version: Callable[[str], str | None] = _same
