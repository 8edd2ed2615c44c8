"""The operator's process: settings, logs, health, leader election. `whatsam-operator` calls `main`."""

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any, Final

from whatsam_core.errors import WhatsamError
from whatsam_core.logging import configure, get_logger
from whatsam_core.settings import load, refuse
from whatsam_operator.factory import Context, explain_cluster, look_at_installation, make_context, make_term
from whatsam_operator.handlers.command import InstallationCommand, PlanCommand, parse
from whatsam_operator.handlers.health import HealthServer
from whatsam_operator.services.clock import now
from whatsam_operator.services.term import Term
from whatsam_operator.services.work import STUCK
from whatsam_operator.settings import InstallationSettings, OperatorSettings

LOOP_LAG: Final = 10.0
"""Seconds without a turn of the event loop after which the process calls itself dead."""
CONTACT: Final = 30.0
"""Seconds without an answer of the API server about the Lease (or, for the leader, about the connectors' Leases) after
which the process is not ready."""
STOP_WITHIN: Final = 15.0
"""Seconds for an orderly end; then the process ends anyhow: its leadership is over by then."""

log = get_logger(__name__)


def main() -> None:
    """Run until SIGTERM or SIGINT; with arguments, do what they say and end."""
    command = parse(sys.argv[1:])
    if isinstance(command, PlanCommand):
        sys.exit(_show_plan(command))
    if isinstance(command, InstallationCommand):
        sys.exit(_show_installation(command))
    try:
        settings = load(OperatorSettings)
        settings.election_timings()
    except WhatsamError as error:
        refuse(error)
    configure("whatsam-operator", settings.log_level)
    sys.exit(asyncio.run(run(settings)))


def _show_plan(command: PlanCommand) -> int:
    """Print what the operator would do; 1 when the cluster cannot be read."""
    configure("whatsam-operator-plan", "ERROR")
    try:
        explanation = asyncio.run(explain_cluster(command.namespace, command.sessions))
    except WhatsamError as error:
        print(f"the cluster cannot be read: {error}", file=sys.stderr)
        return 1
    print(command.render(explanation))
    return 0


def _show_installation(command: InstallationCommand) -> int:
    """Say whose the object store is; 1 when it is another cluster's, or cannot be read."""
    configure("whatsam-operator-installation", "ERROR")
    try:
        settings = load(InstallationSettings)
    except WhatsamError as error:
        refuse(error)
    try:
        found = asyncio.run(look_at_installation(settings, take=command.take_over))
    except WhatsamError as error:
        print(f"not known: {error}", file=sys.stderr)
        return 1
    name = f"installation {settings.installation_id} in bucket {settings.s3_bucket}"
    mark = found.mark
    if mark is None:
        print(f"{name}: {found.damage or 'used by nobody yet'}")
    else:
        whose = "this cluster" if mark.cluster == found.us else f"cluster {mark.cluster} (namespace {mark.namespace})"
        print(f"{name}: used by {whose}, last seen at {mark.seen_at:%Y-%m-%d %H:%M:%S} UTC")
    if command.take_over:
        print(f"taken over by this cluster ({found.us})")
        return 0
    return 1 if found.damage or (mark is not None and mark.cluster != found.us) else 0


async def run(settings: OperatorSettings) -> int:
    """Everything between start and end; the exit code."""
    context = await make_context(settings)
    pulse = _Pulse()
    leader = _Leader(context)
    health = HealthServer(
        settings.port,
        live=pulse.probe,
        ready=leader.ready,
        metrics=context.metrics.expose,
    )
    health.start()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    work = asyncio.create_task(leader.run())
    beat = asyncio.create_task(pulse.run())
    stop = asyncio.create_task(stopped.wait())
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    broke = work.done()
    loop.call_later(STOP_WITHIN, _give_up)
    for task in (work, stop, beat):
        task.cancel()
    results = await asyncio.gather(work, stop, beat, return_exceptions=True)
    if broke and isinstance(results[0], BaseException):
        log.error("operator_broke", exc_info=results[0])
    health.stop()
    await context.cluster.close()
    await context.store.close()
    return 1 if broke else 0


class _Leader:
    """Stands for election, and knows the term that runs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._term: Term | None = None

    async def run(self) -> None:
        """For the life of the process."""

        def leading(yes: bool) -> None:
            self._context.metrics.leader.set(1 if yes else 0)

        await self._context.leadership.run(self._serve, leading=leading)

    async def _serve(self) -> None:
        self._term = make_term(self._context)
        try:
            await self._term.run()
        finally:
            self._term = None

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Leader or candidate: ready is who has seen the Lease lately; a leader also does what it decides."""
        leadership, term, at = self._context.leadership, self._term, now().steady
        ago = None if leadership.looked_at is None else at - leadership.looked_at
        details: dict[str, Any] = {"leads": leadership.leads, "apiServerAnsweredSecondsAgo": _rounded(ago)}
        good = ago is not None and ago < CONTACT
        if term is not None:
            oldest, read_at = term.oldest_decision(), term.leases_read_at()
            read_ago = None if read_at is None else at - read_at
            details |= {"oldestDecisionSeconds": _rounded(oldest), "leasesReadSecondsAgo": _rounded(read_ago)}
            stuck, blind = oldest > STUCK, read_ago is not None and read_ago > CONTACT
            details |= {"queueStuck": True} if stuck else {}
            good = good and not stuck and not blind
        return good, details


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


class _Pulse:
    """Whether the event loop still turns."""

    def __init__(self) -> None:
        self._beat = now().steady

    async def run(self) -> None:
        while True:
            self._beat = now().steady
            await asyncio.sleep(1.0)

    def probe(self) -> tuple[bool, dict[str, Any]]:
        lag = now().steady - self._beat
        return lag < LOOP_LAG, {"loopLagSeconds": round(lag, 1)}


def _give_up() -> None:
    with contextlib.suppress(Exception):
        log.error("operator_does_not_stop")
    os._exit(3)
