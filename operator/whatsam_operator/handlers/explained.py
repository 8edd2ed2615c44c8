"""An explanation as text for people and as JSON for programs. Called by the command `plan`."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from whatsam_operator.planning.explaining import Explanation, PoolPlan, SessionPlan, WorkerView
from whatsam_operator.planning.scoring import Score


def as_json(explanation: Explanation) -> str:
    """One document."""
    return json.dumps(asdict(explanation), indent=2)


def as_text(explanation: Explanation, *, reasons: bool) -> str:
    """A page. `reasons`: with the workers that each session was weighed against, and the notes."""
    lines: list[str] = []
    for pool in explanation.pools:
        lines += _pool(pool)
    for session in explanation.sessions:
        lines += _session(session, reasons=reasons)
    lines.append(f"{explanation.staying} sessions: nothing to do")
    if reasons:
        lines += ["", *(f"note: {note}" for note in explanation.notes)]
    return "\n".join(lines)


def _pool(pool: PoolPlan) -> Iterator[str]:
    yield f"pool {pool.pool}"
    for one in pool.workers:
        load = f"cpu {_percent(one.cpu)}, memory {_percent(one.memory)}"
        why = f" ({one.because})" if one.because else ""
        yield f"  {one.worker} {one.boot}: {one.verdict}{why}, {one.sessions}/{one.places} sessions, {load}"
    if pool.brake == "on":
        yield "  a mass failure is suspected: Leases that only expired are revoked one at a time"
    yield from (f"  -> {step}" for step in pool.steps)
    if pool.autoscaling != "off":
        yield f"  autoscaling: {pool.autoscaling} (not carried out yet)"
    if pool.moves:
        marks = pool.marks
        yield (
            f"  balance: above {marks.sessions} % places, {marks.cpu} % cpu or {marks.memory} % memory"
            f" -> below {marks.low} %"
        )
        yield from (f"    {one.session}: {one.from_worker} -> {one.to_worker} ({one.reason})" for one in pool.moves)
        if pool.rebalancing:
            yield f"    not moved: {pool.rebalancing}"
    yield ""


def _session(session: SessionPlan, *, reasons: bool) -> Iterator[str]:
    yield f"session {session.session}: held {session.held}"
    yield from (f"  -> {step}" for step in session.steps)
    if not session.steps:
        yield "  -> nothing"
    if reasons:
        yield from (f"     {_worker(one, session.chosen)}" for one in _by_cost(session.workers))
    yield ""


def _by_cost(workers: tuple[WorkerView, ...]) -> list[WorkerView]:
    return sorted(workers, key=lambda one: (one.cost is None, one.cost or 0.0, one.worker))


def _worker(view: WorkerView, chosen: str | None) -> str:
    mark = "*" if view.worker == chosen else " "
    if view.score is None or view.cost is None:
        return f"{mark} {view.worker} {view.boot}: no, {view.refused}"
    return f"{mark} {view.worker} {view.boot}: cost {view.cost:g} = {_parts(view.score)}"


def _parts(score: Score) -> str:
    parts = {name: value for name, value in asdict(score).items() if value}
    return " + ".join(f"{name} {value:.4g}" for name, value in parts.items()) or "0"


def _percent(value: int | None) -> str:
    return "unknown" if value is None else f"{value} %"
